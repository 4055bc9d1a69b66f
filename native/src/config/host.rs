//! Where a server listens: TCP address or Unix socket, read from host entries and from libpq's parallel lists.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::path::PathBuf;

use crate::error::Error;

use super::keyword::Values;
use super::value::{check_text, parse_integer};

/// Port of a server when none is given (`DEF_PGPORT` of libpq).
const DEFAULT_PORT: u16 = 5432;

/// Host when none is given, as in `pg`. (libpq would try a socket directory that was fixed when it was built.)
pub(super) const DEFAULT_HOST: &str = "localhost";

/// Longest path of a Unix socket: `sun_path` is 108 bytes on Linux, 104 elsewhere, with its terminator.
const MAX_SOCKET_PATH: usize = if cfg!(target_os = "linux") { 107 } else { 103 };

/// Most hosts of one target: no cluster is larger, and a hostile list is refused.
const MAX_HOSTS: usize = 64;

/// One configured address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    /// A TCP address.
    Tcp {
        /// Name or address as configured: what certificates and the password file are compared with.
        name: Box<str>,
        /// The address to dial in place of looking `name` up (libpq's `hostaddr`).
        address: Option<IpAddr>,
        /// Port, never 0.
        port: u16,
    },
    /// A socket in a directory; the file is `.s.PGSQL.<port>`.
    Unix {
        /// The directory, absolute.
        dir: Box<str>,
        /// Port, never 0.
        port: u16,
    },
    /// A socket in Linux's abstract namespace, named `<name>/.s.PGSQL.<port>` behind its leading NUL.
    Abstract {
        /// The name without the leading `@`.
        name: Box<str>,
        /// Port, never 0.
        port: u16,
    },
}

impl Host {
    /// The port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        match self {
            Self::Tcp { port, .. } | Self::Unix { port, .. } | Self::Abstract { port, .. } => *port,
        }
    }

    /// Its name or address as configured, the directory of a socket, or an abstract name with its `@`.
    #[must_use]
    pub fn name(&self) -> Box<str> {
        match self {
            Self::Tcp { name, .. } => name.clone(),
            Self::Unix { dir, .. } => dir.clone(),
            Self::Abstract { name, .. } => format!("@{name}").into(),
        }
    }

    /// Is it on this machine, where TLS and keepalive have no meaning?
    #[must_use]
    pub const fn is_local(&self) -> bool {
        !matches!(self, Self::Tcp { .. })
    }

    /// The file of a Unix socket.
    #[must_use]
    pub fn socket_path(&self) -> Option<PathBuf> {
        match self {
            Self::Unix { dir, port } => Some(PathBuf::from(format!("{dir}/.s.PGSQL.{port}"))),
            _ => None,
        }
    }

    /// The name of an abstract socket without its leading NUL.
    #[must_use]
    pub fn abstract_name(&self) -> Option<String> {
        match self {
            Self::Abstract { name, port } => Some(format!("{name}/.s.PGSQL.{port}")),
            _ => None,
        }
    }

    /// Makes a host of a name (`/dir` and `@name` are sockets) that is named `option` in messages.
    fn new(name: &str, address: Option<IpAddr>, port: u16, option: &str) -> Result<Self, Error> {
        check_text(option, name, 255)?;
        let host = match (name.strip_prefix('@'), name.starts_with('/')) {
            (Some(name), _) => Self::Abstract {
                name: name.into(),
                port,
            },
            (None, true) => Self::Unix {
                dir: name.into(),
                port,
            },
            // The rest of a password whose "@" was not escaped, perhaps: it must not be looked up or shown.
            (None, false) if name.contains('@') => {
                return Err(Error::config(
                    option,
                    "must not contain \"@\"; in a URL that of a user name or password is written as %40",
                ));
            }
            (None, false) => {
                return Ok(Self::Tcp {
                    name: name.into(),
                    address,
                    port,
                });
            }
        };
        if address.is_some() {
            return Err(Error::config(
                option,
                "cannot be a socket directory together with hostaddr",
            ));
        }
        if name.len() + "/.s.PGSQL.65535".len() > MAX_SOCKET_PATH {
            return Err(Error::config(
                option,
                format!("must give a socket path of at most {MAX_SOCKET_PATH} bytes"),
            ));
        }
        Ok(host)
    }

    /// Reads the option `hosts`; entries without a port of their own take it from `port`.
    pub(super) fn from_entries(entries: &[String], values: &Values) -> Result<Vec<Self>, Error> {
        if entries.is_empty() || entries.len() > MAX_HOSTS {
            return Err(Error::config(
                "hosts",
                format!("must list 1 to {MAX_HOSTS} hosts"),
            ));
        }
        if values.filled("hostaddr").is_some() {
            return Err(values.error("hostaddr", "cannot be combined with hosts"));
        }
        let ports = ports(values, entries.len())?;
        entries
            .iter()
            .zip(ports)
            .map(|(entry, port)| Self::from_entry(entry, port))
            .collect()
    }

    /// Reads an entry of the option `hosts`: `'name'`, `'name:port'`, `'[v6]'`, `'[v6]:port'`, `'/dir'`, `'@name'`.
    ///
    /// Several colons without brackets are a bare IPv6 address; a suffix that is no 16-bit number belongs to the name.
    fn from_entry(entry: &str, default_port: u16) -> Result<Self, Error> {
        const OPTION: &str = "hosts";
        if entry.is_empty() {
            return Err(Error::config(OPTION, "must not contain an empty entry"));
        }
        let (name, port) = if let Some(inside) = entry.strip_prefix('[') {
            let parts = inside.split_once(']').and_then(|(address, tail)| {
                address.parse::<Ipv6Addr>().ok()?;
                Some((
                    address,
                    if tail.is_empty() {
                        None
                    } else {
                        Some(port_number(tail.strip_prefix(':')?)?)
                    },
                ))
            });
            parts.ok_or_else(|| {
                Error::config(
                    OPTION,
                    "must have the form \"[IPv6 address]:port\" where it uses brackets",
                )
            })?
        } else if entry.starts_with(['/', '@']) || entry.matches(':').count() > 1 {
            (entry, None)
        } else {
            match entry
                .rsplit_once(':')
                .map(|(name, suffix)| (name, port_number(suffix)))
            {
                Some((name, Some(port))) => (name, Some(port)),
                _ => (entry, None),
            }
        };
        let port = port.unwrap_or(default_port);
        if name.is_empty() {
            return Err(Error::config(OPTION, "must name a host before \":port\""));
        }
        if port == 0 {
            return Err(Error::config(OPTION, "must not use port 0"));
        }
        Self::new(name, None, port, OPTION)
    }

    /// Reads the parallel comma-separated lists `host`, `hostaddr` and `port` as libpq does.
    ///
    /// Source: `connectOptions2` in `src/interfaces/libpq/fe-connect.c`.
    pub(super) fn from_lists(values: &Values) -> Result<Vec<Self>, Error> {
        let names: Vec<&str> = values
            .get("host")
            .map_or(Vec::new(), |list| list.split(',').collect());
        let addresses: Vec<&str> = values
            .filled("hostaddr")
            .map_or(Vec::new(), |list| list.split(',').collect());
        let count = names.len().max(addresses.len()).max(1);
        if !names.is_empty() && !addresses.is_empty() && names.len() != addresses.len() {
            let problem = format!(
                "must list as many addresses as host lists names ({})",
                names.len()
            );
            return Err(values.error("hostaddr", problem));
        }
        if count > MAX_HOSTS {
            return Err(values.error("host", format!("must not list more than {MAX_HOSTS} hosts")));
        }
        let ports = ports(values, count)?;
        let mut hosts = Vec::with_capacity(count);
        for (index, port) in ports.into_iter().enumerate() {
            let address = match addresses.get(index).copied().unwrap_or("") {
                "" => None,
                text => match text.parse::<IpAddr>() {
                    Ok(address) => Some(address),
                    Err(_) => return Err(values.error("hostaddr", "must be an IP address")),
                },
            };
            let name = match (names.get(index).copied().unwrap_or(""), address) {
                ("", Some(address)) => address.to_string(),
                ("", None) => DEFAULT_HOST.to_owned(),
                (name, _) => name.to_owned(),
            };
            hosts.push(Self::new(&name, address, port, values.label("host"))?);
        }
        Ok(hosts)
    }
}

impl fmt::Display for Host {
    /// `host:port` or the socket's path.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { name, port, .. } if name.contains(':') => write!(f, "[{name}]:{port}"),
            Self::Tcp { name, port, .. } => write!(f, "{name}:{port}"),
            Self::Unix { dir, port } => write!(f, "{dir}/.s.PGSQL.{port}"),
            Self::Abstract { name, port } => write!(f, "@{name}/.s.PGSQL.{port}"),
        }
    }
}

/// One port for each host: the list may hold one for all, one for each, or nothing.
fn ports(values: &Values, hosts: usize) -> Result<Vec<u16>, Error> {
    let Some(list) = values.filled("port") else {
        return Ok(vec![DEFAULT_PORT; hosts]);
    };
    let mut ports = Vec::new();
    for text in list.split(',') {
        let port = match text {
            "" => Some(DEFAULT_PORT),
            text => parse_integer(text)
                .and_then(|number| u16::try_from(number).ok())
                .filter(|port| *port > 0),
        };
        ports.push(port.ok_or_else(|| values.error("port", "must be a number from 1 to 65535"))?);
    }
    match *ports.as_slice() {
        [port] => Ok(vec![port; hosts]),
        _ if ports.len() == hosts => Ok(ports),
        _ => Err(values.error(
            "port",
            format!("must list one port, or one for each of the {hosts} hosts"),
        )),
    }
}

/// A 16-bit decimal number without sign or blanks.
fn port_number(text: &str) -> Option<u16> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        text.parse().ok()
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_entries_are_read_as_the_original_reads_them() {
        for (entry, shown) in [
            ("db", Some("db:6000")),
            ("db:1", Some("db:1")),
            ("db:65535", Some("db:65535")),
            ("db:65536", Some("db:65536:6000")),
            ("db:", Some("db::6000")),
            ("db:+1", Some("db:+1:6000")),
            ("[::1]", Some("[::1]:6000")),
            ("[::1]:7", Some("[::1]:7")),
            ("fe80::1", Some("[fe80::1]:6000")),
            ("::1", Some("[::1]:6000")),
            ("/run/pg", Some("/run/pg/.s.PGSQL.6000")),
            ("@pg", Some("@pg/.s.PGSQL.6000")),
            ("", None),
            (":1", None),
            ("db:0", None),
            ("[::1", None),
            ("[::1]7", None),
            ("[::1]:x", None),
            ("[db]", None),
            ("a\nb", None),
            ("ss@db", None),
        ] {
            let host = Host::from_entry(entry, 6000).ok().map(|host| match host {
                // The name itself, where a colon in it would be shown in brackets.
                Host::Tcp { name, port, .. } if entry.starts_with("db:") => {
                    format!("{name}:{port}")
                }
                host => host.to_string(),
            });
            assert_eq!(host.as_deref(), shown, "{entry:?}");
        }
    }

    #[test]
    fn sec_d03_socket_paths_fit_the_address_structure() {
        assert!(Host::from_entry(&format!("/{}", "d".repeat(80)), 1).is_ok());
        assert!(Host::from_entry(&format!("/{}", "d".repeat(100)), 1).is_err());
    }
}
