//! The options object as the JS layer hands it over, option names and all.

use std::collections::BTreeMap;

use serde::de::value::MapDeserializer;
use serde::de::{
    Deserialize, DeserializeOwned, Deserializer, Error as _, IntoDeserializer, Visitor,
};
use serde_json::{Map, Value};

use crate::error::Error;

use super::lease::LeaseSettings;
use super::secret::Secret;
use super::tls_object::SslSetting;

/// Options of a target and its pool. Everything is optional; defaults are written where `Config` is made.
///
/// Times end in `Ms`. Names are those of `createPool`, the pg face translates its own to them.
#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Settings {
    pub(super) hosts: Option<Vec<String>>,
    pub(super) host: Option<String>,
    pub(super) hostaddr: Option<String>,
    pub(super) port: Option<u32>,
    pub(super) user: Option<String>,
    pub(super) password: Option<Secret>,
    pub(super) passfile: Option<String>,
    pub(super) database: Option<String>,
    pub(super) connection_string: Option<Secret>,
    /// Passwords come from a function of the caller's, asked for each connection.
    pub(super) password_function: Option<bool>,
    /// Section of the service file.
    pub(super) service: Option<String>,
    pub(super) servicefile: Option<String>,
    pub(super) application_name: Option<String>,
    pub(super) fallback_application_name: Option<String>,
    pub(super) options: Option<String>,
    /// Further parameters of the session, by name.
    pub(super) parameters: Option<BTreeMap<String, String>>,
    pub(super) ssl: Option<SslSetting>,
    pub(super) sslmode: Option<String>,
    /// Path, `system`, or PEM text.
    pub(super) sslrootcert: Option<String>,
    /// Path or PEM text, as the next two.
    pub(super) sslcert: Option<String>,
    pub(super) sslkey: Option<Secret>,
    pub(super) sslcrl: Option<String>,
    pub(super) sslcrldir: Option<String>,
    pub(super) sslpassword: Option<Secret>,
    pub(super) sslcertmode: Option<String>,
    pub(super) sslsni: Option<bool>,
    pub(super) sslnegotiation: Option<String>,
    #[serde(rename = "ssl_min_protocol_version")]
    pub(super) ssl_min_protocol_version: Option<String>,
    #[serde(rename = "ssl_max_protocol_version")]
    pub(super) ssl_max_protocol_version: Option<String>,
    pub(super) channel_binding: Option<String>,
    pub(super) require_auth: Option<String>,
    pub(super) min_protocol_version: Option<String>,
    pub(super) max_protocol_version: Option<String>,
    pub(super) allow_cleartext: Option<bool>,
    pub(super) scram_max_iterations: Option<u64>,
    pub(super) max_message_bytes: Option<u64>,
    pub(super) connect_timeout_ms: Option<u64>,
    /// What is left of the time of whoever waits for the connection: whatever has set the timeout, it is no longer.
    pub(super) connect_limit_ms: Option<u64>,
    pub(super) statement_timeout_ms: Option<u64>,
    pub(super) keepalive: Option<KeepaliveSetting>,
    pub(super) tcp_user_timeout_ms: Option<u64>,
    /// Values below 1 become 1, as in the original.
    pub(super) pool_size: Option<i64>,
    pub(super) min_idle: Option<u64>,
    pub(super) acquire_timeout_ms: Option<u64>,
    pub(super) idle_timeout_ms: Option<u64>,
    pub(super) max_lifetime_ms: Option<u64>,
    pub(super) max_uses: Option<u64>,
    pub(super) reset_query: Option<String>,
    pub(super) validation_interval_ms: Option<u64>,
    pub(super) statement_cache_size: Option<u64>,
    pub(super) warm_statements: Option<u64>,
    pub(super) prepared_statements: Option<String>,
    pub(super) max_statement_ms: Option<u64>,
    pub(super) resolve_timeout_ms: Option<u64>,
    pub(super) alive_timeout_ms: Option<u64>,
    pub(super) max_result_bytes: Option<u64>,
    pub(super) pipeline_depth: Option<u64>,
    pub(super) driver: Option<String>,
    pub(super) mode: Option<String>,
    /// The face's own default of `mode`, weaker than `target_session_attrs`.
    pub(super) default_mode: Option<String>,
    pub(super) load_balance: Option<String>,
    pub(super) race_delay_ms: Option<u64>,
    pub(super) max_connecting: Option<u64>,
    pub(super) fence_check: Option<String>,
    pub(super) fenced_reads: Option<String>,
    pub(super) max_lag_ms: Option<u64>,
    pub(super) strict_fence: Option<bool>,
    pub(super) rebalance_ms: Option<u64>,
    pub(super) dns_recheck_ms: Option<u64>,
    #[serde(deserialize_with = "object")]
    pub(super) lease: Option<LeaseSettings>,
}

/// `keepalive`: `false`, `true` for the defaults, or single values in place of them.
#[derive(Clone, Debug)]
pub(super) enum KeepaliveSetting {
    Switch(bool),
    Object(KeepaliveObject),
}

impl<'de> Deserialize<'de> for KeepaliveSetting {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Ok(match switch_or_object(from)? {
            SwitchOr::Switch(on) => Self::Switch(on),
            SwitchOr::Object(object) => Self::Object(object),
        })
    }
}

/// `true`, `false` or an object.
pub(super) enum SwitchOr<T> {
    Switch(bool),
    Object(T),
}

/// Reads a switch or an object. By hand: what `untagged` makes of it is many times larger.
pub(super) fn switch_or_object<'de, T: DeserializeOwned, D: Deserializer<'de>>(
    from: D,
) -> Result<SwitchOr<T>, D::Error> {
    match Value::deserialize(from)? {
        Value::Bool(on) => Ok(SwitchOr::Switch(on)),
        Value::Object(object) => match members(object) {
            Ok(object) => Ok(SwitchOr::Object(object)),
            Err(_) => Err(D::Error::custom("a member")),
        },
        _ => Err(D::Error::custom("another kind")),
    }
}

/// Reads an object or nothing.
fn object<'de, T: DeserializeOwned, D: Deserializer<'de>>(from: D) -> Result<Option<T>, D::Error> {
    match Value::deserialize(from)? {
        Value::Null => Ok(None),
        Value::Object(object) => match members(object) {
            Ok(object) => Ok(Some(object)),
            Err(_) => Err(D::Error::custom("a member")),
        },
        _ => Err(D::Error::custom("another kind")),
    }
}

/// Reads an object by the names of its members, from a source that has no other way.
fn members<T: DeserializeOwned>(object: Map<String, Value>) -> Result<T, serde_json::Error> {
    let members = object
        .into_iter()
        .map(|(name, value)| (name, Member(value)));
    T::deserialize(MapDeserializer::new(members))
}

/// The value of a member. Members of one type are read by one function, where a bare value has a copy of it in each place.
struct Member(Value);

impl IntoDeserializer<'_, serde_json::Error> for Member {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Member {
    type Error = serde_json::Error;

    #[inline(never)]
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        self.0.deserialize_any(visitor)
    }

    #[inline(never)]
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        self.0.deserialize_option(visitor)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

#[derive(Clone, Debug, Default, serde::Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct KeepaliveObject {
    pub(super) idle_ms: Option<u64>,
    pub(super) interval_ms: Option<u64>,
    pub(super) count: Option<u64>,
}

impl Settings {
    /// Reads the JSON text of an options object. Errors name the option and never show a value (rule D04).
    pub fn from_json(text: &str) -> Result<Self, Error> {
        let not_an_object = || Error::config("options", "must be an object");
        let Ok(Value::Object(object)) = serde_json::from_str(text) else {
            return Err(not_an_object());
        };
        // From the members, as below: a second source would have a second copy of the reader in the binary.
        if let Ok(settings) = members::<Self>(object.clone()) {
            return Ok(settings);
        }
        // serde names neither the option nor its own source safely: find the option that fails alone.
        for (name, value) in object {
            let reads =
                |value: Value| members::<Self>([(name.clone(), value)].into_iter().collect());
            if reads(Value::Null).is_err() {
                return Err(Error::config(name, "is not an option of this version"));
            }
            if let Err(error) = reads(value) {
                return Err(Error::config(name, wanted(&error.to_string())));
            }
        }
        Err(not_an_object())
    }
}

/// What serde expected, without what it found: the found value may be a secret.
fn wanted(message: &str) -> String {
    match message.rsplit_once(", expected ") {
        Some((_, "u32" | "u64" | "i64")) => "must be a whole number, not negative".into(),
        Some((_, expected)) => format!("must be {expected}"),
        None => "has a value of the wrong kind or an unknown member".into(),
    }
}
