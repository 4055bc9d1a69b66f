//! Shapes: what JavaScript compiles a decoder for, numbered process-wide.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use lru::LruCache;

use super::kind::Kind;
use crate::field::Field;
use crate::json::{array, members};

/// The columns of a result and what they become; independent of the wire format.
#[derive(Debug, PartialEq, Eq)]
pub struct Shape {
    /// Its number, never 0.
    pub number: u32,
    /// The columns as the server describes them.
    pub fields: Box<[Field]>,
    /// What each column becomes.
    pub kinds: Box<[Kind]>,
}

impl Shape {
    /// The shape as JSON for `lib/rows/decoder.js`:
    /// `{"number":…,"fields":[[name,tableID,columnID,dataTypeID,dataTypeSize,dataTypeModifier],…],"kinds":[code,…]}`.
    #[must_use]
    pub fn describe(&self) -> String {
        let fields = self.fields.iter().map(|field| {
            array(&[
                &field.name,
                &field.table_oid,
                &field.column,
                &field.type_oid,
                &field.type_size,
                &field.type_modifier,
            ])
        });
        let kinds = self.kinds.iter().map(|kind| kind.code());
        let text = members(&[
            ("number", &self.number),
            ("fields", &fields.collect::<Vec<_>>()),
            ("kinds", &kinds.collect::<Vec<_>>()),
        ]);
        text.into_string()
    }
}

/// How many recently used shapes are kept although nobody holds them, so that unprepared statements find theirs again.
const KEPT: NonZeroUsize = match NonZeroUsize::new(512) {
    Some(kept) => kept,
    None => NonZeroUsize::MIN,
};

/// Below this many entries dead ones are not looked for.
const SWEEP_AT_LEAST: usize = 2 * KEPT.get();

/// The table of shapes: equal content, same number. Memory is bounded by [`KEPT`] and by the plans alive (rule J04).
#[derive(Debug)]
pub struct Shapes {
    hasher: RandomState,
    table: Mutex<Table>,
}

#[derive(Debug)]
struct Table {
    last: u32,
    /// By the hash of the content; the content itself is compared, so different shapes never share an entry.
    by_content: HashMap<u64, Vec<Weak<Shape>>>,
    by_number: HashMap<u32, Weak<Shape>>,
    recent: LruCache<u32, Arc<Shape>>,
    sweep_at: usize,
}

impl Default for Shapes {
    fn default() -> Self {
        Self::new()
    }
}

impl Shapes {
    /// An empty table.
    #[must_use]
    pub fn new() -> Self {
        Self {
            hasher: RandomState::new(),
            table: Mutex::new(Table {
                last: 0,
                by_content: HashMap::new(),
                by_number: HashMap::new(),
                recent: LruCache::new(KEPT),
                sweep_at: SWEEP_AT_LEAST,
            }),
        }
    }

    /// The shape of this content, numbered when it is new.
    pub fn intern(&self, fields: &[Field], kinds: &[Kind]) -> Arc<Shape> {
        let hash = self.hasher.hash_one((fields, kinds));
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let known = table.by_content.get(&hash).and_then(|same_hash| {
            let mut alive = same_hash.iter().filter_map(Weak::upgrade);
            alive.find(|shape| *shape.fields == *fields && *shape.kinds == *kinds)
        });
        let shape = known.unwrap_or_else(|| table.add(hash, fields, kinds));
        table.recent.put(shape.number, Arc::clone(&shape));
        shape
    }

    /// The shape of this number, as long as a plan holds it or it was used recently.
    pub fn get(&self, number: u32) -> Option<Arc<Shape>> {
        let table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        table.by_number.get(&number).and_then(Weak::upgrade)
    }
}

impl Table {
    fn add(&mut self, hash: u64, fields: &[Field], kinds: &[Kind]) -> Arc<Shape> {
        if self.by_number.len() >= self.sweep_at {
            self.sweep();
        }
        let mut number = self.last;
        loop {
            number = number.wrapping_add(1);
            if number != 0 && !self.by_number.contains_key(&number) {
                break;
            }
        }
        self.last = number;
        let shape = Arc::new(Shape {
            number,
            fields: fields.into(),
            kinds: kinds.into(),
        });
        self.by_number.insert(number, Arc::downgrade(&shape));
        let same_hash = self.by_content.entry(hash).or_default();
        same_hash.push(Arc::downgrade(&shape));
        shape
    }

    /// Forgets the dead; the next sweep comes when the table has doubled, so its cost is constant per new shape.
    fn sweep(&mut self) {
        self.by_number.retain(|_, shape| shape.strong_count() > 0);
        self.by_content.retain(|_, same_hash| {
            same_hash.retain(|shape| shape.strong_count() > 0);
            !same_hash.is_empty()
        });
        self.sweep_at = SWEEP_AT_LEAST.max(2 * self.by_number.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Value;

    fn field(name: &str) -> Field {
        Field {
            name: name.into(),
            table_oid: 0,
            column: 0,
            type_oid: 23,
            type_size: 4,
            type_modifier: -1,
        }
    }

    #[test]
    fn equal_content_has_one_number_and_other_content_another() {
        let shapes = Shapes::new();
        let int = [Kind::One(Value::I32)];
        let first = shapes.intern(&[field("a")], &int);
        assert_eq!(first.number, shapes.intern(&[field("a")], &int).number);
        assert_ne!(first.number, shapes.intern(&[field("b")], &int).number);
        let array = [Kind::Array(Value::I32)];
        assert_ne!(first.number, shapes.intern(&[field("a")], &array).number);
        assert_eq!(shapes.get(first.number), Some(first));
        assert_eq!(shapes.get(0), None);
        assert_eq!(shapes.get(1000), None);
    }

    #[test]
    fn sec_j04_names_cannot_be_confused_with_each_other() {
        let shapes = Shapes::new();
        let kinds = [Kind::One(Value::I32); 2];
        let numbers: std::collections::BTreeSet<u32> = [
            ["ab", "c"],
            ["a", "bc"],
            ["abc", ""],
            ["", "abc"],
            ["a\0b", "c"],
        ]
        .iter()
        .map(|names| shapes.intern(&names.map(field), &kinds).number)
        .collect();
        assert_eq!(numbers.len(), 5);
    }

    #[test]
    fn sec_j04_a_million_shapes_leave_a_bounded_table_and_live_ones_stay() {
        let shapes = Shapes::new();
        let kinds = [Kind::One(Value::I32)];
        let held = shapes.intern(&[field("held")], &kinds);
        for i in 0..1_000_000 {
            shapes.intern(&[field(&i.to_string())], &kinds);
        }
        let table = shapes.table.lock().unwrap();
        assert!(table.by_number.len() <= SWEEP_AT_LEAST + 1);
        assert!(table.by_content.len() <= SWEEP_AT_LEAST + 1);
        assert_eq!(table.recent.len(), KEPT.get());
        drop(table);
        assert_eq!(shapes.intern(&[field("held")], &kinds).number, held.number);
        assert_eq!(shapes.get(held.number), Some(held));
        assert_eq!(shapes.get(2), None);
    }

    #[test]
    fn numbers_wrap_without_meeting_zero_or_a_live_one() {
        let shapes = Shapes::new();
        let kinds = [Kind::One(Value::I32)];
        let held = shapes.intern(&[field("held")], &kinds);
        assert_eq!(held.number, 1);
        shapes.table.lock().unwrap().last = u32::MAX;
        assert_eq!(shapes.intern(&[field("next")], &kinds).number, 2);
    }

    #[test]
    fn the_description_is_json_with_names_escaped() {
        let shapes = Shapes::new();
        let shape = shapes.intern(&[field("a\"\u{2028}")], &[Kind::Array(Value::Json)]);
        let value: serde_json::Value = serde_json::from_str(&shape.describe()).unwrap();
        assert_eq!(
            value,
            serde_json::json!({"number": 1, "fields": [["a\"\u{2028}", 0, 0, 23, 4, -1]], "kinds": [41]})
        );
    }
}
