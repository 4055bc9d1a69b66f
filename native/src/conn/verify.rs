//! Judges the server's certificate: nothing, the chain, or chain and name, as `sslmode` asks.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, DigitallySignedStruct, Error as TlsError, OtherError, SignatureScheme,
};
use webpki::RawPublicKeyEntity;

use crate::conn::certificate::{Certificate, names_host};
use crate::error::TLS_BROKEN_OFF;

/// Signatures are checked the same way whatever is checked of the certificate.
macro_rules! check_signatures {
    () => {
        fn verify_tls12_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signature: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, TlsError> {
            tls12_signature(message, certificate, signature, &self.algorithms)
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signature: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, TlsError> {
            tls13_signature(message, certificate, signature, &self.algorithms)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            self.algorithms.supported_schemes()
        }
    };
}

/// As for TLS 1.3 below. What may sign differs: RSA without PSS, and any curve with any hash.
fn tls12_signature(
    message: &[u8],
    certificate: &CertificateDer<'_>,
    signature: &DigitallySignedStruct,
    algorithms: &WebPkiSupportedAlgorithms,
) -> Result<HandshakeSignatureValid, TlsError> {
    match verify_tls12_signature(message, certificate, signature, algorithms) {
        Err(error @ TlsError::InvalidCertificate(CertificateError::Other(_))) => {
            let key = Certificate::new(certificate).public_key();
            let key = SubjectPublicKeyInfoDer::from(key.unwrap_or_default());
            let Ok(key) = RawPublicKeyEntity::try_from(&key) else {
                return Err(error);
            };
            let schemes = algorithms.mapping.iter();
            let named = schemes.filter(|(scheme, _)| *scheme == signature.scheme);
            let verified = named.flat_map(|(_, all)| *all).any(|algorithm| {
                let signed = key.verify_signature(*algorithm, message, signature.signature());
                signed.is_ok()
            });
            if verified {
                Ok(HandshakeSignatureValid::assertion())
            } else {
                Err(CertificateError::BadSignature.into())
            }
        }
        verdict => verdict,
    }
}

/// Certificates of version 1, which `openssl x509` made for decades, are not parsed by webpki; their key is.
fn tls13_signature(
    message: &[u8],
    certificate: &CertificateDer<'_>,
    signature: &DigitallySignedStruct,
    algorithms: &WebPkiSupportedAlgorithms,
) -> Result<HandshakeSignatureValid, TlsError> {
    match verify_tls13_signature(message, certificate, signature, algorithms) {
        Err(error @ TlsError::InvalidCertificate(CertificateError::Other(_))) => {
            let Some(key) = Certificate::new(certificate).public_key() else {
                return Err(error);
            };
            verify_tls13_signature_with_raw_key(
                message,
                &SubjectPublicKeyInfoDer::from(key),
                signature,
                algorithms,
            )
        }
        verdict => verdict,
    }
}

/// `require` without roots, as in libpq: encrypts, and believes any certificate.
#[derive(Debug)]
pub struct Unchecked {
    algorithms: WebPkiSupportedAlgorithms,
}

impl Unchecked {
    /// Signatures of the handshake are still checked.
    #[must_use]
    pub fn new(provider: &CryptoProvider) -> Self {
        Self {
            algorithms: provider.signature_verification_algorithms,
        }
    }
}

impl ServerCertVerifier for Unchecked {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        Ok(ServerCertVerified::assertion())
    }

    check_signatures!();
}

/// `verify-ca` and `verify-full`.
#[derive(Debug)]
pub struct Checked {
    chain: Arc<WebPkiServerVerifier>,
    /// Roots as given: a self-signed certificate among them is trusted as it is, as OpenSSL does.
    roots: Vec<CertificateDer<'static>>,
    algorithms: WebPkiSupportedAlgorithms,
    check_name: bool,
}

impl Checked {
    /// `roots` are those that `chain` was built with.
    #[must_use]
    pub fn new(
        chain: Arc<WebPkiServerVerifier>,
        roots: Vec<CertificateDer<'static>>,
        provider: &CryptoProvider,
        check_name: bool,
    ) -> Self {
        Self {
            chain,
            roots,
            algorithms: provider.signature_verification_algorithms,
            check_name,
        }
    }

    /// `Ok` when a root vouches for the certificate, with the verdict about its name where that is known already.
    fn chain(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<Option<TlsError>, TlsError> {
        match self
            .chain
            .verify_server_cert(end_entity, intermediates, name, &[], now)
        {
            Ok(_) => Ok(None),
            // The chain is checked before the name, so a complaint about the name means that the chain is good.
            Err(
                error @ TlsError::InvalidCertificate(
                    CertificateError::NotValidForName
                    | CertificateError::NotValidForNameContext { .. },
                ),
            ) => Ok(Some(error)),
            // webpki takes no authority for a server, but that is what a self-signed certificate usually says it is.
            Err(TlsError::InvalidCertificate(
                CertificateError::Other(_) | CertificateError::UnknownIssuer,
            )) if self.roots.iter().any(|root| root == end_entity) => {
                if !Certificate::new(end_entity).is_valid_at(now) {
                    return Err(CertificateError::Expired.into());
                }
                // One of version 1 is not parsed: it has no alternative names, so its common name decides.
                Ok(match ParsedCertificate::try_from(end_entity) {
                    Ok(parsed) => rustls::client::verify_server_name(&parsed, name).err(),
                    Err(_) => Some(CertificateError::NotValidForName.into()),
                })
            }
            // Nobody has signed it, which says more than that it claims to be an authority.
            Err(TlsError::InvalidCertificate(CertificateError::Other(_)))
                if Certificate::new(end_entity).is_self_issued() =>
            {
                Err(CertificateError::UnknownIssuer.into())
            }
            Err(error) => Err(error),
        }
    }
}

impl ServerCertVerifier for Checked {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        match self.chain(end_entity, intermediates, server_name, now)? {
            Some(error) if self.check_name => {
                let host = server_name.to_str();
                match Certificate::new(end_entity).common_name() {
                    Some(name) if names_host(&name, &host) => Ok(ServerCertVerified::assertion()),
                    _ => Err(error),
                }
            }
            _ => Ok(ServerCertVerified::assertion()),
        }
    }

    check_signatures!();
}

/// The code of a failed handshake, in Node's words where there are such.
#[must_use]
pub fn code(error: &TlsError) -> &'static str {
    use CertificateError as Certificate;
    let TlsError::InvalidCertificate(problem) = error else {
        return "ERR_TLS";
    };
    match problem {
        Certificate::Expired | Certificate::ExpiredContext { .. } => "CERT_HAS_EXPIRED",
        Certificate::NotValidYet | Certificate::NotValidYetContext { .. } => "CERT_NOT_YET_VALID",
        Certificate::Revoked => "CERT_REVOKED",
        Certificate::UnknownIssuer => "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
        Certificate::UnknownRevocationStatus => "UNABLE_TO_GET_CRL",
        Certificate::ExpiredRevocationList | Certificate::ExpiredRevocationListContext { .. } => {
            "CRL_HAS_EXPIRED"
        }
        Certificate::NotValidForName | Certificate::NotValidForNameContext { .. } => {
            "ERR_TLS_CERT_ALTNAME_INVALID"
        }
        _ => "ERR_TLS",
    }
}

/// Is it the code of a failed handshake?
#[must_use]
pub fn is_handshake_code(code: &str) -> bool {
    matches!(
        code,
        "ERR_TLS"
            | TLS_BROKEN_OFF
            | "CERT_HAS_EXPIRED"
            | "CERT_NOT_YET_VALID"
            | "CERT_REVOKED"
            | "UNABLE_TO_VERIFY_LEAF_SIGNATURE"
            | "UNABLE_TO_GET_CRL"
            | "CRL_HAS_EXPIRED"
            | "ERR_TLS_CERT_ALTNAME_INVALID"
    )
}

/// What went wrong, as a sentence that says what to do about it.
#[must_use]
pub fn problem(error: &TlsError, host: &str) -> String {
    let what = match code(error) {
        "CERT_HAS_EXPIRED" => "the server's certificate has expired".to_owned(),
        "CERT_NOT_YET_VALID" => "the server's certificate is not valid yet; are the clocks right?".to_owned(),
        "CERT_REVOKED" => "the server's certificate was revoked".to_owned(),
        "UNABLE_TO_VERIFY_LEAF_SIGNATURE" => {
            "no trusted root has signed the server's certificate; name the right roots in sslrootcert or ssl.ca".to_owned()
        }
        "UNABLE_TO_GET_CRL" => {
            "no revocation list clears the server's certificate; sslcrl needs one from each of its issuers".to_owned()
        }
        "CRL_HAS_EXPIRED" => "the revocation list in sslcrl has expired".to_owned(),
        "ERR_TLS_CERT_ALTNAME_INVALID" => {
            format!("the server's certificate does not name the host \"{host}\"")
        }
        _ => match error {
            TlsError::AlertReceived(alert) => format!("the server ended TLS with the alert {alert:?}"),
            TlsError::InvalidCertificate(CertificateError::Other(OtherError(problem))) => {
                format!("the server's certificate cannot be used: {problem}")
            }
            other => other.to_string(),
        },
    };
    format!("TLS failed: {what}")
}
