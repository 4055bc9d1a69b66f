//! Authentication: which methods are answered, and in which order their messages may come.
//!
//! The server is not trusted here. A method outside the caller's policy is refused before anything secret is written,
//! and success counts only when the method's own last message was seen (rules A01, A02, A04, A07).

use std::fmt;
use std::sync::{Arc, Weak};

use bytes::BytesMut;
use postgres_protocol::authentication::{md5_hash, sasl};
use postgres_protocol::message::frontend;

use super::backend::{Message, Reader};
use super::methods::Method;
use super::scram::{Binding, Derivation, Derived, Proof, Scram};
use super::settings::StartupSettings;
use crate::error::Error;

/// A password. `Debug` does not show it and its bytes are overwritten when it is dropped.
///
/// The overwrite is best effort: copies the caller, an allocator or the send buffer made are out of reach.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(Vec<u8>);

impl Password {
    /// Takes over text or bytes.
    pub fn new(password: impl Into<Vec<u8>>) -> Self {
        Self(password.into())
    }

    pub(super) fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

impl Drop for Password {
    fn drop(&mut self) {
        self.0.fill(0);
        // without a reader the compiler may drop the overwrite
        std::hint::black_box(&self.0);
    }
}

/// A login that cannot go on. The driver fills the host in.
pub(super) fn refused(problem: impl Into<Box<str>>) -> Error {
    Error::Connect {
        host: "".into(),
        code: "ERR_AUTH",
        problem: problem.into(),
    }
}

/// How far the authentication has come.
#[derive(Debug)]
enum State {
    /// The server has asked for nothing yet.
    Start,
    /// A password was sent; only success may follow.
    Answered,
    /// The first SCRAM message was sent.
    Challenged(Scram),
    /// Our proof is being derived.
    Deriving,
    /// Our proof was sent.
    Proven(Proof),
    /// The server's proof was right; only success may follow.
    Verified,
    /// Over, or failed.
    Done,
}

/// What an authentication message led to.
#[derive(Debug)]
pub(super) enum Progress {
    /// The exchange goes on.
    Continue,
    /// Work to be done before it goes on.
    Derive(Derivation),
    /// The server is satisfied, and so are we.
    Authenticated,
}

/// The exchange of one attempt.
#[derive(Debug)]
pub(super) struct Auth {
    state: State,
    /// Kept alive by the attempt; a derivation that outlives it stops.
    alive: Arc<()>,
}

impl Auth {
    pub(super) fn new() -> Self {
        Self {
            state: State::Start,
            alive: Arc::new(()),
        }
    }

    pub(super) const fn deriving(&self) -> bool {
        matches!(self.state, State::Deriving)
    }

    /// Answers one `Authentication…` message: `i32` method, then what the method adds.
    pub(super) fn request(
        &mut self,
        message: Message<'_>,
        settings: &mut StartupSettings,
        out: &mut BytesMut,
    ) -> Result<Progress, Error> {
        let mut reader = Reader::new(message);
        let code = reader.i32()?;
        match (std::mem::replace(&mut self.state, State::Done), code) {
            (State::Start, 0) => {
                admit(Method::None, settings)?;
                succeed(reader, settings)
            }
            (State::Answered | State::Verified, 0) => succeed(reader, settings),
            (State::Challenged(_) | State::Proven(_), 0) => Err(refused(
                "the server claims success without having proven that it knows the password",
            )),
            (State::Start, 3) => {
                reader.end()?;
                self.cleartext(settings, out)
            }
            (State::Start, 5) => {
                let salt = reader.u32()?.to_be_bytes();
                reader.end()?;
                self.md5(salt, settings, out)
            }
            (State::Start, 10) => self.sasl(reader, settings, out),
            (State::Challenged(scram), 11) => {
                let waiting: Weak<()> = Arc::downgrade(&self.alive);
                let derivation =
                    scram.challenge(reader.remaining(), settings.scram_max_iterations, waiting)?;
                self.state = State::Deriving;
                Ok(Progress::Derive(derivation))
            }
            (State::Proven(proof), 12) => {
                proof.verify(reader.remaining())?;
                self.state = State::Verified;
                Ok(Progress::Continue)
            }
            (State::Start, other) => Err(unsupported(other)),
            (state, other) => Err(Error::protocol(format!(
                "authentication message {other} came in the state {}",
                state.name()
            ))),
        }
    }

    fn cleartext(
        &mut self,
        settings: &StartupSettings,
        out: &mut BytesMut,
    ) -> Result<Progress, Error> {
        admit(Method::Password, settings)?;
        if !settings.encrypted && !settings.allow_cleartext {
            return Err(refused(
                "the server asks for the password in clear text on a connection without TLS; use sslmode=require or \
                 stronger, or set allowCleartext to send it anyway",
            ));
        }
        let password = password(settings, "a clear-text password")?;
        self.send_password(password.expose(), out)
    }

    fn md5(
        &mut self,
        salt: [u8; 4],
        settings: &StartupSettings,
        out: &mut BytesMut,
    ) -> Result<Progress, Error> {
        admit(Method::Md5, settings)?;
        let password = password(settings, "an MD5 password")?;
        let hash = md5_hash(settings.user.as_bytes(), password.expose(), salt);
        self.send_password(hash.as_bytes(), out)
    }

    fn send_password(&mut self, password: &[u8], out: &mut BytesMut) -> Result<Progress, Error> {
        frontend::password_message(password, out)
            .map_err(|error| Error::encode(error.to_string()))?;
        self.state = State::Answered;
        Ok(Progress::Continue)
    }

    /// `AuthenticationSASL`: names of mechanisms, each with NUL, and a NUL behind the last.
    fn sasl(
        &mut self,
        mut reader: Reader<'_>,
        settings: &StartupSettings,
        out: &mut BytesMut,
    ) -> Result<Progress, Error> {
        let mut offered = Vec::new();
        loop {
            match reader.cstr()? {
                [] => break,
                name => offered.push(name),
            }
        }
        reader.end()?;
        admit(Method::Scram, settings)?;
        let plus = offered.contains(&sasl::SCRAM_SHA_256_PLUS.as_bytes());
        let plain = offered.contains(&sasl::SCRAM_SHA_256.as_bytes());
        let hash = settings
            .channel_binding
            .as_ref()
            .filter(|hash| !hash.is_empty());
        let (mechanism, binding) = match hash {
            Some(hash) if plus => (sasl::SCRAM_SHA_256_PLUS, Binding::EndPoint(hash.clone())),
            _ if settings.require_channel_binding => {
                return Err(refused(if plus {
                    "channel binding is required, but there is no TLS or the server's certificate cannot be bound to"
                } else {
                    "channel binding is required, but the server does not offer SCRAM-SHA-256-PLUS"
                }));
            }
            Some(_) if plain => (sasl::SCRAM_SHA_256, Binding::NotOffered),
            None if plus && !settings.encrypted => {
                return Err(refused(
                    "the server offers channel binding on a connection without TLS: somebody between us removed it",
                ));
            }
            None if plain => (sasl::SCRAM_SHA_256, Binding::Unsupported),
            _ => {
                let names = String::from_utf8_lossy(&offered.join(&b", "[..]))
                    .escape_debug()
                    .to_string();
                return Err(refused(format!(
                    "the server offers only SASL mechanisms that are not supported: {names}"
                )));
            }
        };
        let scram = Scram::new(password(settings, mechanism)?, binding)?;
        frontend::sasl_initial_response(mechanism, scram.first().as_bytes(), out)
            .map_err(|error| Error::encode(error.to_string()))?;
        self.state = State::Challenged(scram);
        Ok(Progress::Continue)
    }

    /// Sends the proof that was derived.
    pub(super) fn derived(&mut self, derived: Derived, out: &mut BytesMut) -> Result<(), Error> {
        if !self.deriving() {
            return Err(Error::internal("a SCRAM proof came that nobody asked for"));
        }
        let proof = derived.0?;
        frontend::sasl_response(proof.response.as_bytes(), out)
            .map_err(|error| Error::encode(error.to_string()))?;
        self.state = State::Proven(proof);
        Ok(())
    }
}

impl State {
    const fn name(&self) -> &'static str {
        match self {
            Self::Start => "\"nothing asked\"",
            Self::Answered => "\"password sent\"",
            Self::Challenged(_) => "\"SCRAM started\"",
            Self::Deriving => "\"SCRAM proof being derived\"",
            Self::Proven(_) => "\"SCRAM proof sent\"",
            Self::Verified => "\"SCRAM verified\"",
            Self::Done => "\"over\"",
        }
    }
}

/// The server is satisfied; the password is not needed any more.
fn succeed(reader: Reader<'_>, settings: &mut StartupSettings) -> Result<Progress, Error> {
    reader.end()?;
    settings.password = None;
    Ok(Progress::Authenticated)
}

/// Refuses a method that the caller's policy excludes. Only SCRAM can bind to the TLS channel, so with that required
/// every other method ends here, before anything secret is written.
fn admit(method: Method, settings: &StartupSettings) -> Result<(), Error> {
    settings.methods.check(method)?;
    if settings.require_channel_binding && method != Method::Scram {
        return Err(refused(format!(
            "channel binding is required, but the server asks for {}, which has none",
            method.name()
        )));
    }
    Ok(())
}

fn password<'a>(settings: &'a StartupSettings, method: &str) -> Result<&'a Password, Error> {
    settings.password.as_ref().ok_or_else(|| {
        refused(format!(
            "the server asks for {method} and no password is set; set password or PGPASSWORD"
        ))
    })
}

fn unsupported(code: i32) -> Error {
    let name = match code {
        2 => "Kerberos V5",
        6 => "SCM credentials",
        7 => "GSSAPI",
        9 => "SSPI",
        _ => {
            return refused(format!(
                "the server asks for the unknown authentication method {code}"
            ));
        }
    };
    refused(format!(
        "the server asks for {name} authentication, which is not supported"
    ))
}
