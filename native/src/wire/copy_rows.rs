//! Rows of values as COPY text: what a bulk insert sends.
//!
//! A block is `u32` columns, one byte per column (0 any type, 1 json or jsonb, 2 bytea, 3 an array of json), then rows: `u32` length and a
//! parameter section (`params.rs`) of that length, with one value per column. Numbers of the block are little-endian.
//!
//! Source: PostgreSQL documentation, COPY, "Text Format".

use super::params::{Params, Wants, choose};
use crate::error::Error;

/// What a column wants of a value that has more than one form; `None`: it is bytea, and wants bytes in hexadecimal.
type Column = Option<Wants>;

/// Appends the rows of a block; returns how many.
///
/// # Errors
/// [`Error::Encode`]: the block is cut off, or a row has another number of values than there are columns.
pub fn append(block: &[u8], out: &mut Vec<u8>) -> Result<usize, Error> {
    let (columns, rest) = number(block)?;
    let (wanted, mut rest) = rest
        .split_at_checked(columns)
        .ok_or_else(|| broken("its columns are cut off"))?;
    let wanted: Vec<Column> = wanted
        .iter()
        .map(|wants| match wants {
            1 => Some(Wants::Json),
            2 => None,
            3 => Some(Wants::JsonArray),
            _ => Some(Wants::Plain),
        })
        .collect();
    let mut rows = 0;
    while !rest.is_empty() {
        let (length, after) = number(rest)?;
        let (section, after) = after
            .split_at_checked(length)
            .ok_or_else(|| broken("a row is cut off"))?;
        row(&wanted, section, out)?;
        rows += 1;
        rest = after;
    }
    Ok(rows)
}

fn row(wanted: &[Column], section: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
    let params = Params::new(section)?;
    if usize::from(params.count()) != wanted.len() {
        return Err(broken("a row has not one value for each column"));
    }
    for (at, (wants, (format, value))) in wanted.iter().zip(params.iter()).enumerate() {
        if at > 0 {
            out.push(b'\t');
        }
        match (value, format, wants) {
            (None, _, _) => out.extend_from_slice(b"\\N"),
            (Some(bytes), 1, None) => hexadecimal(bytes, out),
            (Some(value), 2.., wants) => {
                let text = choose(format, value, wants.unwrap_or(Wants::Plain))
                    .ok_or_else(|| broken("a value is cut off"))?;
                escape(text, out);
            }
            (Some(text), _, _) => escape(text, out),
        }
    }
    out.push(b'\n');
    Ok(())
}

/// Backslashes, and what would end a value or a row.
fn escape(text: &[u8], out: &mut Vec<u8>) {
    out.reserve(text.len());
    for byte in text {
        let name = match byte {
            b'\\' => b'\\',
            b'\t' => b't',
            b'\n' => b'n',
            b'\r' => b'r',
            _ => {
                out.push(*byte);
                continue;
            }
        };
        out.extend_from_slice(&[b'\\', name]);
    }
}

fn hexadecimal(bytes: &[u8], out: &mut Vec<u8>) {
    let digit = |nibble: u8| nibble + if nibble < 10 { b'0' } else { b'a' - 10 };
    // The backslash of `\x` is itself escaped.
    out.extend_from_slice(b"\\\\x");
    for byte in bytes {
        out.extend_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
    }
}

fn number(bytes: &[u8]) -> Result<(usize, &[u8]), Error> {
    let (number, rest) = bytes
        .split_first_chunk()
        .ok_or_else(|| broken("a length is cut off"))?;
    let number = usize::try_from(u32::from_le_bytes(*number))
        .map_err(|_| broken("a length is out of range"))?;
    Ok((number, rest))
}

fn broken(problem: &str) -> Error {
    Error::internal(format!("a block of rows: {problem}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(values: &[(u16, Option<&[u8]>)]) -> Vec<u8> {
        let count = u16::try_from(values.len()).unwrap().to_be_bytes();
        let mut bytes = count.to_vec();
        for (format, _) in values {
            bytes.extend(format.to_be_bytes());
        }
        bytes.extend(count);
        for (_, value) in values {
            let length = value.map_or(-1, |value| i32::try_from(value.len()).unwrap());
            bytes.extend(length.to_be_bytes());
            bytes.extend(value.unwrap_or_default());
        }
        bytes
    }

    fn block(wants: &[u8], rows: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = u32::try_from(wants.len()).unwrap().to_le_bytes().to_vec();
        bytes.extend(wants);
        for row in rows {
            bytes.extend(u32::try_from(row.len()).unwrap().to_le_bytes());
            bytes.extend(row);
        }
        bytes
    }

    #[test]
    fn values_become_lines_that_copy_reads_back() {
        let either = [&3_u32.to_be_bytes()[..], b"{1}", b"[1]"].concat();
        let rows = [
            section(&[
                (0, Some(b"a\tb\\c\nd\re")),
                (1, Some(&[0, 255, 92])),
                (2, Some(&either)),
            ]),
            section(&[(0, None), (1, Some(b"")), (2, Some(&either))]),
        ];
        let mut out = Vec::new();
        assert_eq!(append(&block(&[0, 2, 1], &rows), &mut out).unwrap(), 2);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "a\\tb\\\\c\\nd\\re\t\\\\x00ff5c\t[1]\n\\N\t\\\\x\t[1]\n"
        );
        let mut out = Vec::new();
        append(&block(&[0, 0, 0], &rows), &mut out).unwrap_or_default();
        assert!(out.starts_with(b"a\\tb") && out.ends_with(b"{1}\n"));
        let three = [&5_u32.to_be_bytes()[..], b"{\"1\"}", &either].concat();
        let values = [(3, Some(&*three)); 3];
        let mut out = Vec::new();
        append(&block(&[0, 1, 3], &[section(&values)]), &mut out).unwrap();
        assert_eq!(out, b"{1}\t[1]\t{\"1\"}\n");
    }

    #[test]
    fn sec_f02_what_is_cut_off_is_an_error() {
        let whole = block(&[0], &[section(&[(0, Some(b"abc"))])]);
        for length in 0..whole.len() {
            let cut = append(whole.get(..length).unwrap(), &mut Vec::new());
            // A block may end behind its columns, without rows.
            assert_eq!(cut.is_ok(), length == 5, "{length}");
        }
        let narrow = block(&[0, 0], &[section(&[(0, Some(b"abc"))])]);
        assert!(append(&narrow, &mut Vec::new()).is_err());
    }
}
