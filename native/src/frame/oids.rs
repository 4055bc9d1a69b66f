//! OIDs of the types that are read in a special way, and of all built-in arrays.
//!
//! Source: `pg_type.dat` of PostgreSQL 15; OIDs below 16384 never change.

pub(super) const BOOL: u32 = 16;
pub(super) const BYTEA: u32 = 17;
pub(super) const CHAR: u32 = 18;
pub(super) const NAME: u32 = 19;
pub(super) const INT8: u32 = 20;
pub(super) const INT2: u32 = 21;
pub(super) const INT4: u32 = 23;
pub(super) const TEXT: u32 = 25;
pub(super) const OID: u32 = 26;
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
pub(super) const VOID: u32 = 2278;
pub(super) const JSONB: u32 = 3802;

/// Array OID and element OID, sorted by the former.
const ARRAYS: &[(u32, u32)] = &[
    (143, 142),   // xml
    (199, 114),   // json
    (271, 5069),  // xid8
    (629, 628),   // line
    (651, 650),   // cidr
    (719, 718),   // circle
    (775, 774),   // macaddr8
    (791, 790),   // money
    (1000, 16),   // bool
    (1001, 17),   // bytea
    (1002, 18),   // "char"
    (1003, 19),   // name
    (1005, 21),   // int2
    (1006, 22),   // int2vector
    (1007, 23),   // int4
    (1008, 24),   // regproc
    (1009, 25),   // text
    (1010, 27),   // tid
    (1011, 28),   // xid
    (1012, 29),   // cid
    (1013, 30),   // oidvector
    (1014, 1042), // bpchar
    (1015, 1043), // varchar
    (1016, 20),   // int8
    (1017, 600),  // point
    (1018, 601),  // lseg
    (1019, 602),  // path
    (1020, 603),  // box
    (1021, 700),  // float4
    (1022, 701),  // float8
    (1027, 604),  // polygon
    (1028, 26),   // oid
    (1034, 1033), // aclitem
    (1040, 829),  // macaddr
    (1041, 869),  // inet
    (1115, 1114), // timestamp
    (1182, 1082), // date
    (1183, 1083), // time
    (1185, 1184), // timestamptz
    (1187, 1186), // interval
    (1231, 1700), // numeric
    (1263, 2275), // cstring
    (1270, 1266), // timetz
    (1561, 1560), // bit
    (1563, 1562), // varbit
    (2201, 1790), // refcursor
    (2207, 2202), // regprocedure
    (2208, 2203), // regoper
    (2209, 2204), // regoperator
    (2210, 2205), // regclass
    (2211, 2206), // regtype
    (2287, 2249), // record
    (2949, 2970), // txid_snapshot
    (2951, 2950), // uuid
    (3221, 3220), // pg_lsn
    (3643, 3614), // tsvector
    (3644, 3642), // gtsvector
    (3645, 3615), // tsquery
    (3735, 3734), // regconfig
    (3770, 3769), // regdictionary
    (3807, 3802), // jsonb
    (3905, 3904), // int4range
    (3907, 3906), // numrange
    (3909, 3908), // tsrange
    (3911, 3910), // tstzrange
    (3913, 3912), // daterange
    (3927, 3926), // int8range
    (4073, 4072), // jsonpath
    (4090, 4089), // regnamespace
    (4097, 4096), // regrole
    (4192, 4191), // regcollation
    (5039, 5038), // pg_snapshot
    (6150, 4451), // int4multirange
    (6151, 4532), // nummultirange
    (6152, 4533), // tsmultirange
    (6153, 4534), // tstzmultirange
    (6155, 4535), // datemultirange
    (6157, 4536), // int8multirange
];

/// The arrays `node-postgres` takes apart; all others it hands out as text.
///
/// Source: `pg-types` 2.2, `lib/textParsers.js`.
pub(super) const PG_ARRAYS: &[u32] = &[
    199, 651, 791, 1000, 1001, 1005, 1007, 1008, 1009, 1014, 1015, 1016, 1017, 1021, 1022, 1028,
    1040, 1041, 1115, 1182, 1183, 1185, 1187, 1231, 1270, 2951, 3807, 3907,
];

/// The OID of the elements of a built-in array.
pub(super) fn element_of(array: u32) -> Option<u32> {
    let at = ARRAYS.binary_search_by_key(&array, |pair| pair.0).ok()?;
    ARRAYS.get(at).map(|pair| pair.1)
}

/// What separates the elements in an array's text (`pg_type.typdelim`).
pub(super) const fn delimiter(element: u32) -> u8 {
    if element == BOX { b';' } else { b',' }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_arrays_is_sorted() {
        assert!(ARRAYS.is_sorted_by(|a, b| a.0 < b.0));
        assert!(PG_ARRAYS.iter().all(|oid| element_of(*oid).is_some()));
        assert_eq!(element_of(1007), Some(INT4));
        assert_eq!(element_of(1186), None);
    }
}
