//! A server's side of the login, made from the reference crate's verifier, so that our client is not tested against
//! itself.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use postgres_protocol::password::scram_sha_256;
use sha2::{Digest, Sha256};

use super::super::{AuthMethods, Password, Session, Startup, StartupSettings, Step};
use super::*;

pub(super) fn authentication(code: i32, rest: &[u8]) -> Vec<u8> {
    message(b'R', &[&code.to_be_bytes(), rest].concat())
}

pub(super) fn settings(password: Option<&str>) -> StartupSettings {
    StartupSettings {
        password: password.map(Password::new),
        ..StartupSettings::new("tester")
    }
}

pub(super) fn only(methods: &str) -> AuthMethods {
    AuthMethods::parse(methods).unwrap()
}

/// What a client and a script came to.
pub(super) struct Client {
    pub(super) startup: Startup,
    pub(super) input: BytesMut,
    pub(super) out: BytesMut,
}

impl Client {
    pub(super) fn new(settings: StartupSettings) -> Self {
        let mut startup = Startup::new(settings).unwrap();
        let mut out = BytesMut::new();
        startup.first_message(&mut out).unwrap();
        out.clear();
        Self {
            startup,
            input: BytesMut::new(),
            out,
        }
    }

    /// Feeds bytes and runs derivations until the client needs more.
    pub(super) fn hear(&mut self, bytes: &[u8]) -> Result<Option<Session>, Error> {
        self.input.extend_from_slice(bytes);
        loop {
            match self.startup.feed(&mut self.input, &mut self.out)? {
                Step::NeedMore => return Ok(None),
                Step::Derive(derivation) => {
                    self.startup.derived(derivation.run(), &mut self.out)?;
                }
                Step::AskPassword => self.startup.password(Password::new("asked-for")),
                Step::Done(session) => return Ok(Some(session)),
            }
        }
    }

    /// Takes the next message the client has written.
    pub(super) fn said(&mut self) -> (u8, Vec<u8>) {
        let length =
            usize::try_from(i32::from_be_bytes(self.out[1..5].try_into().unwrap())).unwrap();
        let message = self.out.split_to(length + 1);
        (message[0], message[5..].to_vec())
    }
}

/// Feeds a whole script.
pub(super) fn login(
    settings: StartupSettings,
    script: &[Vec<u8>],
) -> Result<Option<Session>, Error> {
    Client::new(settings).hear(&script.concat())
}

/// The sentence of a refused login.
pub(super) fn refusal(outcome: Result<Option<Session>, Error>) -> String {
    match outcome {
        Err(Error::Connect {
            code: "ERR_AUTH",
            problem,
            host,
        }) if host.is_empty() => problem.into(),
        other => panic!("a refused login was expected, got {other:?}"),
    }
}

/// What a healthy server says after authentication.
pub(super) fn greeting() -> Vec<u8> {
    [
        message(b'S', b"server_version\x0018.4\0"),
        message(b'S', b"client_encoding\0UTF8\0"),
        message(b'K', b"\0\0\x12\x34abcd"),
        ready(b'I'),
    ]
    .concat()
}

/// Changes a message of the server: its name (`first` or `final`) and text.
pub(super) type Distort = fn(&str, String) -> String;

/// One SCRAM login seen from the server.
pub(super) struct ScramServer {
    pub(super) password: &'static [u8],
    pub(super) mechanisms: &'static [u8],
    /// Changes what the server says, by name of the message.
    pub(super) distort: Distort,
}

impl ScramServer {
    pub(super) const fn honest(password: &'static [u8]) -> Self {
        Self {
            password,
            mechanisms: b"SCRAM-SHA-256\0\0",
            distort: |_, text| text,
        }
    }

    /// Runs the exchange up to AuthenticationOk; the client's gs2 header, and the session.
    pub(super) fn run(&self, settings: StartupSettings) -> Result<(String, Session), Error> {
        let mut client = Client::new(settings);
        client.hear(&authentication(10, self.mechanisms))?;
        let (tag, body) = client.said();
        assert_eq!(tag, b'p');
        let end = body.iter().position(|byte| *byte == 0).unwrap();
        let first = String::from_utf8(body[end + 5..].to_vec()).unwrap();
        let bare = &first[first.find("n=").unwrap()..];
        let header = first[..first.len() - bare.len()].to_string();
        // "SCRAM-SHA-256$<iterations>:<salt>$<stored key>:<server key>"
        let verifier = scram_sha_256(self.password);
        let mut parts = verifier.split(['$', ':']).skip(1);
        let (iterations, salt) = (parts.next().unwrap(), parts.next().unwrap());
        let [stored, server] =
            [parts.next().unwrap(), parts.next().unwrap()].map(|key| STANDARD.decode(key).unwrap());
        let nonce = format!("{}serverpart", bare.strip_prefix("n=,r=").unwrap());
        let challenge = (self.distort)("first", format!("r={nonce},s={salt},i={iterations}"));
        client.hear(&authentication(11, challenge.as_bytes()))?;
        let (_, body) = client.said();
        let reply = String::from_utf8(body).unwrap();
        let (unproven, proof) = reply.split_once(",p=").unwrap();
        assert!(unproven.ends_with(&format!(",r={nonce}")));
        let exchange = format!("{bare},{challenge},{unproven}");
        let sign = |key: &[u8]| {
            let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
            mac.update(exchange.as_bytes());
            mac.finalize().into_bytes()
        };
        let key: Vec<u8> = STANDARD
            .decode(proof)
            .unwrap()
            .iter()
            .zip(sign(&stored))
            .map(|(proof, byte)| proof ^ byte)
            .collect();
        if Sha256::digest(&key).to_vec() != stored {
            client.hear(&fields(
                b'E',
                &[(b'S', "FATAL"), (b'C', "28P01"), (b'M', "wrong password")],
            ))?;
        }
        let verdict = (self.distort)("final", format!("v={}", STANDARD.encode(sign(&server))));
        if !verdict.is_empty() {
            client.hear(&authentication(12, verdict.as_bytes()))?;
        }
        let session = client.hear(&[authentication(0, b""), greeting()].concat())?;
        Ok((header, session.expect("a session")))
    }
}
