//! TLS of a target as settings: when it is used, whose certificates are trusted, what is shown to the server.

use super::secret::Secret;

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

    /// May the connection end up in plain text?
    #[must_use]
    pub const fn is_weak(self) -> bool {
        matches!(self, Self::Disable | Self::Allow | Self::Prefer)
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

/// A version of the TLS protocol that the engine speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// 1.2
    Tls12,
    /// 1.3
    Tls13,
}

/// `sslcertmode`: is the client's certificate shown?
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientCertificate {
    /// Never.
    Disable,
    /// When the server asks for it and there is one.
    #[default]
    Allow,
    /// Always: a server that does not ask for it is left.
    Require,
}

/// A certificate to show, with its private key.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The certificate and its intermediates, PEM.
    pub certificates: Box<[u8]>,
    /// The key, PEM and decrypted.
    pub key: Secret,
}

/// TLS settings of a target.
#[derive(Clone, Debug)]
pub struct Tls {
    /// When TLS is used.
    pub mode: SslMode,
    /// Start with the handshake instead of asking for it (`sslnegotiation=direct`).
    pub direct: bool,
    /// Trusted roots.
    pub roots: Roots,
    /// Certificate revocation lists, PEM; with one, every certificate of a chain needs a list that clears it.
    pub revoked: Vec<Box<[u8]>>,
    /// What is shown when the server asks who we are.
    pub identity: Option<Identity>,
    /// When it is shown.
    pub certificate: ClientCertificate,
    /// Oldest version of the protocol. Default 1.2.
    pub oldest: TlsVersion,
    /// Newest version of the protocol. Default 1.3.
    pub newest: TlsVersion,
    /// Send the host's name in the handshake. Default: yes.
    pub sni: bool,
    /// Name to send and to check in place of the host's own.
    pub server_name: Option<Box<str>>,
    /// The caller has a function that looks at the certificate in place of the check of names.
    pub identity_function: bool,
}

impl Default for Tls {
    fn default() -> Self {
        Self {
            mode: SslMode::default(),
            direct: false,
            roots: Roots::None,
            revoked: Vec::new(),
            identity: None,
            certificate: ClientCertificate::default(),
            oldest: TlsVersion::Tls12,
            newest: TlsVersion::Tls13,
            sni: true,
            server_name: None,
            identity_function: false,
        }
    }
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
