//! Which authentication methods a caller lets the server ask for: libpq's `require_auth` (rule A01, CP-34).

use super::auth::refused;
use crate::error::Error;

/// One method, by libpq's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    /// Nothing is asked: trust, peer, or a client certificate.
    None,
    /// The password in clear text.
    Password,
    /// MD5 of it.
    Md5,
    /// SCRAM-SHA-256, with or without channel binding.
    Scram,
}

/// libpq's names; GSSAPI, SSPI and OAuth may be named but are never answered.
const NAMES: [(&str, u8); 7] = [
    ("none", Method::None.bit()),
    ("password", Method::Password.bit()),
    ("md5", Method::Md5.bit()),
    ("scram-sha-256", Method::Scram.bit()),
    ("gss", 16),
    ("sspi", 32),
    ("oauth", 64),
];

impl Method {
    const fn bit(self) -> u8 {
        match self {
            Self::None => 1,
            Self::Password => 2,
            Self::Md5 => 4,
            Self::Scram => 8,
        }
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::None => "no authentication",
            Self::Password => "a clear-text password",
            Self::Md5 => "an MD5 password",
            Self::Scram => "SCRAM-SHA-256",
        }
    }
}

/// The methods that are answered. The default is every method the engine knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuthMethods(u8);

impl Default for AuthMethods {
    fn default() -> Self {
        Self(u8::MAX)
    }
}

impl AuthMethods {
    /// Reads `require_auth`: `scram-sha-256,md5` admits these, `!password,!md5` all others. Empty admits all.
    ///
    /// Source: libpq documentation, `require_auth`.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if text.is_empty() {
            return Ok(Self::default());
        }
        let wrong = |problem: String| Error::config("requireAuth", problem);
        let negated = text.starts_with('!');
        let mut bits = 0;
        for item in text.split(',') {
            if item.starts_with('!') != negated {
                return Err(wrong("must not mix methods with and without \"!\"".into()));
            }
            let name = item.trim_start_matches('!');
            let bit = NAMES
                .iter()
                .find(|known| known.0 == name)
                .map(|known| known.1)
                .ok_or_else(|| {
                    let known: Vec<&str> = NAMES.iter().map(|known| known.0).collect();
                    wrong(format!(
                        "must name methods out of {}, got \"{name}\"",
                        known.join(", ")
                    ))
                })?;
            if bits & bit != 0 {
                return Err(wrong(format!("names \"{name}\" twice")));
            }
            bits |= bit;
        }
        Ok(Self(if negated { !bits } else { bits }))
    }

    pub(super) fn check(self, method: Method) -> Result<(), Error> {
        if self.0 & method.bit() == 0 {
            return Err(refused(format!(
                "the server asks for {}, which requireAuth excludes",
                method.name()
            )));
        }
        Ok(())
    }
}
