//! What is asked of TLS: mode, trusted roots, server name. Settings only; the handshake belongs to `conn`.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use serde::Deserialize;

use crate::error::Error;

use super::keyword::Values;
use super::value::check_text;

/// Largest file of root certificates. The bundle of a Linux distribution has about 220 KiB.
const MAX_PEM_BYTES: u64 = 4_194_304;

/// `sslmode`, with libpq's meaning (rule CP-30).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SslMode {
    /// Plaintext only.
    Disable,
    /// Plaintext; TLS in a second attempt when the server refuses that.
    Allow,
    /// TLS; plaintext in a second attempt when the server has none or the handshake fails.
    #[default]
    Prefer,
    /// TLS.
    Require,
    /// TLS with a certificate signed by a trusted root.
    VerifyCa,
    /// The same, and the certificate names the host.
    VerifyFull,
}

impl SslMode {
    /// The spelling of libpq, or nothing.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "disable" => Self::Disable,
            "allow" => Self::Allow,
            "prefer" => Self::Prefer,
            "require" => Self::Require,
            "verify-ca" => Self::VerifyCa,
            "verify-full" => Self::VerifyFull,
            _ => return None,
        })
    }
}

/// Whose signature makes a certificate trusted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Roots {
    /// Nobody's: certificates are not checked, or a mode that checks them is an error.
    #[default]
    None,
    /// The roots of the operating system.
    System,
    /// These certificates, PEM.
    Pem(Box<[u8]>),
}

/// What of the server's certificate is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verify {
    /// Nothing: against eavesdroppers only.
    Nothing,
    /// That a trusted root signed it.
    Chain,
    /// The same, and that it names the host.
    ChainAndName,
}

/// TLS settings of a target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// When TLS is used.
    pub mode: SslMode,
    /// Trusted roots.
    pub roots: Roots,
    /// Name to send and to check in place of the host's own.
    pub server_name: Option<Box<str>>,
}

impl Tls {
    /// What must be checked: roots that are given are used in every mode, as libpq does.
    #[must_use]
    pub const fn verify(&self) -> Verify {
        match (self.mode, &self.roots) {
            (SslMode::VerifyFull, _) => Verify::ChainAndName,
            (SslMode::VerifyCa, _) | (_, Roots::System | Roots::Pem(_)) => Verify::Chain,
            (_, Roots::None) => Verify::Nothing,
        }
    }
}

/// The option `ssl` of `pg`: a boolean or an object as Node's TLS takes it.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum SslSetting {
    Switch(bool),
    Object(SslObject),
}

/// The members of that object that have a meaning here; any other is an error.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct SslObject {
    ca: Option<Pem>,
    reject_unauthorized: Option<bool>,
    servername: Option<Box<str>>,
}

/// One PEM text or several.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Pem {
    One(String),
    Many(Vec<String>),
}

/// Maps the option `ssl`: as in Node, certificates are checked in full unless `rejectUnauthorized` is `false`.
pub(super) fn from_setting(setting: SslSetting) -> Result<Tls, Error> {
    let object = match setting {
        SslSetting::Switch(false) => {
            return Ok(Tls {
                mode: SslMode::Disable,
                ..Tls::default()
            });
        }
        SslSetting::Switch(true) => SslObject {
            ca: None,
            reject_unauthorized: None,
            servername: None,
        },
        SslSetting::Object(object) => object,
    };
    if let Some(name) = &object.servername {
        check_text("ssl.servername", name, 255)?;
    }
    if object.reject_unauthorized == Some(false) {
        return Ok(Tls {
            mode: SslMode::Require,
            roots: Roots::None,
            server_name: object.servername,
        });
    }
    let roots = match object.ca {
        None => Roots::System,
        Some(Pem::One(text)) => pem("ssl.ca", text)?,
        Some(Pem::Many(texts)) => pem("ssl.ca", texts.join("\n"))?,
    };
    Ok(Tls {
        mode: SslMode::VerifyFull,
        roots,
        server_name: object.servername,
    })
}

/// Reads `sslmode` and `sslrootcert`; `home` is where libpq's default `.postgresql/root.crt` is looked for.
///
/// Unlike libpq, a root file that is named but cannot be read is an error in every mode but `disable`.
pub(super) fn from_values(values: &Values, home: Option<&Path>) -> Result<Tls, Error> {
    let wish = match values.get("sslmode") {
        None => None,
        Some(text) => Some(SslMode::parse(text).ok_or_else(|| {
            values.error(
                "sslmode",
                "must be one of disable, allow, prefer, require, verify-ca, verify-full",
            )
        })?),
    };
    let root = values.filled("sslrootcert");
    if root == Some("system") {
        return match wish {
            None | Some(SslMode::VerifyFull) => Ok(Tls {
                mode: SslMode::VerifyFull,
                roots: Roots::System,
                server_name: None,
            }),
            Some(_) => Err(values.error(
                "sslmode",
                "must be verify-full where sslrootcert is \"system\"",
            )),
        };
    }
    let mode = wish.unwrap_or_default();
    if mode == SslMode::Disable {
        return Ok(Tls {
            mode,
            ..Tls::default()
        });
    }
    let roots = match (root, home) {
        (Some(text), _) if is_pem(text) => pem("sslrootcert", text.to_owned())?,
        (Some(path), _) => {
            read(Path::new(path)).map_err(|problem| values.error("sslrootcert", problem))?
        }
        (None, Some(home)) => default_roots(home)?,
        (None, None) => Roots::None,
    };
    if matches!(mode, SslMode::VerifyCa | SslMode::VerifyFull) && roots == Roots::None {
        return Err(values.error(
            "sslmode",
            "needs root certificates: name a file in sslrootcert, or use sslrootcert=system with verify-full",
        ));
    }
    Ok(Tls {
        mode,
        roots,
        server_name: None,
    })
}

/// libpq's default root file; a missing one is no error.
fn default_roots(home: &Path) -> Result<Roots, Error> {
    let path = home.join(".postgresql").join("root.crt");
    match fs::metadata(&path) {
        Ok(_) => read(&path).map_err(|problem| Error::config("~/.postgresql/root.crt", problem)),
        Err(_) => Ok(Roots::None),
    }
}

/// Reads a PEM file. The problem does not repeat the path: it is user text.
fn read(path: &Path) -> Result<Roots, String> {
    let problem = |error: &std::io::Error| match error.kind() {
        ErrorKind::NotFound => "names a file that does not exist".to_owned(),
        kind => format!("names a file that cannot be read ({kind})"),
    };
    let metadata = fs::metadata(path).map_err(|error| problem(&error))?;
    if !metadata.is_file() || metadata.len() > MAX_PEM_BYTES {
        return Err(format!(
            "must name a regular file of at most {MAX_PEM_BYTES} bytes"
        ));
    }
    let bytes = fs::read(path).map_err(|error| problem(&error))?;
    if !has_certificate(&bytes) {
        return Err("names a file without a PEM certificate".into());
    }
    Ok(Roots::Pem(bytes.into()))
}

fn pem(option: &str, text: String) -> Result<Roots, Error> {
    if !has_certificate(text.as_bytes()) {
        return Err(Error::config(option, "must contain a PEM certificate"));
    }
    Ok(Roots::Pem(text.into_bytes().into()))
}

/// Is it PEM text rather than a path?
pub(super) fn is_pem(text: &str) -> bool {
    text.starts_with("-----BEGIN ")
}

fn has_certificate(bytes: &[u8]) -> bool {
    const LABEL: &[u8] = b"-----BEGIN CERTIFICATE-----";
    bytes.windows(LABEL.len()).any(|window| window == LABEL)
}
