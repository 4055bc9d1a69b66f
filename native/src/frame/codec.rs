//! The one table from a type's OID to its value in JavaScript and to the codecs of both wire formats.

use super::kind::Value;
use super::oids;
use super::profile::Preset;

/// How the bytes of one value on the wire become slots of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Codec {
    /// Any text that stays as it is.
    Text,
    /// Decimal text of an `int2` or `int4`.
    IntText,
    /// Decimal text of an `oid`.
    OidText,
    /// Decimal text of an `int8`, to an `i64` slot.
    BigIntText,
    /// Decimal text of a float or numeric, to an `f64` slot.
    FloatText,
    /// `t` or `f`.
    BoolText,
    /// `bytea` in its `hex` or `escape` form.
    BytesText,
    /// ISO text of a `timestamptz`, to milliseconds.
    InstantText,
    /// ISO text of a `timestamp`, to milliseconds.
    LocalText,
    /// ISO text of a `date`, to milliseconds.
    DateText,
    /// ISO text of a `timestamptz`, to text in UTC.
    InstantIsoText,
    /// ISO text of a `timestamp`, to text.
    LocalIsoText,
    /// Text of a `time`, to text with six digits of fraction or none.
    TimeIsoText,
    /// Text of an `interval` in any `IntervalStyle`, to ISO 8601.
    IntervalIsoText,
    /// Two bytes.
    Int2,
    /// Four bytes, signed.
    Int4,
    /// Four bytes, unsigned.
    Oid,
    /// Eight bytes, to an `i64` slot.
    BigInt,
    /// Eight bytes, to decimal text.
    BigIntDecimal,
    /// Eight bytes, IEEE 754.
    Float8,
    /// One byte.
    Bool,
    /// Bytes that stay as they are.
    Bytes,
    /// Microseconds since 2000, to milliseconds since 1970.
    StampMs,
    /// Days since 2000, to milliseconds since 1970.
    DateMs,
    /// Microseconds since 2000, to text with the offset `+00:00`.
    InstantIso,
    /// Microseconds since 2000, to text.
    LocalIso,
    /// Days since 2000, to text.
    DateIso,
    /// Microseconds since midnight, to text.
    TimeIso,
    /// Microseconds, days and months, to ISO 8601.
    IntervalIso,
    /// Sixteen bytes, to text.
    Uuid,
    /// The one byte of a `"char"`, to the server's text.
    Char,
    /// A version byte and JSON text.
    Jsonb,
    /// A column that is always `null`.
    Void,
}

/// What is known about a type under a preset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Type {
    /// What JavaScript sees.
    pub(super) value: Value,
    /// From the text format.
    pub(super) text: Codec,
    /// From the binary format, when that is read at all.
    pub(super) binary: Option<Codec>,
    /// Is a column of this type asked for in the binary format? (Arrays are whenever their elements can be read.)
    pub(super) prefers_binary: bool,
}

const fn both(value: Value, text: Codec, binary: Codec) -> Type {
    Type {
        value,
        text,
        binary: Some(binary),
        prefers_binary: true,
    }
}

/// Text is as good as binary for a single value; inside an array binary saves the quoting.
const fn text_or(value: Value, binary: Codec) -> Type {
    Type {
        value,
        text: Codec::Text,
        binary: Some(binary),
        prefers_binary: false,
    }
}

const fn text(value: Value, text: Codec) -> Type {
    Type {
        value,
        text,
        binary: None,
        prefers_binary: false,
    }
}

/// The type of a column or of an array's element; what is unknown stays the server's text.
///
/// `float4` is read as text, because the number wanted is the one the server prints (0.1, not 0.10000000149011612).
pub(super) const fn scalar(preset: Preset, oid: u32) -> Type {
    match oid {
        oids::BOOL => both(Value::Bool, Codec::BoolText, Codec::Bool),
        oids::BYTEA => both(Value::Bytes, Codec::BytesText, Codec::Bytes),
        oids::INT2 => both(Value::I32, Codec::IntText, Codec::Int2),
        oids::INT4 => both(Value::I32, Codec::IntText, Codec::Int4),
        oids::OID => both(Value::U32, Codec::OidText, Codec::Oid),
        oids::FLOAT4 => text(Value::F64, Codec::FloatText),
        oids::FLOAT8 => both(Value::F64, Codec::FloatText, Codec::Float8),
        oids::CHAR => text_or(Value::Str, Codec::Char),
        oids::NAME | oids::TEXT | oids::BPCHAR | oids::VARCHAR => text_or(Value::Str, Codec::Text),
        oids::UUID => both(Value::Str, Codec::Text, Codec::Uuid),
        oids::JSON => text_or(Value::Json, Codec::Text),
        oids::JSONB => text_or(Value::Json, Codec::Jsonb),
        _ => match preset {
            Preset::Pg => pg(oid),
            Preset::Lossless => lossless(oid),
        },
    }
}

/// Where `node-postgres` has its own idea.
const fn pg(oid: u32) -> Type {
    match oid {
        oids::INT8 => text_or(Value::Str, Codec::BigIntDecimal),
        oids::DATE => both(Value::LocalDateMs, Codec::DateText, Codec::DateMs),
        oids::TIMESTAMP => both(Value::LocalDateMs, Codec::LocalText, Codec::StampMs),
        oids::TIMESTAMPTZ => both(Value::DateMs, Codec::InstantText, Codec::StampMs),
        oids::INTERVAL => text(Value::Interval, Codec::Text),
        oids::POINT => text(Value::Point, Codec::Text),
        oids::CIRCLE => text(Value::Circle, Codec::Text),
        _ => text(Value::Str, Codec::Text),
    }
}

/// Where nothing may be lost.
const fn lossless(oid: u32) -> Type {
    match oid {
        oids::INT8 => both(Value::BigInt, Codec::BigIntText, Codec::BigInt),
        oids::DATE => both(Value::Str, Codec::Text, Codec::DateIso),
        oids::TIME => both(Value::Str, Codec::TimeIsoText, Codec::TimeIso),
        oids::TIMESTAMP => both(Value::Str, Codec::LocalIsoText, Codec::LocalIso),
        oids::TIMESTAMPTZ => both(Value::Str, Codec::InstantIsoText, Codec::InstantIso),
        oids::INTERVAL => both(Value::Str, Codec::IntervalIsoText, Codec::IntervalIso),
        oids::VOID => text(Value::Void, Codec::Void),
        _ => text(Value::Str, Codec::Text),
    }
}

/// The OID and the type of the elements when `oid` is an array that the preset takes apart.
///
/// Under the `pg` preset `numeric[]` holds numbers although `numeric` is a string: that is `node-postgres`' behaviour.
pub(super) fn element(preset: Preset, oid: u32) -> Option<(u32, Type)> {
    let element = oids::element_of(oid)?;
    match preset {
        Preset::Pg if !oids::PG_ARRAYS.contains(&oid) => None,
        Preset::Pg if element == oids::NUMERIC => {
            Some((element, text(Value::F64, Codec::FloatText)))
        }
        _ => Some((element, scalar(preset, element))),
    }
}
