//! How the rows of one description are read: the codec of every column and the formats to ask for.

use std::sync::Arc;

use super::codec::{self, Codec};
use super::kind::{Kind, Value};
use super::oids;
use super::profile::Profile;
use super::shape::{Shape, Shapes};
use crate::field::Field;

/// The slots a NULL occupies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slot {
    /// One of four bytes.
    Four,
    /// One of eight bytes.
    Eight,
}

impl Slot {
    pub(super) const fn of(value: Value) -> Self {
        match value {
            Value::F64 | Value::BigInt | Value::DateMs | Value::LocalDateMs => Self::Eight,
            _ => Self::Four,
        }
    }
}

/// How one column is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reader {
    /// One value.
    Cell(Codec, Slot),
    /// A json value for the batch of its column: which one of the json columns.
    Json(usize),
    /// An array.
    Array(Element),
    /// Nothing is kept.
    Void,
}

/// How the elements of an array are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Element {
    /// Type OID of the elements, as the binary form must announce it.
    pub(super) oid: u32,
    /// Binary or text form, for the array and its elements alike.
    pub(super) binary: bool,
    /// How one element is read.
    pub(super) codec: Codec,
    /// What a NULL element occupies.
    pub(super) slot: Slot,
    /// What separates elements in text.
    pub(super) delimiter: u8,
}

/// Everything needed to turn `DataRow`s of one description into frames.
///
/// The first execution of a statement is all text (its description is not known when Bind is sent), later ones take the
/// format that suits each type. Both give the same shape and the same frames.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Number, fields and kinds, as JavaScript knows them.
    pub shape: Arc<Shape>,
    /// Count and codes of the result formats, ready for Bind (big-endian `u16`s; none when all are text).
    pub bind_formats: Box<[u8]>,
    pub(super) readers: Box<[Reader]>,
    pub(super) json_columns: usize,
}

impl Plan {
    /// A plan for rows that come as text, but for those whose bytes the user reads.
    #[must_use]
    pub fn all_text(shapes: &Shapes, fields: &[Field], profile: &Profile) -> Self {
        Self::build(shapes, fields, profile, |oid| profile.is_raw(oid))
    }

    /// A plan for rows that come in the format that suits each type.
    #[must_use]
    pub fn per_type(shapes: &Shapes, fields: &[Field], profile: &Profile) -> Self {
        Self::build(shapes, fields, profile, |oid| profile.binary(oid))
    }

    /// A plan for rows whose formats were not asked for: a simple query that fetches from a binary cursor.
    ///
    /// # Errors
    /// The first column whose type cannot be read in the binary format.
    pub fn as_described<'a>(
        shapes: &Shapes,
        fields: &'a [Field],
        binary: &[bool],
        profile: &Profile,
    ) -> Result<Self, &'a Field> {
        let is_binary = |column: usize| binary.get(column).copied().unwrap_or_default();
        for (column, field) in fields.iter().enumerate() {
            if is_binary(column) && !profile.reads_binary(field.type_oid) {
                return Err(field);
            }
        }
        let mut columns = 0..;
        Ok(Self::build(shapes, fields, profile, |_| {
            columns.next().is_some_and(is_binary)
        }))
    }

    fn build(
        shapes: &Shapes,
        fields: &[Field],
        profile: &Profile,
        is_binary: impl FnMut(u32) -> bool,
    ) -> Self {
        let kinds: Vec<Kind> = fields.iter().map(|f| profile.kind(f.type_oid)).collect();
        let formats: Vec<bool> = fields.iter().map(|f| f.type_oid).map(is_binary).collect();
        let mut json_columns = 0;
        let readers = fields
            .iter()
            .zip(&formats)
            .map(|(field, binary)| reader(profile, field.type_oid, *binary, &mut json_columns))
            .collect();
        Self {
            shape: shapes.intern(fields, &kinds),
            bind_formats: bind_formats(&formats),
            readers,
            json_columns,
        }
    }
}

fn reader(profile: &Profile, oid: u32, binary: bool, json_columns: &mut usize) -> Reader {
    if profile.is_raw(oid) {
        return Reader::Cell(Codec::Bytes, Slot::Four);
    }
    if profile.is_custom(oid) {
        return Reader::Cell(Codec::Text, Slot::Four);
    }
    if let Some((oid, element)) = codec::element(profile.preset(), oid) {
        let (binary, codec) = match element.binary {
            Some(codec) if binary => (true, codec),
            _ => (false, element.text),
        };
        return Reader::Array(Element {
            oid,
            binary,
            codec,
            slot: Slot::of(element.value),
            delimiter: oids::delimiter(oid),
        });
    }
    let scalar = codec::scalar(profile.preset(), oid);
    match scalar.value {
        Value::Void => Reader::Void,
        Value::Json => {
            *json_columns += 1;
            Reader::Json(*json_columns - 1)
        }
        value => {
            let codec = scalar.binary.filter(|_| binary).unwrap_or(scalar.text);
            Reader::Cell(codec, Slot::of(value))
        }
    }
}

fn bind_formats(formats: &[bool]) -> Box<[u8]> {
    // A description has at most 65 535 columns; its count came as a `u16`.
    match u16::try_from(formats.len()) {
        Ok(count) if formats.contains(&true) => {
            let codes = formats.iter().flat_map(|binary| [0, u8::from(*binary)]);
            count.to_be_bytes().into_iter().chain(codes).collect()
        }
        _ => Box::new([0, 0]),
    }
}
