//! The client's side of SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (RFC 5802, RFC 7677).
//!
//! `postgres_protocol`'s version derives inside its state machine, with a fixed iteration limit and no way to stop.
//! Here the limit is the caller's and is checked first, and the derivation is a value that a blocking pool runs and
//! that gives up when nobody waits for it any more (rule A03).

use std::sync::Weak;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use super::auth::{Password, refused};
use super::saslprep;
use crate::error::Error;

type HmacSha256 = Hmac<Sha256>;

/// Random bytes in our nonce: 144 bits, as libpq.
const NONCE_BYTES: usize = 18;

/// Iterations between two looks at whether anybody still waits.
const CHECK_EVERY: u32 = 1_024;

/// What the exchange is bound to.
#[derive(Debug)]
pub(super) enum Binding {
    /// We cannot bind (no TLS, or a certificate without a usable hash).
    Unsupported,
    /// We could, but the server does not offer it; a server that did offer it fails the login (downgrade protection).
    NotOffered,
    /// `tls-server-end-point` with this hash of the server's certificate.
    EndPoint(Vec<u8>),
}

impl Binding {
    const fn gs2_header(&self) -> &'static str {
        match self {
            Self::Unsupported => "n,,",
            Self::NotOffered => "y,,",
            Self::EndPoint(_) => "p=tls-server-end-point,,",
        }
    }

    fn data(&self) -> &[u8] {
        match self {
            Self::Unsupported | Self::NotOffered => &[],
            Self::EndPoint(hash) => hash,
        }
    }
}

/// An exchange whose first message was sent.
#[derive(Debug)]
pub(super) struct Scram {
    nonce: String,
    binding: Binding,
    password: Password,
}

impl Scram {
    /// Starts an exchange with a fresh nonce.
    pub(super) fn new(password: &Password, binding: Binding) -> Result<Self, Error> {
        let mut random = [0; NONCE_BYTES];
        getrandom::fill(&mut random)
            .map_err(|error| Error::internal(format!("no random bytes for a nonce: {error}")))?;
        Ok(Self::with_nonce(password, binding, STANDARD.encode(random)))
    }

    pub(super) fn with_nonce(password: &Password, binding: Binding, nonce: String) -> Self {
        Self {
            nonce,
            binding,
            password: prepare(password),
        }
    }

    /// `client-first-message`. The user name is left out: the server takes the one of the start-up message.
    pub(super) fn first(&self) -> String {
        format!("{}n=,r={}", self.binding.gs2_header(), self.nonce)
    }

    /// Checks `server-first-message` and turns the exchange into the work it asks for. `max` 0 means no limit.
    pub(super) fn challenge(
        self,
        message: &[u8],
        max: u32,
        waiting: Weak<()>,
    ) -> Result<Derivation, Error> {
        let text = std::str::from_utf8(message).map_err(|_| malformed("is not UTF-8"))?;
        let mut parts = text.split(',');
        let nonce = attribute(parts.next(), "r=")?;
        if nonce.len() <= self.nonce.len() || !nonce.starts_with(&self.nonce) {
            return Err(refused("the server's SCRAM nonce does not continue ours"));
        }
        let salt = STANDARD
            .decode(attribute(parts.next(), "s=")?)
            .ok()
            .filter(|salt| !salt.is_empty())
            .ok_or_else(|| malformed("has no valid salt"))?;
        let iterations = iterations(attribute(parts.next(), "i=")?, max)?;
        let bound: Vec<u8> = [self.binding.gs2_header().as_bytes(), self.binding.data()].concat();
        let without_proof = format!("c={},r={nonce}", STANDARD.encode(bound));
        Ok(Derivation {
            auth_message: format!("n=,r={},{text},{without_proof}", self.nonce),
            password: self.password,
            salt,
            iterations,
            without_proof,
            waiting,
        })
    }
}

fn malformed(what: &str) -> Error {
    Error::protocol(format!("the server's SCRAM message {what}"))
}

fn attribute<'a>(part: Option<&'a str>, name: &str) -> Result<&'a str, Error> {
    part.and_then(|part| part.strip_prefix(name))
        .ok_or_else(|| malformed(&format!("lacks the attribute \"{name}\" where it belongs")))
}

fn iterations(text: &str, max: u32) -> Result<u32, Error> {
    let wrong = |what: String| {
        refused(format!(
            "SASL: SCRAM-SERVER-FIRST-MESSAGE: iteration count {what}"
        ))
    };
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(wrong("is not a number".into()));
    }
    match text.parse::<u32>() {
        Ok(0) => Err(wrong("is 0".into())),
        Ok(count) if max == 0 || count <= max => Ok(count),
        Ok(count) => Err(wrong(format!(
            "{count} is above the limit of {max}; raise scramMaxIterations to accept it"
        ))),
        Err(_) => Err(wrong(format!("{text:.20} does not fit 32 bits"))),
    }
}

/// SASLprep where the password allows it, the raw bytes elsewhere, as the server does.
///
/// Source: `pg_be_scram_build_secret` in `src/backend/libpq/auth-scram.c`.
fn prepare(password: &Password) -> Password {
    std::str::from_utf8(password.expose())
        .ok()
        .and_then(saslprep::prepare)
        .map_or_else(|| password.clone(), Password::new)
}

/// The work a SCRAM login costs: `iterations` rounds of HMAC. Belongs on a pool for blocking work.
#[derive(Debug)]
pub struct Derivation {
    password: Password,
    salt: Vec<u8>,
    iterations: u32,
    auth_message: String,
    without_proof: String,
    waiting: Weak<()>,
}

/// The result of [`Derivation::run`], for [`super::Startup::derived`].
#[derive(Debug)]
pub struct Derived(pub(super) Result<Proof, Error>);

/// Our proof, and what the server's must be.
pub(super) struct Proof {
    /// `client-final-message`.
    pub(super) response: String,
    /// HMAC over the exchange, keyed so that it yields the server's signature.
    expected: HmacSha256,
}

impl std::fmt::Debug for Proof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Proof")
    }
}

impl Derivation {
    /// Derives the keys. Takes about 0.15 µs per iteration; ends early once the [`super::Startup`]
    /// it came from was dropped.
    #[must_use]
    pub fn run(self) -> Derived {
        Derived(self.derive())
    }

    fn derive(&self) -> Result<Proof, Error> {
        let mut salted = self.salted_password()?;
        let mut client_key = sign(&salted, b"Client Key")?;
        let server_key = sign(&salted, b"Server Key")?;
        let signature = sign(&Sha256::digest(client_key), self.auth_message.as_bytes())?;
        xor(&mut client_key, &signature);
        let response = format!("{},p={}", self.without_proof, STANDARD.encode(client_key));
        let expected = keyed(&server_key)?.chain_update(self.auth_message.as_bytes());
        wipe(&mut salted);
        wipe(&mut client_key);
        Ok(Proof { response, expected })
    }

    /// PBKDF2 with one block (RFC 5802, `Hi`). The keyed HMAC is cloned, not keyed anew: half the hashing.
    fn salted_password(&self) -> Result<[u8; 32], Error> {
        let keyed = keyed(self.password.expose())?;
        let mut block: [u8; 32] = keyed
            .clone()
            .chain_update(&self.salt)
            .chain_update(1_u32.to_be_bytes())
            .finalize()
            .into_bytes()
            .into();
        let mut sum = block;
        for round in 1..self.iterations {
            if round % CHECK_EVERY == 0 && self.waiting.strong_count() == 0 {
                return Err(Error::internal("the login was given up"));
            }
            block = keyed
                .clone()
                .chain_update(block)
                .finalize()
                .into_bytes()
                .into();
            xor(&mut sum, &block);
        }
        Ok(sum)
    }
}

impl Proof {
    /// Checks `server-final-message` in constant time: only a server that knows the password's verifier can make it.
    pub(super) fn verify(self, message: &[u8]) -> Result<(), Error> {
        let text = std::str::from_utf8(message).map_err(|_| malformed("is not UTF-8"))?;
        let first = text.split(',').next();
        if let Some(error) = first.and_then(|part| part.strip_prefix("e=")) {
            return Err(refused(format!(
                "the server ended the SCRAM exchange: {}",
                error.escape_debug()
            )));
        }
        let signature = STANDARD
            .decode(attribute(first, "v=")?)
            .map_err(|_| malformed("has no valid signature"))?;
        self.expected.verify_slice(&signature).map_err(|_| {
            refused("the server could not prove that it knows the password (wrong SCRAM signature)")
        })
    }
}

fn keyed(key: &[u8]) -> Result<HmacSha256, Error> {
    HmacSha256::new_from_slice(key).map_err(|_| Error::internal("HMAC refused a key"))
}

fn sign(key: &[u8], message: &[u8]) -> Result<[u8; 32], Error> {
    Ok(keyed(key)?
        .chain_update(message)
        .finalize()
        .into_bytes()
        .into())
}

fn xor(sum: &mut [u8; 32], block: &[u8; 32]) {
    for (sum, byte) in sum.iter_mut().zip(block) {
        *sum ^= byte;
    }
}

fn wipe(secret: &mut [u8]) {
    secret.fill(0);
    // without a reader the compiler may drop the overwrite
    std::hint::black_box(secret);
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    /// RFC 7677, section 3. The vector names the user inside the exchange, which PostgreSQL's clients never do, so
    /// the exchange is put together here.
    #[test]
    fn the_exchange_of_rfc_7677_is_reproduced() {
        let alive = Arc::new(());
        let scram = Scram::with_nonce(
            &Password::new("pencil"),
            Binding::Unsupported,
            "rOprNGfwEbeRWgbNEkqO".into(),
        );
        assert_eq!(scram.first(), "n,,n=,r=rOprNGfwEbeRWgbNEkqO");
        let challenge = b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
        let mut derivation = scram
            .challenge(challenge, 4_096, Arc::downgrade(&alive))
            .unwrap();
        assert!(derivation.auth_message.starts_with("n=,r="));
        derivation.auth_message.replace_range(..3, "n=user,");
        let proof = derivation.run().0.unwrap();
        assert_eq!(
            proof.response,
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        );
        proof
            .verify(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=")
            .unwrap();
    }

    #[test]
    fn two_exchanges_never_share_a_nonce() {
        let password = Password::new("x");
        let first = || Scram::new(&password, Binding::Unsupported).unwrap().first();
        assert_ne!(first(), first());
        assert_eq!(first().len(), "n,,n=,r=".len() + 24);
    }
}
