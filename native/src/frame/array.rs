//! Arrays of any dimension, from the binary form and from text.
//!
//! In the frame: `u32 dimensions | HAS_NULL`, the sizes of the dimensions, the slots of the elements, and, if elements are
//! NULL, a bitmap of 4-byte slots. Lower bounds are dropped.

use super::areas::Areas;
use super::cell::Filled;
use super::plan::Element;
use crate::error::Error;

/// The server's own limit (`MAXDIM`).
const MAX_DIMENSIONS: usize = 6;

/// Elements are NULL: a bitmap follows them.
const HAS_NULL: u32 = 0x100;

/// Which elements are NULL; empty as long as none is.
#[derive(Default)]
struct Nulls {
    words: Vec<u32>,
    elements: usize,
}

impl Nulls {
    fn note(&mut self, filled: Filled) {
        if filled == Filled::Null {
            let word = self.elements / 32;
            if self.words.len() <= word {
                self.words.resize(word + 1, 0);
            }
            if let Some(word) = self.words.get_mut(word) {
                *word |= 1 << (self.elements % 32);
            }
        }
        self.elements += 1;
    }
}

/// Where the header of an array is, to be completed when its elements are known.
struct Header {
    at: usize,
}

impl Areas {
    /// Appends an array that is not NULL itself.
    pub(super) fn push_array(&mut self, element: Element, bytes: &[u8]) -> Result<(), Error> {
        if element.binary {
            self.push_binary_array(element, bytes)
        } else {
            self.push_text_array(element, bytes)
        }
    }

    fn begin_array(&mut self, dimensions: usize) -> Header {
        let at = self.four.len();
        self.four.resize(at + 4 * (dimensions + 1), 0);
        Header { at }
    }

    /// Writes the header and, if needed, the bitmap.
    fn end_array(&mut self, header: &Header, sizes: &[u32], mut nulls: Nulls) -> Result<(), Error> {
        let mut flags = u32::try_from(sizes.len()).map_err(|_| too_many_dimensions())?;
        if !nulls.words.is_empty() {
            flags |= HAS_NULL;
            nulls.words.resize(nulls.elements.div_ceil(32), 0);
            for word in nulls.words {
                self.push_u32(word);
            }
        }
        let slots = self.four.get_mut(header.at..).unwrap_or_default();
        let values = std::iter::once(&flags).chain(sizes);
        for (slot, value) in slots.as_chunks_mut::<4>().0.iter_mut().zip(values) {
            *slot = value.to_le_bytes();
        }
        Ok(())
    }

    /// Source: `array_send`: `i32` dimensions, `i32` has-null, `u32` element type, per dimension `i32` size and `i32` lower
    /// bound, per element `i32` length (−1 for NULL) and its bytes.
    fn push_binary_array(&mut self, element: Element, bytes: &[u8]) -> Result<(), Error> {
        let mut rest = bytes;
        let dimensions = usize::try_from(take_i32(&mut rest)?)
            .ok()
            .filter(|dimensions| *dimensions <= MAX_DIMENSIONS)
            .ok_or_else(too_many_dimensions)?;
        take_i32(&mut rest)?;
        let announced = take_i32(&mut rest)?.cast_unsigned();
        if announced != element.oid {
            return Err(Error::protocol(format!(
                "an array of type {announced} where one of {} was described",
                element.oid
            )));
        }
        let mut sizes = [0_u32; MAX_DIMENSIONS];
        let sizes = sizes.get_mut(..dimensions).unwrap_or_default();
        let mut elements = usize::from(dimensions > 0);
        for size in sizes.iter_mut() {
            // The server has no dimension of size 0: such an array has no dimensions at all.
            *size = u32::try_from(take_i32(&mut rest)?)
                .ok()
                .filter(|size| *size > 0)
                .ok_or_else(|| Error::protocol("an array dimension of no or negative size"))?;
            take_i32(&mut rest)?;
            elements = usize::try_from(*size)
                .ok()
                .and_then(|size| elements.checked_mul(size))
                .ok_or_else(missing_elements)?;
        }
        // Each element has four bytes of length, so nothing is done for elements that did not arrive.
        if elements > rest.len() / 4 {
            return Err(missing_elements());
        }
        let header = self.begin_array(dimensions);
        let mut nulls = Nulls::default();
        for _ in 0..elements {
            nulls.note(match take_field(&mut rest)? {
                Some(value) => self.push_value(element.codec, value)?,
                None => self.push_null_element(element),
            });
        }
        if !rest.is_empty() {
            return Err(Error::protocol("bytes behind the last element of an array"));
        }
        self.end_array(&header, sizes, nulls)
    }

    fn push_null_element(&mut self, element: Element) -> Filled {
        self.push_null(element.slot);
        Filled::Null
    }

    /// Source: `array_out`: `[lower:upper]…=` when bounds are not 1, nested braces, elements bare or in double quotes with
    /// backslashes before quotes and backslashes, bare `NULL`.
    fn push_text_array(&mut self, element: Element, bytes: &[u8]) -> Result<(), Error> {
        let mut rest = without_bounds(bytes)?;
        if rest == b"{}" {
            let header = self.begin_array(0);
            return self.end_array(&header, &[], Nulls::default());
        }
        let dimensions = rest.iter().take_while(|byte| **byte == b'{').count();
        if dimensions == 0 || dimensions > MAX_DIMENSIONS {
            return Err(too_many_dimensions());
        }
        let header = self.begin_array(dimensions);
        let mut nulls = Nulls::default();
        let mut shape = Rectangle::new(dimensions);
        loop {
            while let Some(inner) = rest.strip_prefix(b"{") {
                shape.open()?;
                rest = inner;
            }
            shape.element()?;
            let filled;
            (filled, rest) = self.push_text_element(element, rest)?;
            nulls.note(filled);
            while let Some(outer) = rest.strip_prefix(b"}") {
                shape.close()?;
                rest = outer;
            }
            match rest.split_first() {
                Some((byte, next)) if *byte == element.delimiter => rest = next,
                None if shape.depth == 0 => break,
                _ => return Err(broken_text()),
            }
        }
        self.end_array(&header, shape.sizes(), nulls)
    }

    fn push_text_element<'a>(
        &mut self,
        element: Element,
        text: &'a [u8],
    ) -> Result<(Filled, &'a [u8]), Error> {
        if let Some(quoted) = text.strip_prefix(b"\"") {
            return self.push_quoted_element(element, quoted);
        }
        let end = memchr::memchr2(element.delimiter, b'}', text).ok_or_else(broken_text)?;
        let (bare, rest) = text.split_at_checked(end).ok_or_else(broken_text)?;
        let filled = match bare {
            b"" => return Err(broken_text()),
            b"NULL" => self.push_null_element(element),
            _ => self.push_value(element.codec, bare)?,
        };
        Ok((filled, rest))
    }

    fn push_quoted_element<'a>(
        &mut self,
        element: Element,
        mut text: &'a [u8],
    ) -> Result<(Filled, &'a [u8]), Error> {
        // Taken out, so that the areas can be written while it is read; put back with its capacity.
        let mut unquoted = std::mem::take(&mut self.scratch);
        unquoted.clear();
        let rest = loop {
            let at = memchr::memchr2(b'"', b'\\', text).ok_or_else(broken_text)?;
            let (plain, special) = text.split_at_checked(at).ok_or_else(broken_text)?;
            unquoted.extend_from_slice(plain);
            text = match special {
                [b'"', rest @ ..] => break rest,
                [_, escaped, rest @ ..] => {
                    unquoted.push(*escaped);
                    rest
                }
                _ => return Err(broken_text()),
            };
        };
        let filled = self.push_value(element.codec, &unquoted)?;
        self.scratch = unquoted;
        Ok((filled, rest))
    }
}

/// Sizes of nested lists while they are read; lists of one level must be equally long.
struct Rectangle {
    dimensions: usize,
    depth: usize,
    counts: [u32; MAX_DIMENSIONS],
    sizes: [u32; MAX_DIMENSIONS],
}

impl Rectangle {
    const fn new(dimensions: usize) -> Self {
        Self {
            dimensions,
            depth: 0,
            counts: [0; MAX_DIMENSIONS],
            sizes: [0; MAX_DIMENSIONS],
        }
    }

    fn open(&mut self) -> Result<(), Error> {
        if self.depth == self.dimensions {
            return Err(broken_text());
        }
        if self.depth > 0 {
            self.count()?;
        } else if self.sizes().first() != Some(&0) {
            return Err(broken_text());
        }
        if let Some(count) = self.counts.get_mut(self.depth) {
            *count = 0;
        }
        self.depth += 1;
        Ok(())
    }

    fn element(&mut self) -> Result<(), Error> {
        if self.depth != self.dimensions {
            return Err(broken_text());
        }
        self.count()
    }

    fn count(&mut self) -> Result<(), Error> {
        let count = self
            .depth
            .checked_sub(1)
            .and_then(|at| self.counts.get_mut(at));
        let count = count.ok_or_else(broken_text)?;
        *count = count.checked_add(1).ok_or_else(broken_text)?;
        Ok(())
    }

    fn close(&mut self) -> Result<(), Error> {
        self.depth = self.depth.checked_sub(1).ok_or_else(broken_text)?;
        let count = self.counts.get(self.depth).copied().unwrap_or_default();
        match self.sizes.get_mut(self.depth) {
            Some(size) if *size == 0 || *size == count => {
                *size = count;
                Ok(())
            }
            _ => Err(Error::protocol("an array whose lists are not equally long")),
        }
    }

    fn sizes(&self) -> &[u32] {
        self.sizes.get(..self.dimensions).unwrap_or_default()
    }
}

fn without_bounds(text: &[u8]) -> Result<&[u8], Error> {
    if !text.starts_with(b"[") {
        return Ok(text);
    }
    let end = memchr::memchr(b'=', text).ok_or_else(broken_text)?;
    let (bounds, rest) = text.split_at_checked(end).ok_or_else(broken_text)?;
    let known = |byte: &u8| matches!(byte, b'[' | b']' | b':' | b'+' | b'-' | b'0'..=b'9');
    if bounds.iter().all(known) {
        rest.strip_prefix(b"=").ok_or_else(broken_text)
    } else {
        Err(broken_text())
    }
}

fn take_i32(rest: &mut &[u8]) -> Result<i32, Error> {
    let (head, tail) = rest
        .split_first_chunk()
        .ok_or_else(|| Error::protocol("an array that ends in its header"))?;
    *rest = tail;
    Ok(i32::from_be_bytes(*head))
}

/// The next length-prefixed element; `None` is NULL.
fn take_field<'a>(rest: &mut &'a [u8]) -> Result<Option<&'a [u8]>, Error> {
    let (head, tail) = rest.split_first_chunk().ok_or_else(missing_elements)?;
    let length = i32::from_be_bytes(*head);
    if length == -1 {
        *rest = tail;
        return Ok(None);
    }
    let (field, tail) = usize::try_from(length)
        .ok()
        .and_then(|length| tail.split_at_checked(length))
        .ok_or_else(|| Error::protocol(format!("an array element of {length} bytes")))?;
    *rest = tail;
    Ok(Some(field))
}

fn too_many_dimensions() -> Error {
    Error::protocol("an array that has not 0 to 6 dimensions")
}

fn missing_elements() -> Error {
    Error::protocol("an array with fewer elements than announced")
}

fn broken_text() -> Error {
    Error::protocol("an array whose text has no array syntax")
}
