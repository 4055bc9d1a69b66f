//! The password file (`.pgpass`), read and matched as libpq does (rule CP-43).
//!
//! A line is `host:port:database:user:password`; `*` matches anything, `\:` and `\\` are escapes, the first match wins.
//!
//! Source: `passwordFromFile` and `pwdfMatchesString` in `src/interfaces/libpq/fe-connect.c`.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use super::host::{DEFAULT_HOST, Host};
use super::secret::Secret;

/// Socket directories that count as `localhost`: the default of the sources and that of Debian and Red Hat.
const DEFAULT_SOCKET_DIRS: [&str; 3] = ["/tmp", "/var/run/postgresql", "/run/postgresql"];

/// Largest file that is read; a longer one is surely no password file.
const MAX_FILE_BYTES: u64 = 4_194_304;

/// The lines of a password file.
#[derive(Clone, Debug, Default)]
pub struct PassFile(Vec<Secret>);

impl PassFile {
    /// Takes the lines of a file's text; comments and blank lines are left out.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let lines = text.split('\n').map(|line| line.trim_end_matches('\r'));
        let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
        Self(lines.map(|line| Secret::new(line.to_owned())).collect())
    }

    /// Reads the file. A file that cannot or must not be used gives a warning with its reason; libpq's default file,
    /// which nobody asked for, may be missing.
    pub(super) fn read(path: &Path, is_default: bool) -> Result<Self, String> {
        let shown = path.display();
        let metadata = match fs::metadata(path) {
            Ok(metadata) => metadata,
            Err(error) if is_default && error.kind() == ErrorKind::NotFound => {
                return Ok(Self::default());
            }
            Err(error) => {
                return Err(format!(
                    "password file \"{shown}\" is ignored: {}",
                    error.kind()
                ));
            }
        };
        if !metadata.is_file() {
            return Err(format!(
                "password file \"{shown}\" is ignored: it is not a plain file"
            ));
        }
        if metadata.len() > MAX_FILE_BYTES {
            return Err(format!(
                "password file \"{shown}\" is ignored: it has more than {MAX_FILE_BYTES} bytes"
            ));
        }
        #[cfg(unix)]
        if std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o077 != 0 {
            return Err(format!(
                "password file \"{shown}\" is ignored: group or others have access to it, permissions must be 0600 or less"
            ));
        }
        match fs::read(path).map(String::from_utf8) {
            Ok(Ok(text)) => Ok(Self::parse(Secret::new(text).expose())),
            Ok(Err(_)) => Err(format!(
                "password file \"{shown}\" is ignored: it is not UTF-8"
            )),
            Err(error) => Err(format!(
                "password file \"{shown}\" is ignored: {}",
                error.kind()
            )),
        }
    }

    /// The password of the first line that matches.
    #[must_use]
    pub fn find(&self, host: &Host, database: &str, user: &str) -> Option<Secret> {
        let port = host.port().to_string();
        let names: &[&str] = match host {
            Host::Tcp { name, .. } => &[name],
            // Which directory is the default was fixed when libpq was built, so its own name is good as well.
            Host::Unix { dir, .. } if DEFAULT_SOCKET_DIRS.contains(&&**dir) => &[DEFAULT_HOST, dir],
            Host::Unix { dir, .. } => &[dir],
            Host::Abstract { name, .. } => &[&format!("@{name}")],
        };
        self.0.iter().find_map(|line| {
            let rest = names.iter().find_map(|name| {
                let mut wanted = [name, port.as_str(), database, user].into_iter();
                wanted.try_fold(line.expose(), after_match)
            })?;
            Some(Secret::new(unescape(rest)))
        })
    }
}

/// The text behind the first field if that field matches.
fn after_match<'a>(line: &'a str, wanted: &str) -> Option<&'a str> {
    if let Some(rest) = line.strip_prefix("*:") {
        return Some(rest);
    }
    let mut field = line.chars();
    let mut wanted = wanted.chars();
    loop {
        match (field.next()?, wanted.next()) {
            (':', None) => return Some(field.as_str()),
            (_, None) => return None,
            (character, Some(wanted)) => {
                let character = if character == '\\' {
                    field.next()?
                } else {
                    character
                };
                if character != wanted {
                    return None;
                }
            }
        }
    }
}

/// The last field: up to an unescaped colon.
fn unescape(field: &str) -> String {
    let mut password = String::with_capacity(field.len());
    let mut characters = field.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            ':' => break,
            '\\' => password.push(characters.next().unwrap_or('\\')),
            other => password.push(other),
        }
    }
    password
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(name: &str, port: u16) -> Host {
        Host::Tcp {
            name: name.into(),
            address: None,
            port,
        }
    }

    #[test]
    fn cp43_the_first_matching_line_wins() {
        let file = PassFile::parse(
            "# comment\r\n\n\
             h1:5432:db:u:one\n\
             h1:*:*:u:two\r\n\
             a\\:b:5432:d\\\\b:u:p\\:w\\\\d\n\
             localhost:5432:*:u:sock\n\
             /srv/pg:5432:*:u:dir\n\
             ::1:5432:*:u:v6\n\
             *:5432:cut:u:left:right\n\
             *:*:*:broken\n\
             *:*:*:all:\\",
        );
        let unix = |dir: &str| Host::Unix {
            dir: dir.into(),
            port: 5432,
        };
        for (host, database, user, password) in [
            (tcp("h1", 5432), "db", "u", Some("one")),
            (tcp("h1", 5433), "db", "u", Some("two")),
            (tcp("h1", 5432), "other", "u", Some("two")),
            (tcp("h1", 5432), "db", "v", None),
            (tcp("h", 5432), "db", "u", None),
            (tcp("h11", 5432), "db", "u", None),
            (tcp("a:b", 5432), "d\\b", "u", Some("p:w\\d")),
            (unix("/tmp"), "db", "u", Some("sock")),
            (unix("/var/run/postgresql"), "db", "u", Some("sock")),
            (unix("/srv/pg"), "db", "u", Some("dir")),
            (unix("/tmp"), "own", "u", Some("sock")),
            (tcp("::1", 5432), "db", "u", Some("v6")),
            (tcp("h", 5432), "cut", "u", Some("left")),
            (tcp("h", 1), "x", "broken", None),
            (tcp("h", 1), "x", "all", Some("\\")),
        ] {
            let found = file.find(&host, database, user);
            assert_eq!(
                found.as_ref().map(Secret::expose),
                password,
                "{host} {database} {user}"
            );
        }
    }

    #[test]
    fn sec_a06_debug_of_a_password_file_shows_nothing() {
        let file = PassFile::parse("h:1:d:u:canary");
        assert!(!format!("{file:?}").contains("canary"));
    }
}
