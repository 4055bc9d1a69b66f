//! Certificates, keys and revocation lists: PEM text, or a file of it.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use pkcs8::{EncryptedPrivateKeyInfo, LineEnding, SecretDocument};

use super::secret::Secret;

/// Largest file that is read for certificates. The bundle of a Linux distribution has about 220 KiB.
const MAX_BYTES: u64 = 4_194_304;

/// Most files that a directory of revocation lists may have.
const MAX_FILES: usize = 1_000;

/// What a text must hold.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// `CERTIFICATE`
    Certificate,
    /// `X509 CRL`
    RevocationList,
}

impl Kind {
    const fn label(self) -> &'static str {
        match self {
            Self::Certificate => "-----BEGIN CERTIFICATE-----",
            Self::RevocationList => "-----BEGIN X509 CRL-----",
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Certificate => "PEM certificate",
            Self::RevocationList => "PEM certificate revocation list",
        }
    }
}

/// Is it PEM text rather than a path?
pub(super) fn is_pem(text: &str) -> bool {
    text.starts_with("-----BEGIN ")
}

/// PEM text that holds at least one of `kind`, given as it is or by the path of its file.
///
/// Problems complete `option "…" …` and never repeat the path: it is user text.
pub(super) fn read(given: &str, kind: Kind) -> Result<Box<[u8]>, String> {
    let (bytes, verb) = if is_pem(given) {
        (given.as_bytes().to_vec(), "must contain")
    } else {
        (file(Path::new(given))?, "must name a file with")
    };
    if !contains(&bytes, kind) {
        return Err(format!("{verb} a {}", kind.name()));
    }
    Ok(bytes.into())
}

/// Every revocation list in a directory; other files are passed over.
///
/// OpenSSL finds the lists of a directory by the hashes in their names; here their content counts.
pub(super) fn read_directory(path: &Path) -> Result<Vec<Box<[u8]>>, String> {
    let entries = fs::read_dir(path)
        .map_err(|error| format!("names a directory that cannot be read ({})", error.kind()))?;
    let mut lists: Vec<Box<[u8]>> = Vec::new();
    for entry in entries.take(MAX_FILES).filter_map(Result::ok) {
        let bytes = file(&entry.path()).unwrap_or_default();
        if contains(&bytes, Kind::RevocationList) {
            lists.push(bytes.into());
        }
    }
    if lists.is_empty() {
        return Err("must name a directory with PEM certificate revocation lists".into());
    }
    Ok(lists)
}

/// A private key in PEM, decrypted with `password`, given as it is or by the path of its file (PEM or DER).
pub(super) fn read_key(given: &str, password: Option<&str>) -> Result<Secret, String> {
    if is_pem(given) {
        return decrypt(Secret::new(given.to_owned()), password);
    }
    let path = Path::new(given);
    let bytes = file(path)?;
    check_permissions(path)?;
    let key = match String::from_utf8(bytes) {
        Ok(text) if text.contains("-----BEGIN ") => Secret::new(text),
        Ok(text) => from_der(text.as_bytes())?,
        Err(error) => from_der(error.as_bytes())?,
    };
    decrypt(key, password)
}

/// libpq's rule: nobody but the owner, or group too where root owns the file.
///
/// Source: `initialize_SSL` in `src/interfaces/libpq/fe-secure-openssl.c`.
#[cfg(unix)]
fn check_permissions(path: &Path) -> Result<(), String> {
    use std::os::unix::fs::MetadataExt;
    let metadata = fs::metadata(path)
        .map_err(|error| format!("names a file that cannot be read ({})", error.kind()))?;
    let forbidden = if metadata.uid() == 0 { 0o037 } else { 0o077 };
    if metadata.mode() & forbidden != 0 {
        return Err(
            "names a private key file that group or others have access to; its permissions must be 0600 or less, or \
             0640 or less if root owns it"
                .into(),
        );
    }
    Ok(())
}

#[cfg(not(unix))]
#[allow(clippy::unnecessary_wraps, reason = "the Unix version can fail")]
fn check_permissions(_path: &Path) -> Result<(), String> {
    Ok(())
}

/// DER to PEM. The label follows from the structure: PKCS#8 has an algorithm (a sequence) behind its version number.
fn from_der(bytes: &[u8]) -> Result<Secret, String> {
    let wrong = || "must name a file with a private key, PEM or DER".to_owned();
    let label = if EncryptedPrivateKeyInfo::try_from(bytes).is_ok() {
        "ENCRYPTED PRIVATE KEY"
    } else if pkcs8::PrivateKeyInfo::try_from(bytes).is_ok() {
        "PRIVATE KEY"
    } else {
        "RSA PRIVATE KEY"
    };
    let document = SecretDocument::try_from(bytes).map_err(|_| wrong())?;
    let text = document
        .to_pem(label, LineEnding::LF)
        .map_err(|_| wrong())?;
    Ok(Secret::new(text.to_string()))
}

fn decrypt(key: Secret, password: Option<&str>) -> Result<Secret, String> {
    const BEGIN: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----";
    const END: &str = "-----END ENCRYPTED PRIVATE KEY-----";
    let text = key.expose();
    if !text.contains("PRIVATE KEY-----") {
        return Err("must hold a private key".into());
    }
    if text.contains("Proc-Type: 4,ENCRYPTED") {
        return Err(
            "is encrypted in a format of old that is not supported; convert it with \"openssl pkcs8 -topk8\"".into(),
        );
    }
    let Some(block) = text
        .find(BEGIN)
        .and_then(|start| text.get(start..))
        .and_then(|rest| Some(rest.get(..rest.find(END)? + END.len())?.to_owned()))
    else {
        return Ok(key);
    };
    let block = Secret::new(block);
    let Some(password) = password.filter(|password| !password.is_empty()) else {
        return Err("is an encrypted private key: set sslpassword".into());
    };
    let unreadable = || "is no readable encrypted private key".to_owned();
    let (_, document) = SecretDocument::from_pem(block.expose()).map_err(|_| unreadable())?;
    let info = EncryptedPrivateKeyInfo::try_from(document.as_bytes()).map_err(|_| unreadable())?;
    let open = info.decrypt(password).map_err(|_| {
        "cannot be decrypted: sslpassword is wrong, or its cipher is not supported".to_owned()
    })?;
    let text = open
        .to_pem("PRIVATE KEY", LineEnding::LF)
        .map_err(|_| unreadable())?;
    Ok(Secret::new(text.to_string()))
}

/// The bytes of a regular file of sensible size.
fn file(path: &Path) -> Result<Vec<u8>, String> {
    let problem = |error: &std::io::Error| match error.kind() {
        ErrorKind::NotFound => "names a file that does not exist".to_owned(),
        kind => format!("names a file that cannot be read ({kind})"),
    };
    let metadata = fs::metadata(path).map_err(|error| problem(&error))?;
    if !metadata.is_file() || metadata.len() > MAX_BYTES {
        return Err(format!(
            "must name a regular file of at most {MAX_BYTES} bytes"
        ));
    }
    fs::read(path).map_err(|error| problem(&error))
}

fn contains(bytes: &[u8], kind: Kind) -> bool {
    memchr::memmem::find(bytes, kind.label().as_bytes()).is_some()
}
