//! OIDs of the types that are read in a special way, and what is known of built-in arrays.
//!
//! Source: `pg_type.dat` of the server, as `postgres_types` has it; OIDs below 16384 never change.

use postgres_types::{Kind, Type};

pub(super) const BOOL: u32 = 16;
pub(super) const BYTEA: u32 = 17;
pub(super) const CHAR: u32 = 18;
pub(super) const NAME: u32 = 19;
pub(super) const INT8: u32 = 20;
pub(super) const INT2: u32 = 21;
pub(super) const INT2VECTOR: u32 = 22;
pub(super) const INT4: u32 = 23;
pub(super) const TEXT: u32 = 25;
pub(super) const OID: u32 = 26;
pub(super) const OIDVECTOR: u32 = 30;
pub(super) const JSON: u32 = 114;
pub(super) const POINT: u32 = 600;
pub(super) const BOX: u32 = 603;
pub(super) const FLOAT4: u32 = 700;
pub(super) const FLOAT8: u32 = 701;
pub(super) const CIRCLE: u32 = 718;
pub(super) const BPCHAR: u32 = 1042;
pub(super) const VARCHAR: u32 = 1043;
pub(super) const DATE: u32 = 1082;
pub(super) const TIME: u32 = 1083;
pub(super) const TIMESTAMP: u32 = 1114;
pub(super) const TIMESTAMPTZ: u32 = 1184;
pub(super) const INTERVAL: u32 = 1186;
pub(super) const NUMERIC: u32 = 1700;
pub(super) const RECORD: u32 = 2249;
pub(super) const VOID: u32 = 2278;
pub(super) const RECORDS: u32 = 2287;
pub(super) const UUID: u32 = 2950;
pub(super) const JSONB: u32 = 3802;

/// The arrays `node-postgres` takes apart; all others it hands out as text.
///
/// Source: `pg-types` 2.2, `lib/textParsers.js`.
pub(super) const PG_ARRAYS: &[u32] = &[
    199, 651, 791, 1000, 1001, 1005, 1007, 1008, 1009, 1014, 1015, 1016, 1017, 1021, 1022, 1028,
    1040, 1041, 1115, 1182, 1183, 1185, 1187, 1231, 1270, 2951, 3807, 3907,
];

/// The OID of the elements of a built-in array.
pub(super) fn element_of(array: u32) -> Option<u32> {
    // arrays in the catalog, with a text form of their own: `1 2`
    if matches!(array, INT2VECTOR | OIDVECTOR) {
        return None;
    }
    match Type::from_oid(array)?.kind() {
        // a pseudo-type there, as in the catalog; on the wire an array like others
        Kind::Pseudo if array == RECORDS => Some(RECORD),
        Kind::Array(element) => Some(element.oid()),
        _ => None,
    }
}

/// What separates the elements in an array's text (`pg_type.typdelim`).
pub(super) const fn delimiter(element: u32) -> u8 {
    if element == BOX { b';' } else { b',' }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_have_the_elements_of_the_catalog() {
        assert!(PG_ARRAYS.iter().all(|oid| element_of(*oid).is_some()));
        for (array, element) in [
            (1007, INT4),
            (2951, UUID),
            (RECORDS, RECORD),
            (6157, 4536), // int8multirange
            (5039, 5038), // pg_snapshot, new in PostgreSQL 13
        ] {
            assert_eq!(element_of(array), Some(element));
        }
        for other in [INTERVAL, INT2VECTOR, OIDVECTOR, 16_384] {
            assert_eq!(element_of(other), None);
        }
    }
}
