//! Numbers: big-endian bytes and the server's decimal text.

use crate::error::Error;

/// A value of a fixed size.
pub(super) fn fixed<const N: usize>(bytes: &[u8]) -> Result<[u8; N], Error> {
    bytes
        .try_into()
        .map_err(|_| Error::protocol(format!("a value of {} bytes instead of {N}", bytes.len())))
}

/// An integer as the server prints it.
pub(super) fn integer<T: std::str::FromStr>(bytes: &[u8]) -> Result<T, Error> {
    ascii(bytes)
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| Error::protocol("an integer whose text is no integer of its type"))
}

/// A float or numeric as the server prints it, rounded to the nearest double as `parseFloat` does.
pub(super) fn float(bytes: &[u8]) -> Result<f64, Error> {
    match bytes {
        b"NaN" => return Ok(f64::NAN),
        b"Infinity" => return Ok(f64::INFINITY),
        b"-Infinity" => return Ok(f64::NEG_INFINITY),
        _ => {}
    }
    // Rust would also take "inf" and "nan", which no server prints.
    if bytes
        .iter()
        .any(|byte| !matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'))
    {
        return Err(not_a_number());
    }
    ascii(bytes)
        .and_then(|text| text.parse().ok())
        .ok_or_else(not_a_number)
}

/// A boolean as the server prints it.
pub(super) fn boolean(bytes: &[u8]) -> Result<bool, Error> {
    match bytes {
        b"t" => Ok(true),
        b"f" => Ok(false),
        _ => Err(Error::protocol("a boolean whose text is neither t nor f")),
    }
}

fn ascii(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

fn not_a_number() -> Error {
    Error::protocol("a float whose text is no number")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sec_w12_floats_are_what_parse_float_makes_of_the_text() {
        for (text, value) in [
            ("0.1", 0.1),
            ("-0", -0.0),
            ("1e+300", 1e300),
            ("4.9e-324", 5e-324),
            ("Infinity", f64::INFINITY),
            ("-Infinity", f64::NEG_INFINITY),
            (
                "123456789012345678901234567890.5",
                123_456_789_012_345_680_000_000_000_000.0,
            ),
        ] {
            let parsed = float(text.as_bytes()).unwrap();
            assert_eq!(parsed.to_bits(), f64::to_bits(value), "{text}");
        }
        assert!(float(b"NaN").unwrap().is_nan());
        for text in ["", "inf", "nan", "0x10", "1 ", "1,5", "--1"] {
            assert!(float(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn sec_w07_integers_outside_their_type_are_refused() {
        assert_eq!(integer::<i32>(b"-2147483648").unwrap(), i32::MIN);
        assert_eq!(integer::<u32>(b"4294967295").unwrap(), u32::MAX);
        assert_eq!(integer::<i64>(b"-9223372036854775808").unwrap(), i64::MIN);
        assert!(integer::<i32>(b"2147483648").is_err());
        assert!(integer::<i32>(b"").is_err());
        assert!(integer::<i32>(b"\xFF").is_err());
        assert!(fixed::<4>(b"123").is_err());
        assert!(boolean(b"true").is_err());
    }
}
