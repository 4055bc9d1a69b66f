//! libpq's `ssl…` keywords, with its default files below `~/.postgresql`.
//!
//! Where libpq passes over a file that somebody named and that cannot be read, this is an error.
//!
//! Source: `initialize_SSL` in `src/interfaces/libpq/fe-secure-openssl.c`, `pqConnectOptions2` in `fe-connect.c`.

use std::path::Path;

use crate::error::Error;

use super::keyword::Values;
use super::pem::{self, Kind};
use super::tls::{ClientCertificate, Identity, Roots, SslMode, Tls, TlsVersion};

/// Reads all of them; `home` is where libpq's default files are looked for.
pub(super) fn from_values(values: &Values, home: Option<&Path>) -> Result<Tls, Error> {
    let folder = home.map(|home| home.join(".postgresql"));
    let default = |name: &str| {
        let path = folder.as_ref()?.join(name);
        path.exists()
            .then(|| path.to_str().map(str::to_owned))
            .flatten()
    };
    let wish = mode(values)?;
    let direct = match values.get("sslnegotiation") {
        None | Some("postgres") => false,
        Some("direct") => true,
        Some(_) => return Err(values.error("sslnegotiation", "must be postgres or direct")),
    };
    let sni = match values.get("sslsni") {
        None | Some("1") => true,
        Some("0" | "") => false,
        Some(_) => return Err(values.error("sslsni", "must be 0 or 1")),
    };
    let (oldest, newest) = versions(values)?;
    let is_system = values.filled("sslrootcert") == Some("system");
    let mode = match wish {
        None if is_system => SslMode::VerifyFull,
        Some(mode) if is_system && mode != SslMode::VerifyFull => {
            return Err(values.error(
                "sslmode",
                "must be verify-full where sslrootcert is \"system\"",
            ));
        }
        wish => wish.unwrap_or_default(),
    };
    if direct && mode.is_weak() {
        return Err(values.error(
            "sslnegotiation",
            "direct needs an sslmode of require, verify-ca or verify-full",
        ));
    }
    let certificate = certificate_mode(values)?;
    if mode == SslMode::Disable {
        return Ok(Tls {
            mode,
            ..Tls::default()
        });
    }
    let roots = if is_system {
        Roots::System
    } else {
        pem_of(
            values,
            "sslrootcert",
            Kind::Certificate,
            default("root.crt"),
        )?
        .map_or(Roots::None, Roots::Pem)
    };
    if matches!(mode, SslMode::VerifyCa | SslMode::VerifyFull) && roots == Roots::None {
        return Err(values.error(
            "sslmode",
            "needs root certificates: name a file in sslrootcert, or use sslrootcert=system with verify-full",
        ));
    }
    let revoked = revoked(values, &roots, default("root.crl"))?;
    let identity = match certificate {
        ClientCertificate::Disable => None,
        _ => identity(values, default("postgresql.crt"), default("postgresql.key"))?,
    };
    if certificate == ClientCertificate::Require && identity.is_none() {
        return Err(values.error(
            "sslcertmode",
            "needs a certificate and its key in sslcert and sslkey",
        ));
    }
    Ok(Tls {
        mode,
        direct,
        roots,
        revoked,
        identity,
        certificate,
        oldest,
        newest,
        sni,
        server_name: None,
        identity_function: false,
    })
}

fn mode(values: &Values) -> Result<Option<SslMode>, Error> {
    values
        .get("sslmode")
        .map(|text| {
            SslMode::parse(text).ok_or_else(|| {
                values.error(
                    "sslmode",
                    "must be one of disable, allow, prefer, require, verify-ca, verify-full",
                )
            })
        })
        .transpose()
}

fn certificate_mode(values: &Values) -> Result<ClientCertificate, Error> {
    match values.get("sslcertmode") {
        None | Some("allow") => Ok(ClientCertificate::Allow),
        Some("disable") => Ok(ClientCertificate::Disable),
        Some("require") => Ok(ClientCertificate::Require),
        Some(_) => Err(values.error("sslcertmode", "must be disable, allow or require")),
    }
}

/// `ssl_min_protocol_version` and its counterpart. The engine speaks 1.2 and 1.3, so an older minimum is kept anyway.
fn versions(values: &Values) -> Result<(TlsVersion, TlsVersion), Error> {
    const OLDEST: &str = "ssl_min_protocol_version";
    const NEWEST: &str = "ssl_max_protocol_version";
    let read = |name| match values.filled(name) {
        None => Ok(None),
        Some(text) => match text.to_ascii_lowercase().as_str() {
            "tlsv1.2" => Ok(Some(TlsVersion::Tls12)),
            "tlsv1.3" => Ok(Some(TlsVersion::Tls13)),
            "tlsv1" | "tlsv1.1" if name == OLDEST => Ok(Some(TlsVersion::Tls12)),
            "tlsv1" | "tlsv1.1" => {
                Err(values.error(name, "must be TLSv1.2 or TLSv1.3: nothing older is spoken"))
            }
            _ => Err(values.error(name, "must be TLSv1.2 or TLSv1.3")),
        },
    };
    let oldest = read(OLDEST)?.unwrap_or(TlsVersion::Tls12);
    let newest = read(NEWEST)?.unwrap_or(TlsVersion::Tls13);
    if oldest > newest {
        return Err(values.error(OLDEST, "must not be above ssl_max_protocol_version"));
    }
    Ok((oldest, newest))
}

/// The PEM text of a keyword, else that of libpq's default file where it exists.
fn pem_of(
    values: &Values,
    name: &'static str,
    kind: Kind,
    default: Option<String>,
) -> Result<Option<Box<[u8]>>, Error> {
    let given = values.filled(name).map(str::to_owned).or(default);
    given
        .map(|given| pem::read(&given, kind).map_err(|problem| values.error(name, problem)))
        .transpose()
}

/// libpq uses revocation lists only where it has roots to check with.
fn revoked(
    values: &Values,
    roots: &Roots,
    default: Option<String>,
) -> Result<Vec<Box<[u8]>>, Error> {
    let directory = values.filled("sslcrldir");
    if *roots == Roots::None {
        return match values.filled("sslcrl").or(directory) {
            None => Ok(Vec::new()),
            Some(_) => Err(values.error("sslcrl", "has no effect without sslrootcert")),
        };
    }
    let mut lists = Vec::new();
    // As in libpq, its default file counts only where neither keyword is given.
    // And only beside roots from a file: the roots of the system come without lists.
    let default = default.filter(|_| directory.is_none() && matches!(roots, Roots::Pem(_)));
    lists.extend(pem_of(values, "sslcrl", Kind::RevocationList, default)?);
    if let Some(directory) = directory {
        let found = pem::read_directory(Path::new(directory));
        lists.extend(found.map_err(|problem| values.error("sslcrldir", problem))?);
    }
    Ok(lists)
}

fn identity(
    values: &Values,
    certificate: Option<String>,
    key: Option<String>,
) -> Result<Option<Identity>, Error> {
    let Some(certificates) = pem_of(values, "sslcert", Kind::Certificate, certificate)? else {
        return match values.filled("sslkey") {
            None => Ok(None),
            Some(_) => Err(values.error("sslkey", "has no effect without sslcert")),
        };
    };
    let Some(key) = values.filled("sslkey").map(str::to_owned).or(key) else {
        return Err(values.error("sslcert", "needs its private key in sslkey"));
    };
    let key = pem::read_key(&key, values.filled("sslpassword"))
        .map_err(|problem| values.error("sslkey", problem))?;
    Ok(Some(Identity { certificates, key }))
}
