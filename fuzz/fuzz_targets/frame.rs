//! Any bytes as the row of any description: no panic, and a frame whose size is what was announced.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use pg_berth::field::Field;
use pg_berth::frame::{FrameBuilder, Plan, Preset, Profile, Shapes};

/// Types with a codec of their own, some of their arrays, and one nobody knows.
const OIDS: [u32; 32] = [
    16, 17, 18, 20, 21, 23, 25, 26, 114, 600, 700, 701, 1082, 1083, 1114, 1184, 1186, 1700, 2278,
    3802, 199, 1000, 1001, 1007, 1009, 1016, 1020, 1185, 1187, 1231, 3807, 99_999,
];

static SHAPES: LazyLock<Shapes> = LazyLock::new(Shapes::new);

// Input: one byte of flags, one byte per column (at most 16, count first), then the body of a DataRow.
fuzz_target!(|input: &[u8]| {
    let [flags, columns, rest @ ..] = input else {
        return;
    };
    let Some((types, body)) = rest.split_at_checked(usize::from(columns % 17)) else {
        return;
    };
    let field = |index: &u8| Field {
        name: "c".into(),
        table_oid: 0,
        column: 0,
        type_oid: OIDS
            .get(usize::from(index % 32))
            .copied()
            .unwrap_or_default(),
        type_size: -1,
        type_modifier: -1,
    };
    let fields: Vec<Field> = types.iter().map(field).collect();
    let preset = if flags & 1 == 0 {
        Preset::Pg
    } else {
        Preset::Lossless
    };
    let profile = Profile::new(preset, (flags & 2 != 0).then_some(3802));
    let plan = if flags & 4 == 0 {
        Plan::all_text(&SHAPES, &fields, &profile)
    } else {
        Plan::per_type(&SHAPES, &fields, &profile)
    };
    let mut builder = FrameBuilder::new();
    let mut out = Vec::new();
    for _ in 0..2 {
        if builder.push_row(&plan, body).is_err() {
            assert_eq!((builder.rows(), builder.size()), (0, 0));
            return;
        }
        builder.keep(body);
    }
    let size = builder.size();
    builder.finish_into(&mut out, &[]);
    assert_eq!(out.len() % 8, 0);
    // Json columns may be transcoded: at most twice as long; each has a table entry, a bracket and padding.
    let slack = 16 * (fields.len() + 1);
    assert!(out.len() + slack >= size / 2 && out.len() <= 2 * size + slack);
    assert_eq!((builder.rows(), builder.size()), (0, 0));
});
