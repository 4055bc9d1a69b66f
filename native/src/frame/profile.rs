//! Which JavaScript value a column becomes: a preset and the OIDs the user reads himself.

use std::collections::BTreeSet;

use super::codec::{self, Codec};
use super::kind::{Kind, Value};

/// A set of type mappings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Preset {
    /// As `node-postgres` does it: `int8` a string, timestamps `Date`s, intervals objects.
    Pg,
    /// Nothing lost: `int8` a `BigInt`, timestamps and intervals ISO 8601 text.
    Lossless,
}

/// Immutable type settings of a pool, client or query; the addon numbers equal ones alike.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Profile {
    preset: Preset,
    custom: BTreeSet<u32>,
    raw: BTreeSet<u32>,
}

impl Profile {
    /// A preset, except for the types in `custom`, which come as the exact text of the server for the user's parser.
    pub fn new(preset: Preset, custom: impl IntoIterator<Item = u32>) -> Self {
        Self {
            preset,
            custom: custom.into_iter().collect(),
            raw: BTreeSet::new(),
        }
    }

    /// The same, except for these types, which come as the bytes of the binary format for the user's parser.
    #[must_use]
    pub fn with_raw(mut self, raw: impl IntoIterator<Item = u32>) -> Self {
        self.raw = raw.into_iter().collect();
        self
    }

    /// Are there types whose columns have to be known before a format is asked for?
    #[must_use]
    pub fn has_raw(&self) -> bool {
        !self.raw.is_empty()
    }

    /// Does the user read the bytes of this type himself?
    #[must_use]
    pub fn is_raw(&self, oid: u32) -> bool {
        self.raw.contains(&oid)
    }

    /// The preset.
    #[must_use]
    pub const fn preset(&self) -> Preset {
        self.preset
    }

    /// Does the user read this type himself?
    #[must_use]
    pub fn is_custom(&self, oid: u32) -> bool {
        self.custom.contains(&oid)
    }

    /// What a column of this type holds.
    #[must_use]
    pub fn kind(&self, oid: u32) -> Kind {
        if self.is_raw(oid) {
            return Kind::One(Value::Raw);
        }
        if self.is_custom(oid) {
            return Kind::One(Value::Custom);
        }
        match codec::element(self.preset, oid) {
            Some((_, element)) => Kind::Array(element.value),
            None => Kind::One(codec::scalar(self.preset, oid).value),
        }
    }

    /// Is a column of this type asked for in the binary format?
    #[must_use]
    pub fn binary(&self, oid: u32) -> bool {
        if self.is_raw(oid) {
            return true;
        }
        if self.is_custom(oid) {
            return false;
        }
        match codec::element(self.preset, oid) {
            Some((_, element)) => element.binary.is_some(),
            None => codec::scalar(self.preset, oid).prefers_binary,
        }
    }

    /// Can a column of this type be read in the binary format, which was not asked for?
    pub(super) fn reads_binary(&self, oid: u32) -> bool {
        if self.is_raw(oid) {
            return true;
        }
        if self.is_custom(oid) {
            return false;
        }
        match codec::element(self.preset, oid) {
            Some((_, element)) => element.binary.is_some(),
            None => match codec::scalar(self.preset, oid) {
                // The batch of a json column takes text only; the binary form of jsonb has a version in front.
                scalar if scalar.value == Value::Json => scalar.binary == Some(Codec::Text),
                scalar => scalar.binary.is_some() || scalar.value == Value::Void,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_and_formats_follow_the_preset() {
        let pg = Profile::new(Preset::Pg, []);
        let lossless = Profile::new(Preset::Lossless, []);
        // (OID, pg kind, pg binary, lossless kind, lossless binary)
        for (oid, pg_kind, pg_binary, kind, binary) in [
            (
                16,
                Kind::One(Value::Bool),
                true,
                Kind::One(Value::Bool),
                true,
            ),
            (
                20,
                Kind::One(Value::Str),
                false,
                Kind::One(Value::BigInt),
                true,
            ),
            (
                700,
                Kind::One(Value::F64),
                false,
                Kind::One(Value::F64),
                false,
            ),
            (
                1186,
                Kind::One(Value::Interval),
                false,
                Kind::One(Value::Str),
                true,
            ),
            (
                1184,
                Kind::One(Value::DateMs),
                true,
                Kind::One(Value::Str),
                true,
            ),
            (
                1082,
                Kind::One(Value::LocalDateMs),
                true,
                Kind::One(Value::Str),
                true,
            ),
            (
                2278,
                Kind::One(Value::Str),
                false,
                Kind::One(Value::Void),
                false,
            ),
            (
                1231,
                Kind::Array(Value::F64),
                false,
                Kind::Array(Value::Str),
                false,
            ),
            (
                1016,
                Kind::Array(Value::Str),
                true,
                Kind::Array(Value::BigInt),
                true,
            ),
            (
                1003,
                Kind::One(Value::Str),
                false,
                Kind::Array(Value::Str),
                true,
            ),
            (
                3807,
                Kind::Array(Value::Json),
                true,
                Kind::Array(Value::Json),
                true,
            ),
            (
                719,
                Kind::One(Value::Str),
                false,
                Kind::Array(Value::Str),
                false,
            ),
            (
                99_999,
                Kind::One(Value::Str),
                false,
                Kind::One(Value::Str),
                false,
            ),
        ] {
            assert_eq!(pg.kind(oid), pg_kind, "pg {oid}");
            assert_eq!(pg.binary(oid), pg_binary, "pg {oid}");
            assert_eq!(lossless.kind(oid), kind, "lossless {oid}");
            assert_eq!(lossless.binary(oid), binary, "lossless {oid}");
        }
    }

    #[test]
    fn a_type_the_user_reads_comes_as_text_and_its_array_does_not_change() {
        let profile = Profile::new(Preset::Pg, [20, 3802]);
        assert_eq!(profile.kind(20), Kind::One(Value::Custom));
        assert_eq!(profile.kind(3802), Kind::One(Value::Custom));
        assert!(!profile.binary(20));
        assert_eq!(profile.kind(1016), Kind::Array(Value::Str));
    }

    #[test]
    fn a_type_whose_bytes_the_user_reads_is_asked_for_in_binary() {
        let profile = Profile::new(Preset::Pg, [20]).with_raw([20, 1700]);
        for oid in [20, 1700] {
            assert_eq!(profile.kind(oid), Kind::One(Value::Raw));
            assert!(profile.binary(oid) && profile.reads_binary(oid));
        }
        assert!(profile.has_raw());
        assert!(!Profile::new(Preset::Pg, [20]).has_raw());
    }
}
