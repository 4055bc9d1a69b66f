//! Row frames: `DataRow` bytes become one block of typed areas that JavaScript decodes without any call back.
//!
//! ```text
//! RowDescription ─▶ Profile ─▶ Plan (codec per column, wire formats) ─▶ Shape (number, fields, kinds) ─▶ lib/rows/decoder.js
//! DataRow bytes ───────────▶ FrameBuilder ─▶ frame ────────────────────────────────────────────────────▶ rows
//! ```
//!
//! A frame, little-endian, 8-aligned in its buffer and padded to 8:
//!
//! ```text
//! header    8 × u32: 8-byte slots · 4-byte slots · bytes of the NULL bitmap (0 = no NULL) · Latin-1 bytes · UTF-16 bytes ·
//!           raw bytes · json columns · 0
//! eight     8-byte slots: f64 (numbers, milliseconds since 1970) or i64
//! four      4-byte slots: numbers, booleans, lengths (strings: bit 30 says UTF-16, length in units), array headers
//! json      per json column: u32 byte length, u32 form (0 Latin-1, 1 UTF-16, 2 tree)
//! nulls     bitmap, row-major: bit row × columns + column; least significant bit first
//! UTF-16    (2-aligned) text that does not fit Latin-1
//! Latin-1   all other text
//! json      per json column `[cell,cell,…]`, `null` for NULL: text (2-aligned) or a tree (8-aligned, `json_tree.rs`)
//! raw       bytea
//! ```
//!
//! Every area is read sequentially, row by row. A NULL cell keeps its slot, filled with 0; a json column has no slot.
//! An array cell is `u32 dimensions | 0x100 if elements are NULL`, the sizes of the dimensions, the slots of the elements
//! in the area of their kind, and in the flagged case a bitmap of ⌈elements / 32⌉ 4-byte slots.
//!
//! Every length and count comes from the network and is checked (rules W03, W04, W07); text that is not UTF-8 is kept with
//! U+FFFD in place of the broken bytes (rule W11).

mod areas;
mod array;
mod builder;
mod bytea;
mod cell;
mod codec;
mod datetime;
mod interval;
mod json_tree;
mod kind;
mod number;
mod oids;
mod plan;
mod profile;
mod shape;
mod stamp;
mod text;

#[cfg(test)]
mod tests;

pub use builder::FrameBuilder;
pub use kind::{Kind, Value};
pub use plan::Plan;
pub use profile::{Preset, Profile};
pub use shape::{Shape, Shapes};
