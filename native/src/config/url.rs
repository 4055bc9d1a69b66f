//! Connection strings, read exactly as libpq reads them: `postgres://` URIs and keyword/value text (rules CP-40, D01).
//!
//! A value is not judged here, only separated from its neighbours. Messages give a position and never a piece of the
//! text, because a password with an unescaped delimiter ends up in any other part of it (rule D04).
//!
//! Source: `conninfo_uri_parse_options`, `conninfo_uri_parse_params`, `conninfo_uri_decode` and `conninfo_parse` in
//! `src/interfaces/libpq/fe-connect.c`.

use std::borrow::Cow;

use crate::error::Error;

use super::keyword::{find, nearest};
use super::secret::Secret;

/// The option whose text is read here.
const OPTION: &str = "connectionString";

/// Longest text that is looked at, in bytes. A startup packet holds 10 000 bytes; the rest is room for escapes and
/// long tokens given as password.
const MAX_LENGTH: usize = 131_072;

/// Splits a connection string into libpq's keywords and their decoded values, in the order written.
///
/// A keyword may come more than once; the last one counts. Unknown keywords are errors.
pub fn parse_connection_string(text: &str) -> Result<Vec<(&'static str, Secret)>, Error> {
    if text.len() > MAX_LENGTH {
        return Err(Error::config(
            OPTION,
            format!("must not be longer than {MAX_LENGTH} bytes"),
        ));
    }
    let mut parser = Parser {
        text,
        pairs: Vec::new(),
    };
    if text.contains('\0') {
        return Err(Error::config(OPTION, "must not contain a NUL character"));
    }
    let is_scheme = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'+');
    match text
        .strip_prefix("postgresql://")
        .or_else(|| text.strip_prefix("postgres://"))
    {
        // As key=value text it would miss its first "=" somewhere, which helps nobody.
        None if text
            .split_once("://")
            .is_some_and(|(scheme, _)| is_scheme(scheme)) =>
        {
            let problem = "must begin with postgres:// or postgresql://, or be key=value text";
            return Err(Error::config(OPTION, problem));
        }
        Some(rest) => parser.uri(rest)?,
        None => parser.keyword_values(text)?,
    }
    Ok(parser.pairs)
}

/// The text, for positions, and what was found so far.
struct Parser<'a> {
    text: &'a str,
    pairs: Vec<(&'static str, Secret)>,
}

impl<'a> Parser<'a> {
    /// An error at the place where `rest`, a tail or a part of the text, begins.
    fn error_at(&self, rest: &str, problem: &str) -> Error {
        let start = rest
            .as_ptr()
            .addr()
            .saturating_sub(self.text.as_ptr().addr());
        let before = self.text.get(..start).unwrap_or_default();
        Error::config(
            OPTION,
            format!("{problem} at character {}", before.chars().count() + 1),
        )
    }

    /// `[user[:password]@][host[:port],…][/dbname][?key=value&…]`
    fn uri(&mut self, mut rest: &'a str) -> Result<(), Error> {
        // As libpq: the first of `@` and `/` decides, so an `@` in the query part ends a user name too.
        if let Some((before, after)) =
            split_at_first(rest, &['@', '/']).filter(|(_, tail)| tail.starts_with('@'))
        {
            let (user, password) = before.split_once(':').unwrap_or((before, ""));
            self.store_part("user", user, user)?;
            self.store_part("password", password, password)?;
            rest = skip(after);
        }
        rest = self.netlocs(rest)?;
        if rest.starts_with('/') {
            let path = skip(rest);
            let (database, tail) = split_at_first(path, &['?']).unwrap_or((path, ""));
            self.store_part("dbname", database, database)?;
            rest = tail;
        }
        self.parameters(skip(rest))
    }

    /// The comma-separated `host:port` pairs; returns the text from the first `/` or `?` on.
    ///
    /// Hosts and ports are joined again before decoding, as in libpq: an encoded comma separates hosts too.
    fn netlocs(&mut self, start: &'a str) -> Result<&'a str, Error> {
        let (mut hosts, mut ports) = (String::new(), String::new());
        let mut rest = start;
        loop {
            let (host, tail) = self.host(rest)?;
            hosts.push_str(host);
            rest = tail;
            if rest.starts_with(':') {
                let after = skip(rest);
                let (port, tail) = split_at_first(after, &['/', '?', ',']).unwrap_or((after, ""));
                ports.push_str(port);
                rest = tail;
            }
            if !rest.starts_with(',') {
                break;
            }
            rest = skip(rest);
            hosts.push(',');
            ports.push(',');
        }
        self.store_part("host", start, &hosts)?;
        self.store_part("port", start, &ports)?;
        Ok(rest)
    }

    /// One host, brackets of an IPv6 address removed, and what follows it.
    fn host(&self, rest: &'a str) -> Result<(&'a str, &'a str), Error> {
        let Some(inside) = rest.strip_prefix('[') else {
            return Ok(split_at_first(rest, &[':', '/', '?', ',']).unwrap_or((rest, "")));
        };
        let Some((address, tail)) = inside.split_once(']') else {
            return Err(self.error_at(rest, "has a \"[\" without \"]\""));
        };
        if address.is_empty() {
            return Err(self.error_at(rest, "has an empty IPv6 address"));
        }
        if !tail.is_empty() && !tail.starts_with([':', '/', '?', ',']) {
            return Err(self.error_at(
                tail,
                "must go on with \":\", \"/\", \"?\" or \",\" after an IPv6 address",
            ));
        }
        Ok((address, tail))
    }

    /// The `key=value&…` part of a URI.
    fn parameters(&mut self, query: &'a str) -> Result<(), Error> {
        let mut rest = query;
        while !rest.is_empty() {
            let (parameter, tail) = rest.split_once('&').unwrap_or((rest, ""));
            let Some((key, value)) = parameter.split_once('=') else {
                return Err(self.error_at(parameter, "needs \"=\" in the query parameter"));
            };
            if value.contains('=') {
                return Err(self.error_at(
                    parameter,
                    "has a second \"=\" (write %3D) in the query parameter",
                ));
            }
            let (name, value) = (self.decode(key, key)?, self.decode(value, value)?);
            // JDBC's spelling, as libpq takes it.
            if name == "ssl" && value == "true" {
                self.store("sslmode", "require".into(), key)?;
            } else {
                self.store(&name, value.into_owned(), key)?;
            }
            rest = tail;
        }
        Ok(())
    }

    /// Blank-separated `keyword = value` pairs; values may be quoted, a backslash takes the next character as it is.
    fn keyword_values(&mut self, text: &'a str) -> Result<(), Error> {
        let mut rest = text.trim_start_matches(is_space);
        while !rest.is_empty() {
            let start = rest;
            let end = rest.find(|c| c == '=' || is_space(c)).unwrap_or(rest.len());
            let (name, tail) = rest.split_at_checked(end).unwrap_or((rest, ""));
            let Some(tail) = tail.trim_start_matches(is_space).strip_prefix('=') else {
                return Err(self.error_at(start, "needs \"=\" after the key"));
            };
            let tail = tail.trim_start_matches(is_space);
            let (value, tail) = if let Some(quoted) = tail.strip_prefix('\'') {
                let (value, tail) = unescape(quoted, |c| c == '\'');
                let missing = || self.error_at(start, "has an unterminated quoted value");
                (value, tail.ok_or_else(missing)?)
            } else {
                let (value, tail) = unescape(tail, is_space);
                (value, tail.unwrap_or(""))
            };
            self.store(name, value, start)?;
            rest = tail.trim_start_matches(is_space);
        }
        Ok(())
    }

    /// Stores a part of a URI unless it is empty.
    fn store_part(&mut self, name: &str, place: &str, raw: &str) -> Result<(), Error> {
        if raw.is_empty() {
            return Ok(());
        }
        let value = self.decode(raw, place)?.into_owned();
        self.store(name, value, place)
    }

    fn store(&mut self, name: &str, value: String, place: &str) -> Result<(), Error> {
        // The spelling before PostgreSQL 7.4 had modes.
        if name == "requiressl" {
            let mode = if value.starts_with('1') {
                "require"
            } else {
                "prefer"
            };
            return self.store("sslmode", mode.into(), place);
        }
        let Some(keyword) = find(name) else {
            let hint = nearest(name).map_or(String::new(), |known| {
                format!(" (did you mean \"{known}\"?)")
            });
            return Err(self.error_at(place, &format!("has an unknown key{hint}")));
        };
        self.pairs.push((keyword.name, Secret::new(value)));
        Ok(())
    }

    /// Resolves percent escapes. Unlike libpq, the bytes must be UTF-8.
    fn decode<'t>(&self, raw: &'t str, place: &str) -> Result<Cow<'t, str>, Error> {
        if !raw.contains('%') {
            return Ok(Cow::Borrowed(raw));
        }
        let mut bytes = Vec::with_capacity(raw.len());
        let mut rest = raw.bytes();
        while let Some(byte) = rest.next() {
            if byte != b'%' {
                bytes.push(byte);
                continue;
            }
            let digits = rest.next().and_then(hex).zip(rest.next().and_then(hex));
            match digits.map(|(high, low)| high << 4 | low) {
                None => return Err(self.error_at(place, "has an invalid percent escape")),
                Some(0) => return Err(self.error_at(place, "has the forbidden escape %00")),
                Some(byte) => bytes.push(byte),
            }
        }
        String::from_utf8(bytes)
            .map(Cow::Owned)
            .map_err(|_| self.error_at(place, "has percent escapes that are not UTF-8"))
    }
}

/// Text before the first of `stops`, and the text from there on; `None` when there is none.
fn split_at_first<'t>(text: &'t str, stops: &[char]) -> Option<(&'t str, &'t str)> {
    text.split_at_checked(text.find(stops)?)
}

/// The text without its first character.
fn skip(text: &str) -> &str {
    let mut characters = text.chars();
    characters.next();
    characters.as_str()
}

/// Reads up to the first unescaped end character; returns the value and the text behind that character, if it came.
fn unescape(text: &str, is_end: impl Fn(char) -> bool) -> (String, Option<&str>) {
    let mut value = String::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if is_end(character) {
            return (value, Some(characters.as_str()));
        }
        if character == '\\' {
            value.extend(characters.next());
        } else {
            value.push(character);
        }
    }
    (value, None)
}

/// `isspace` of the C locale.
const fn is_space(character: char) -> bool {
    matches!(character, ' ' | '\t'..='\r')
}

const fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const VECTORS: &str = include_str!("../../../test/vectors/dsn.json");

    #[derive(serde::Deserialize)]
    struct Vectors {
        cases: Vec<(String, Option<BTreeMap<String, String>>)>,
    }

    #[test]
    fn sec_d01_every_text_of_the_corpus_is_read_as_libpq_reads_it() {
        let vectors: Vectors = serde_json::from_str(VECTORS).unwrap();
        assert!(vectors.cases.len() > 300);
        for (text, expected) in vectors.cases {
            let pairs = parse_connection_string(&text).ok();
            let values = pairs.map(|pairs| {
                let own =
                    |(name, value): (&str, Secret)| (name.to_owned(), value.expose().to_owned());
                pairs.into_iter().map(own).collect::<BTreeMap<_, _>>()
            });
            assert_eq!(values, expected, "{text:?}");
        }
    }

    #[test]
    fn sec_d01_escapes_that_are_not_utf8_are_the_only_texts_libpq_takes_and_we_refuse() {
        assert!(parse_connection_string("postgres://h/%e9").is_err());
        assert!(parse_connection_string("postgres://h/%c3%a9").is_ok());
    }

    #[test]
    fn sec_d02_unknown_keys_are_errors_with_a_hint() {
        let error = parse_connection_string("host=h sslmoode=require")
            .unwrap_err()
            .to_string();
        assert_eq!(
            error,
            "option \"connectionString\" has an unknown key (did you mean \"sslmode\"?) at character 8"
        );
    }

    #[test]
    fn sec_d04_a_url_of_something_else_is_told_what_it_must_be() {
        for text in ["http://u:canary@h/d", "mysql://canary"] {
            let error = parse_connection_string(text).unwrap_err().to_string();
            assert_eq!(
                error,
                "option \"connectionString\" must begin with postgres:// or postgresql://, or be key=value text"
            );
        }
        assert!(parse_connection_string("host=h options='-c a.b=http://x'").is_ok());
    }

    #[test]
    fn sec_d03_nul_and_endless_texts_are_refused() {
        assert!(parse_connection_string("user=a\0b").is_err());
        assert!(parse_connection_string(&format!("user={}", "x".repeat(MAX_LENGTH))).is_err());
    }

    #[test]
    fn sec_d04_no_message_shows_a_piece_of_a_password() {
        for text in [
            "postgres://u:canary%zz@h",
            "postgres://u:p@h?password=canary%00",
            "postgres://u:p@h?password=x&canary",
            "postgres://u:p@h?password=x&canary=y",
            "postgres://u:p@h?password=canary=y",
            "postgres://u:p@[canary",
            "postgres://u:p@[]canary",
            "postgres://[::1]canary",
            "password=x canary",
            "password=x canary=y",
            "password='canary",
            "canary",
            "pasword=canary",
        ] {
            let error = parse_connection_string(text).unwrap_err();
            assert!(
                !format!("{error} {error:?}").contains("canary"),
                "{text}: {error}"
            );
        }
    }
}
