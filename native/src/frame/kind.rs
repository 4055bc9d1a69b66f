//! What a cell of a frame becomes in JavaScript.

/// One value, or one element of an array.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Value {
    /// A signed integer: one 4-byte slot.
    I32,
    /// An unsigned integer (`oid`): one 4-byte slot.
    U32,
    /// A number: one 8-byte slot.
    F64,
    /// `true` or `false`: one 4-byte slot, 1 or 0.
    Bool,
    /// A string: one 4-byte slot (length) and text.
    Str,
    /// A `BigInt`: one 8-byte slot, `i64`.
    BigInt,
    /// A `Date` from milliseconds since 1970 UTC; the infinities stay numbers: one 8-byte slot, `f64`.
    DateMs,
    /// A `Date` whose fields in the time zone of the process are those of the milliseconds read as UTC; infinities as above.
    LocalDateMs,
    /// A parsed JSON value; as an element of an array one string, as a column the batched json area and no slot.
    Json,
    /// A `Buffer`: one 4-byte slot (length) and raw bytes.
    Bytes,
    /// Always `null`, without any slot.
    Void,
    /// The exact text of the server for the user's own parser: as a string.
    Custom,
    /// `node-postgres`' interval object, from the server's text.
    Interval,
    /// `{x, y}`, from the server's text.
    Point,
    /// `{x, y, radius}`, from the server's text.
    Circle,
    /// The bytes of the binary format for the user's own parser: as a `Buffer`.
    Raw,
}

impl Value {
    /// The number `lib/rows/kinds.js` knows this value by.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::I32 => 1,
            Self::U32 => 2,
            Self::F64 => 3,
            Self::Bool => 4,
            Self::Str => 5,
            Self::BigInt => 6,
            Self::DateMs => 7,
            Self::LocalDateMs => 8,
            Self::Json => 9,
            Self::Bytes => 10,
            Self::Void => 11,
            Self::Custom => 12,
            Self::Interval => 13,
            Self::Point => 14,
            Self::Circle => 15,
            Self::Raw => 16,
        }
    }
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// One value.
    One(Value),
    /// An array of any dimension.
    Array(Value),
}

impl Kind {
    /// The number `lib/rows/kinds.js` knows this kind by: that of the value, plus 32 for arrays.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::One(value) => value.code(),
            Self::Array(value) => value.code() + 32,
        }
    }
}
