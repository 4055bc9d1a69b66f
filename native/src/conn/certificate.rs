//! What of the server's certificate is looked at besides its chain: the hash to bind to, names, validity.

use std::time::Duration;

use rustls::pki_types::UnixTime;
use sha2::{Digest, Sha224, Sha256, Sha384, Sha512};
use x509_cert::certificate::{CertificateInner, Raw};
use x509_cert::der::asn1::{Ia5StringRef, ObjectIdentifier, PrintableStringRef, Utf8StringRef};
use x509_cert::der::{Decode, Encode, Tagged};

/// `id-ce-subjectAltName`
const ALT_NAMES: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.17");
/// `id-at-commonName`
const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
/// `id-RSASSA-PSS`, whose hash is in its parameters
const RSA_PSS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.10");

/// The hash a certificate is bound to.
#[derive(Clone, Copy)]
enum Hash {
    Sha224,
    Sha256,
    Sha384,
    Sha512,
}

/// Hashes of signature algorithms and of the parameters of RSA-PSS. MD5 and SHA-1 count as SHA-256 (RFC 5929, 4.1).
const HASHES: [(&str, Hash); 16] = [
    ("1.2.840.113549.1.1.4", Hash::Sha256),  // RSA, MD5
    ("1.2.840.113549.1.1.5", Hash::Sha256),  // RSA, SHA-1
    ("1.2.840.113549.1.1.14", Hash::Sha224), // RSA
    ("1.2.840.113549.1.1.11", Hash::Sha256),
    ("1.2.840.113549.1.1.12", Hash::Sha384),
    ("1.2.840.113549.1.1.13", Hash::Sha512),
    ("1.2.840.10045.4.1", Hash::Sha256),   // ECDSA, SHA-1
    ("1.2.840.10045.4.3.1", Hash::Sha224), // ECDSA
    ("1.2.840.10045.4.3.2", Hash::Sha256),
    ("1.2.840.10045.4.3.3", Hash::Sha384),
    ("1.2.840.10045.4.3.4", Hash::Sha512),
    ("1.3.14.3.2.26", Hash::Sha256), // SHA-1
    ("2.16.840.1.101.3.4.2.4", Hash::Sha224),
    ("2.16.840.1.101.3.4.2.1", Hash::Sha256),
    ("2.16.840.1.101.3.4.2.2", Hash::Sha384),
    ("2.16.840.1.101.3.4.2.3", Hash::Sha512),
];

/// A certificate, parsed as far as needed. What cannot be parsed has no hash, no names and no validity.
pub struct Certificate<'a> {
    der: &'a [u8],
    parsed: Option<CertificateInner<Raw>>,
}

impl<'a> Certificate<'a> {
    /// Looks at a certificate in DER.
    #[must_use]
    pub fn new(der: &'a [u8]) -> Self {
        Self {
            der,
            parsed: CertificateInner::from_der(der).ok(),
        }
    }

    /// The data of `tls-server-end-point`; `None` where the signature has no hash of its own (Ed25519) or an unknown one.
    #[must_use]
    pub fn end_point(&self) -> Option<Vec<u8>> {
        let algorithm = &self.parsed.as_ref()?.signature_algorithm;
        let name = if algorithm.oid == RSA_PSS {
            // SEQUENCE { [0] { SEQUENCE { OID hash, … } }, … }; without [0] it is SHA-1
            let parameters = algorithm.parameters.as_ref()?.value();
            match parameters {
                [0xa0, _, 0x30, _, rest @ ..] => ObjectIdentifier::from_bytes(oid(rest)?).ok()?,
                _ => ObjectIdentifier::new("1.3.14.3.2.26").ok()?,
            }
        } else {
            algorithm.oid
        }
        .to_string();
        let (_, hash) = HASHES.iter().find(|(known, _)| *known == name)?;
        Some(match hash {
            Hash::Sha224 => Sha224::digest(self.der).to_vec(),
            Hash::Sha256 => Sha256::digest(self.der).to_vec(),
            Hash::Sha384 => Sha384::digest(self.der).to_vec(),
            Hash::Sha512 => Sha512::digest(self.der).to_vec(),
        })
    }

    /// The subject's common name, unless there are alternative names: then it has no meaning (RFC 6125, 6.4.4).
    #[must_use]
    pub fn common_name(&self) -> Option<String> {
        let tbs = &self.parsed.as_ref()?.tbs_certificate;
        let mut extensions = tbs.extensions.iter().flatten();
        if extensions.any(|extension| extension.extn_id == ALT_NAMES) {
            return None;
        }
        let mut attributes = tbs.subject.0.iter().flat_map(|set| set.0.iter());
        // The most specific one is the last.
        let value = &attributes
            .rfind(|attribute| attribute.oid == COMMON_NAME)?
            .value;
        let text = match value.tag() {
            x509_cert::der::Tag::Utf8String => Utf8StringRef::try_from(value).ok()?.to_string(),
            x509_cert::der::Tag::PrintableString => {
                PrintableStringRef::try_from(value).ok()?.to_string()
            }
            x509_cert::der::Tag::Ia5String => Ia5StringRef::try_from(value).ok()?.to_string(),
            _ => return None,
        };
        // A NUL inside would let one name pass for another.
        (!text.contains('\0')).then_some(text)
    }

    /// Does it name itself as its issuer?
    #[must_use]
    pub fn is_self_issued(&self) -> bool {
        self.parsed
            .as_ref()
            .is_some_and(|parsed| parsed.tbs_certificate.issuer == parsed.tbs_certificate.subject)
    }

    /// Is the moment inside the certificate's validity?
    #[must_use]
    pub fn is_valid_at(&self, now: UnixTime) -> bool {
        self.parsed.as_ref().is_some_and(|parsed| {
            let validity = &parsed.tbs_certificate.validity;
            let now = Duration::from_secs(now.as_secs());
            validity.not_before.to_unix_duration() <= now
                && now <= validity.not_after.to_unix_duration()
        })
    }

    /// The public key as `SubjectPublicKeyInfo` in DER.
    #[must_use]
    pub fn public_key(&self) -> Option<Vec<u8>> {
        let tbs = &self.parsed.as_ref()?.tbs_certificate;
        tbs.subject_public_key_info.to_der().ok()
    }
}

/// The value of the object identifier that `bytes` begin with.
fn oid(bytes: &[u8]) -> Option<&[u8]> {
    match bytes {
        [6, length, rest @ ..] => rest.get(..usize::from(*length)),
        _ => None,
    }
}

/// Does a name of a certificate stand for this host? One leading `*` stands for one label, as in libpq.
///
/// Source: `wildcard_certificate_match` in `src/interfaces/libpq/fe-secure-common.c`.
#[must_use]
pub fn names_host(name: &str, host: &str) -> bool {
    if name.eq_ignore_ascii_case(host) {
        return true;
    }
    let Some(suffix) = name.strip_prefix('*').filter(|rest| rest.starts_with('.')) else {
        return false;
    };
    let Some((label, rest)) = host.split_once('.') else {
        return false;
    };
    // "*." alone is no domain
    !label.is_empty()
        && suffix.len() > 1
        && suffix
            .get(1..)
            .is_some_and(|tail| tail.eq_ignore_ascii_case(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sec_t03_a_common_name_stands_for_a_host_as_in_libpq() {
        for (name, host, expected) in [
            ("db.example.com", "db.example.com", true),
            ("DB.Example.com", "db.example.COM", true),
            ("*.example.com", "db.example.com", true),
            ("*.example.com", "example.com", false),
            ("*.example.com", "a.db.example.com", false),
            ("*.example.com", ".example.com", false),
            ("d*.example.com", "db.example.com", false),
            ("*", "db", false),
            ("*.", "db.", false),
            ("", "db", false),
        ] {
            assert_eq!(names_host(name, host), expected, "{name} {host}");
        }
    }

    #[test]
    fn bytes_that_are_no_certificate_have_nothing() {
        let nothing = Certificate::new(b"\x30\x03\x02\x01\x00");
        assert!(nothing.end_point().is_none() && nothing.common_name().is_none());
        assert!(!nothing.is_valid_at(UnixTime::since_unix_epoch(Duration::from_secs(1))));
        assert!(nothing.public_key().is_none());
    }
}
