//! Leases: the signed claim on a connection that travels as its `application_name`.
//!
//! ```text
//! application_name = "s=" SVC ";i=" INST ";e=" EXP ";g=" SIG        at most 63 bytes, ASCII
//! SIG = first 11 characters of base64url(first 8 bytes of HMAC-SHA-256(secret, "s=" SVC ";i=" INST ";e=" EXP))
//! ```
//!
//! The format is that of `pg-aequor`, byte for byte, because both may serve one fleet (rule L03). The tag has 64 bits:
//! forging one yields no more than having one's own connection spared or ended.

pub mod clock;
pub mod cooldown;
mod quiet;
pub mod reaper;
pub mod renew;
mod turn;

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha256};

use crate::config::Secret;
use crate::error::Error;

/// Longest `application_name` the server keeps (`NAMEDATALEN` − 1).
pub const MAX_NAME_BYTES: usize = 63;

/// Bytes of the MAC that are kept; 11 characters in base64url.
const SIGNATURE_BYTES: usize = 8;

/// Characters around service and instance: `s=`, `;i=`, `;e=`, `;g=` and 13 digits of expiry.
const FRAME_CHARACTERS: usize = 24;

/// Characters of a signature.
const SIGNATURE_CHARACTERS: usize = 11;

/// Hex digits of the SHA-1 that tell shortened service names apart.
const HASH_DIGITS: usize = 8;

/// Shortest secret, in bytes of UTF-8.
const MIN_SECRET_BYTES: usize = 16;

/// Fewer distinct bytes than this make a secret guessable (rule SC-23).
const MIN_DISTINCT_BYTES: usize = 6;

/// Most digits of an expiry: 15 stay below 2^53.
const MAX_EXPIRY_DIGITS: usize = 15;

/// A secret that is long enough to sign with.
#[derive(Clone)]
pub struct LeaseSecret(Secret);

impl LeaseSecret {
    /// Checks the length; the key is the UTF-8 text itself.
    pub fn new(secret: Secret) -> Result<Self, Error> {
        match secret.expose().len() {
            0 => Err(lease_error("a lease requires a non-empty secret".into())),
            length if length < MIN_SECRET_BYTES => Err(lease_error(format!(
                "the lease secret is too short: it has {length} bytes, it needs at least {MIN_SECRET_BYTES}"
            ))),
            _ => Ok(Self(secret)),
        }
    }

    /// Has it so few distinct bytes that it deserves a warning?
    #[must_use]
    pub fn is_weak(&self) -> bool {
        let bytes = self.0.expose().as_bytes();
        (0..=u8::MAX).filter(|byte| bytes.contains(byte)).count() < MIN_DISTINCT_BYTES
    }

    fn mac(&self, body: &str) -> Result<Hmac<Sha256>, Error> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.expose().as_bytes())
            .map_err(|_| Error::internal("HMAC refused a key"))?;
        mac.update(body.as_bytes());
        Ok(mac)
    }
}

impl fmt::Debug for LeaseSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LeaseSecret")
    }
}

/// Signs the leases of one client.
#[derive(Clone, Debug)]
pub struct LeaseSigner {
    service: Box<str>,
    instance: Box<str>,
    secret: LeaseSecret,
}

impl LeaseSigner {
    /// Empty names become `sls_pg` and `inst`; characters that a lease cannot hold are replaced.
    #[must_use]
    pub fn new(service: &str, instance: &str, secret: LeaseSecret) -> Self {
        let instance = sanitise(if instance.is_empty() {
            "inst"
        } else {
            instance
        });
        let service = if service.is_empty() {
            "sls_pg"
        } else {
            service
        };
        Self {
            service: service_token(service, instance.len()).into(),
            instance: instance.into(),
            secret,
        }
    }

    /// The service as it stands in the lease; the reaper looks for this text.
    #[must_use]
    pub fn service(&self) -> &str {
        &self.service
    }

    /// The instance as it stands in the lease.
    #[must_use]
    pub fn instance(&self) -> &str {
        &self.instance
    }

    /// The `application_name` of a lease that ends at `expiry_ms` (Unix time). Never cut: too long is an error.
    pub fn sign(&self, expiry_ms: u64) -> Result<String, Error> {
        let mut name = format!("s={};i={};e={expiry_ms}", self.service, self.instance);
        let tag = self.secret.mac(&name)?.finalize().into_bytes();
        name.push_str(";g=");
        URL_SAFE_NO_PAD.encode_string(tag.get(..SIGNATURE_BYTES).unwrap_or_default(), &mut name);
        if name.len() > MAX_NAME_BYTES {
            return Err(lease_error(format!(
                "the lease has {} characters, an application_name holds {MAX_NAME_BYTES}: use a shorter instance id",
                name.len()
            )));
        }
        Ok(name)
    }
}

/// A lease whose signature holds. Whether it is one's own service must be compared by the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Service token.
    pub service: Box<str>,
    /// Instance id.
    pub instance: Box<str>,
    /// Unix time in milliseconds.
    pub expiry: u64,
    /// Is the expiry past? In the very millisecond of its expiry a lease is still alive.
    pub expired: bool,
}

/// Reads an `application_name` and checks it against each secret (two while one replaces the other); `None` for
/// anything but a lease signed with one of them.
///
/// `now` is Unix time in milliseconds. Tags are compared in constant time; a tag whose last character is not the
/// canonical one is refused.
#[must_use]
pub fn parse_and_verify(text: &str, secrets: &[LeaseSecret], now: u64) -> Option<Lease> {
    let (body, signature) = text.rsplit_once(";g=")?;
    let (service, rest) = body.strip_prefix("s=")?.split_once(";i=")?;
    let (instance, expiry) = rest.split_once(";e=")?;
    if [service, instance, expiry]
        .iter()
        .any(|value| value.is_empty() || value.contains(';'))
    {
        return None;
    }
    let tag = URL_SAFE_NO_PAD
        .decode(signature)
        .ok()
        .filter(|tag| tag.len() == SIGNATURE_BYTES)?;
    let holds = |secret: &LeaseSecret| {
        secret
            .mac(body)
            .is_ok_and(|mac| mac.verify_truncated_left(&tag).is_ok())
    };
    if !secrets.iter().any(holds) {
        return None;
    }
    let is_number =
        expiry.len() <= MAX_EXPIRY_DIGITS && expiry.bytes().all(|byte| byte.is_ascii_digit());
    let expiry = expiry.parse().ok().filter(|_| is_number)?;
    Some(Lease {
        service: service.into(),
        instance: instance.into(),
        expiry,
        expired: now > expiry,
    })
}

/// A new instance id from the operating system's random source: 8 characters.
///
/// The length is part of the format: a longer id leaves less room for the service, which changes its token.
pub fn random_instance_id() -> Result<String, Error> {
    let mut bytes = [0; 6];
    getrandom::fill(&mut bytes).map_err(|error| {
        lease_error(format!(
            "the operating system gives no random bytes: {error}"
        ))
    })?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// The service as it fits beside an instance of that length: a changed or shortened name carries a hash of the text
/// it was made from, so that two services never share a token by accident.
fn service_token(original: &str, instance_length: usize) -> String {
    let room = MAX_NAME_BYTES
        .saturating_sub(FRAME_CHARACTERS + instance_length + SIGNATURE_CHARACTERS)
        .max(1);
    let clean = sanitise(original);
    if clean == original && clean.len() <= room {
        return clean;
    }
    let [a, b, c, d, ..]: [u8; 20] = Sha1::digest(original.as_bytes()).into();
    let hash = format!("{:08x}", u32::from_be_bytes([a, b, c, d]));
    if room <= HASH_DIGITS {
        return hash.chars().take(room).collect();
    }
    clean
        .chars()
        .take(room - HASH_DIGITS - 1)
        .chain(['-'])
        .chain(hash.chars())
        .collect()
}

/// Replaces every UTF-16 code unit outside `A–Z a–z 0–9 : _ -` by `_`; an astral character becomes two.
fn sanitise(text: &str) -> String {
    text.encode_utf16()
        .map(|unit| match u8::try_from(unit).map(char::from) {
            Ok(character)
                if character.is_ascii_alphanumeric() || matches!(character, ':' | '_' | '-') =>
            {
                character
            }
            _ => '_',
        })
        .collect()
}

fn lease_error(problem: String) -> Error {
    Error::Lease {
        problem: problem.into(),
    }
}

#[cfg(test)]
mod tests;
