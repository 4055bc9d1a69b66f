//! The TLS handshake: settings become one rustls configuration per target, shared by connects and cancels.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustls::client::danger::ServerCertVerifier;
use rustls::client::{ResolvesClientCert, Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, ServerName};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, RootCertStore, SignatureScheme};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::config::{ClientCertificate, Identity, Roots, SslMode, Tls, TlsVersion, Verify};
use crate::conn::transport::Transport;
use crate::conn::verify::{self, Checked, Unchecked};
use crate::error::{Error, TLS_BROKEN_OFF};

/// The protocol's name in ALPN (libpq 17 sends it with either negotiation).
const ALPN: &[u8] = b"postgresql";

/// TLS of one target: `None` when it is never used.
#[derive(Clone)]
pub struct Connector {
    config: Arc<ClientConfig>,
    server_name: Option<Box<str>>,
    /// Does the host's name have to be one that TLS can check?
    check_name: bool,
    direct: bool,
    must_be_asked: bool,
}

/// Why a handshake failed: a code for programs, a sentence for people.
pub type Failure = (&'static str, String);

impl Connector {
    /// Builds the configuration once for all connections of a target (rule T06).
    ///
    /// # Errors
    /// [`Error::Config`] when roots, lists, certificate or key are unreadable, or missing although the mode needs them.
    pub fn new(tls: &Tls) -> Result<Option<Self>, Error> {
        if tls.mode == SslMode::Disable {
            return Ok(None);
        }
        let provider = Arc::new(ring::default_provider());
        let verifier = verifier(tls, &provider)?;
        let versions: Vec<_> = [
            (TlsVersion::Tls12, &rustls::version::TLS12),
            (TlsVersion::Tls13, &rustls::version::TLS13),
        ]
        .into_iter()
        .filter(|(version, _)| (tls.oldest..=tls.newest).contains(version))
        .map(|(_, version)| version)
        .collect();
        let resolver = resolver(tls.identity.as_ref(), &provider)?;
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&versions)
            .map_err(|error| Error::config("sslmode", format!("cannot be used: {error}")))?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_client_cert_resolver(resolver);
        config.alpn_protocols = vec![ALPN.to_vec()];
        config.enable_sni = tls.sni;
        let must_be_asked = tls.certificate == ClientCertificate::Require;
        if must_be_asked {
            // A resumed session asks for no certificate.
            config.resumption = Resumption::disabled();
        }
        Ok(Some(Self {
            config: Arc::new(config),
            server_name: tls.server_name.clone(),
            check_name: tls.verify() == Verify::ChainAndName,
            direct: tls.direct,
            must_be_asked,
        }))
    }

    /// Begins with the handshake, without asking for it?
    #[must_use]
    pub const fn is_direct(&self) -> bool {
        self.direct
    }

    /// Shakes hands: on a connection whose server has answered `S`, or at once where that was agreed on.
    ///
    /// # Errors
    /// What failed. Nothing but the handshake was sent.
    pub async fn connect(
        &self,
        host: &str,
        stream: Transport,
    ) -> Result<TlsStream<Transport>, Failure> {
        let host = self.server_name.as_deref().unwrap_or(host);
        let (config, asked) = if self.must_be_asked {
            let (config, asked) = Asked::watch(&self.config);
            (Arc::new(config), Some(asked))
        } else {
            (Arc::clone(&self.config), None)
        };
        let name = match ServerName::try_from(host.to_owned()) {
            Ok(name) => name,
            // Nobody checks it, and an address is not sent either.
            Err(_) if !self.check_name => {
                ServerName::IpAddress(std::net::Ipv4Addr::UNSPECIFIED.into())
            }
            Err(_) => {
                let problem = format!("\"{host}\" is no name that a certificate can have");
                return Err(("ERR_TLS", problem));
            }
        };
        let stream = TlsConnector::from(config)
            .connect(name, stream)
            .await
            .map_err(|error| match failure(&error, host) {
                // The server wants TLS, so what broke off may work again. One that was not asked may not know it.
                (_, problem) if !self.direct && !is_refusal(&error) => (TLS_BROKEN_OFF, problem),
                failure => failure,
            })?;
        if self.direct && stream.get_ref().1.alpn_protocol() != Some(ALPN) {
            let problem = "the server took a direct TLS connection without agreeing on the protocol \"postgresql\"; \
                           direct negotiation needs PostgreSQL 17 or newer";
            return Err(("ERR_TLS", problem.to_owned()));
        }
        if asked.is_some_and(|asked| !asked.load(Ordering::Acquire)) {
            let problem =
                "the server did not ask for a client certificate, but sslcertmode is require";
            return Err(("ERR_TLS", problem.to_owned()));
        }
        Ok(stream)
    }
}

/// Did TLS itself fail, rather than the connection under it?
fn is_refusal(error: &io::Error) -> bool {
    let inner = error.get_ref();
    inner.is_some_and(<dyn std::error::Error + Send + Sync>::is::<rustls::Error>)
}

/// The failure behind an I/O error of a TLS connection.
#[must_use]
pub fn failure(error: &io::Error, host: &str) -> Failure {
    match error.get_ref().and_then(|inner| inner.downcast_ref()) {
        Some(inner) => (verify::code(inner), verify::problem(inner, host)),
        None if error.kind() == io::ErrorKind::UnexpectedEof => (
            "ERR_TLS",
            "TLS failed: the server closed the connection during the handshake".to_owned(),
        ),
        None => ("ERR_TLS", format!("TLS failed: {error}")),
    }
}

fn verifier(
    tls: &Tls,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, Error> {
    let verify = tls.verify();
    if verify == Verify::Nothing {
        return Ok(Arc::new(Unchecked::new(provider)));
    }
    let (store, given) = roots(&tls.roots)?;
    let mut lists = Vec::new();
    for pem in &tls.revoked {
        for list in CertificateRevocationListDer::pem_slice_iter(pem) {
            lists.push(
                list.map_err(|error| Error::config("sslcrl", format!("is no valid PEM: {error}")))?,
            );
        }
    }
    let chain = WebPkiServerVerifier::builder_with_provider(Arc::new(store), Arc::clone(provider))
        .with_crls(lists)
        .enforce_revocation_expiration()
        .build()
        .map_err(|error| Error::config("sslcrl", format!("cannot be used: {error}")))?;
    let check_name = verify == Verify::ChainAndName;
    Ok(Arc::new(Checked::new(chain, given, provider, check_name)))
}

/// The trusted roots, and those of them that were given one by one.
fn roots(roots: &Roots) -> Result<(RootCertStore, Vec<CertificateDer<'static>>), Error> {
    let bad = |problem: String| Error::config("sslrootcert", problem);
    let mut store = RootCertStore::empty();
    let mut given = Vec::new();
    match roots {
        Roots::None => {
            return Err(bad(
                "is missing: verify-ca and verify-full need root certificates (a file, or \"system\")".into(),
            ));
        }
        Roots::System => {
            store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
        Roots::Pem(pem) => {
            for certificate in CertificateDer::pem_slice_iter(pem) {
                let certificate =
                    certificate.map_err(|error| bad(format!("is no valid PEM: {error}")))?;
                given.push(certificate);
            }
            // As OpenSSL: a bundle with one certificate of old still serves with the others.
            let (_, ignored) = store.add_parsable_certificates(given.iter().cloned());
            if store.is_empty() && ignored > 0 {
                return Err(bad("holds no certificate that can be used".into()));
            }
        }
    }
    if store.is_empty() {
        return Err(bad("holds no certificate".into()));
    }
    Ok((store, given))
}

/// What answers a server that asks for a certificate.
fn resolver(
    identity: Option<&Identity>,
    provider: &CryptoProvider,
) -> Result<Arc<dyn ResolvesClientCert>, Error> {
    let Some(identity) = identity else {
        return Ok(Arc::new(NoCertificate));
    };
    let certificates = CertificateDer::pem_slice_iter(&identity.certificates)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| Error::config("sslcert", format!("is no valid PEM: {error}")))?;
    let key = PrivateKeyDer::from_pem_slice(identity.key.expose().as_bytes())
        .map_err(|_| Error::config("sslkey", "holds no private key that can be read"))?;
    let key = CertifiedKey::from_der(certificates, key, provider)
        .map_err(|error| Error::config("sslkey", format!("cannot be used: {error}")))?;
    Ok(Arc::new(SingleCertAndKey::from(key)))
}

/// There is no certificate to show.
#[derive(Debug)]
struct NoCertificate;

impl ResolvesClientCert for NoCertificate {
    fn resolve(&self, _hints: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}

/// Notes whether one handshake's server asked for the certificate.
#[derive(Debug)]
struct Asked {
    inner: Arc<dyn ResolvesClientCert>,
    asked: Arc<AtomicBool>,
}

impl Asked {
    /// The configuration for one handshake; all its parts are shared with the target's.
    fn watch(config: &ClientConfig) -> (ClientConfig, Arc<AtomicBool>) {
        let asked = Arc::new(AtomicBool::new(false));
        let mut config = config.clone();
        config.client_auth_cert_resolver = Arc::new(Self {
            inner: Arc::clone(&config.client_auth_cert_resolver),
            asked: Arc::clone(&asked),
        });
        (config, asked)
    }
}

impl ResolvesClientCert for Asked {
    fn resolve(&self, hints: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let key = self.inner.resolve(hints, schemes);
        self.asked.store(key.is_some(), Ordering::Release);
        key
    }

    fn has_certs(&self) -> bool {
        self.inner.has_certs()
    }
}
