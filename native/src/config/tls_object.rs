//! The option `ssl` of `pg`: a boolean, or an object as Node's TLS takes it.

use serde::de::{Deserialize, Deserializer, Error as _};
use serde_json::Value;

use crate::error::Error;

use super::pem::{self, Kind};
use super::secret::Secret;
use super::settings::{SwitchOr, switch_or_object};
use super::tls::{Identity, Roots, SslMode, Tls, TlsVersion};
use super::value::check_text;

#[derive(Clone, Debug)]
pub(super) enum SslSetting {
    Switch(bool),
    Object(Box<SslObject>),
}

impl<'de> Deserialize<'de> for SslSetting {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Ok(match switch_or_object(from)? {
            SwitchOr::Switch(on) => Self::Switch(on),
            SwitchOr::Object(object) => Self::Object(Box::new(object)),
        })
    }
}

/// The members that have a meaning here; any other is an error.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct SslObject {
    ca: Option<Pem>,
    cert: Option<Pem>,
    key: Option<Secret>,
    passphrase: Option<Secret>,
    crl: Option<Pem>,
    reject_unauthorized: Option<bool>,
    servername: Option<Box<str>>,
    min_version: Option<Box<str>>,
    max_version: Option<Box<str>>,
    /// `false`: the chain is checked and the name is not.
    check_name: Option<bool>,
    /// A function of the caller's looks at the certificate, once its chain was checked.
    identity_function: Option<bool>,
    /// `false`: the name is not sent.
    sni: Option<bool>,
    /// Start with the handshake instead of asking for it.
    direct: Option<bool>,
}

/// One PEM text or several.
#[derive(Clone, Debug)]
enum Pem {
    One(String),
    Many(Vec<String>),
}

impl<'de> Deserialize<'de> for Pem {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        match Value::deserialize(from)? {
            Value::String(text) => Ok(Self::One(text)),
            list => Vec::deserialize(list)
                .map(Self::Many)
                .map_err(|_| D::Error::custom("neither a text nor a list of texts")),
        }
    }
}

impl Pem {
    /// All of it as one text. Paths are not taken: Node takes none.
    fn joined(self, option: &str, kind: Kind) -> Result<Box<[u8]>, Error> {
        let text = match self {
            Self::One(text) => text,
            Self::Many(texts) => texts.join("\n"),
        };
        let text = begun(&text).ok_or_else(|| Error::config(option, "must be PEM text"))?;
        pem::read(text, kind).map_err(|problem| Error::config(option, problem))
    }
}

/// Maps the option: as in Node, certificates are checked in full unless `rejectUnauthorized` is `false`.
pub(super) fn from_setting(setting: SslSetting) -> Result<Tls, Error> {
    let object = match setting {
        SslSetting::Switch(false) => {
            return Ok(Tls {
                mode: SslMode::Disable,
                ..Tls::default()
            });
        }
        SslSetting::Switch(true) => SslObject::default(),
        SslSetting::Object(object) => *object,
    };
    if let Some(name) = &object.servername {
        check_text("ssl.servername", name, 255)?;
    }
    let identity = identity(object.cert, object.key, object.passphrase.as_ref())?;
    let oldest = version("ssl.minVersion", object.min_version.as_deref())?;
    let newest = version("ssl.maxVersion", object.max_version.as_deref())?;
    let defaults = Tls::default();
    let (oldest, newest) = (
        oldest.unwrap_or(defaults.oldest),
        newest.unwrap_or(defaults.newest),
    );
    if oldest > newest {
        return Err(Error::config(
            "ssl.minVersion",
            "must not be above maxVersion",
        ));
    }
    // As in Node: a certificate that need not be signed by anybody need not be looked at either.
    let identity_function =
        object.identity_function == Some(true) && object.reject_unauthorized != Some(false);
    let check_name = object.check_name.filter(|_| !identity_function);
    let check_name = if identity_function {
        Some(false)
    } else {
        check_name
    };
    let (mode, roots) = match (object.reject_unauthorized, check_name) {
        (Some(false), _) => (SslMode::Require, Roots::None),
        (_, Some(false)) => (SslMode::VerifyCa, roots(object.ca)?),
        _ => (SslMode::VerifyFull, roots(object.ca)?),
    };
    let revoked = match object.crl {
        Some(_) if roots == Roots::None => {
            return Err(Error::config(
                "ssl.crl",
                "has no effect with rejectUnauthorized: false",
            ));
        }
        Some(lists) => vec![lists.joined("ssl.crl", Kind::RevocationList)?],
        None => Vec::new(),
    };
    Ok(Tls {
        mode,
        direct: object.direct.unwrap_or(false),
        sni: object.sni.unwrap_or(true),
        roots,
        revoked,
        identity,
        oldest,
        newest,
        server_name: object.servername,
        identity_function,
        ..defaults
    })
}

fn roots(ca: Option<Pem>) -> Result<Roots, Error> {
    ca.map_or(Ok(Roots::System), |ca| {
        ca.joined("ssl.ca", Kind::Certificate).map(Roots::Pem)
    })
}

/// What of a text is PEM: tools write comments, attributes and marks of the encoding in front.
fn begun(text: &str) -> Option<&str> {
    text.get(text.find("-----BEGIN ")?..)
}

fn identity(
    cert: Option<Pem>,
    key: Option<Secret>,
    passphrase: Option<&Secret>,
) -> Result<Option<Identity>, Error> {
    let (cert, key) = match (cert, key) {
        (None, None) => return Ok(None),
        (Some(cert), Some(key)) => (cert, key),
        (Some(_), None) => return Err(Error::config("ssl.key", "is missing beside cert")),
        (None, Some(_)) => return Err(Error::config("ssl.cert", "is missing beside key")),
    };
    let certificates = cert.joined("ssl.cert", Kind::Certificate)?;
    let text = begun(key.expose()).ok_or_else(|| Error::config("ssl.key", "must be PEM text"))?;
    let key = pem::read_key(text, passphrase.map(Secret::expose)).map_err(|problem| {
        Error::config("ssl.key", problem.replace("sslpassword", "ssl.passphrase"))
    })?;
    Ok(Some(Identity { certificates, key }))
}

/// Node's names of protocol versions; anything the engine is too new for is no restriction as a minimum.
fn version(option: &str, text: Option<&str>) -> Result<Option<TlsVersion>, Error> {
    match text {
        None => Ok(None),
        Some("TLSv1.2") => Ok(Some(TlsVersion::Tls12)),
        Some("TLSv1.3") => Ok(Some(TlsVersion::Tls13)),
        Some("TLSv1" | "TLSv1.1") if option == "ssl.minVersion" => Ok(Some(TlsVersion::Tls12)),
        Some(_) => Err(Error::config(option, "must be TLSv1.2 or TLSv1.3")),
    }
}
