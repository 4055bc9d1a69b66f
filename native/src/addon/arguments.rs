//! Arguments of what JavaScript calls: texts, whole numbers, handles.

use neon::prelude::*;

use crate::addon::registry::Handle;

/// The argument at a place, as text.
pub(super) fn text(cx: &mut FunctionContext, place: usize) -> NeonResult<String> {
    let text = cx.argument::<JsString>(place)?;
    Ok(text.value(cx))
}

/// The argument at a place, as a whole number of milliseconds, slots and the like.
pub(super) fn whole(cx: &mut FunctionContext, place: usize) -> NeonResult<u32> {
    let number = cx.argument::<JsNumber>(place)?.value(cx);
    match exact(number) {
        Some(whole) => Ok(whole),
        None => cx.throw_range_error(format!(
            "argument {} must be a whole number below 2^32",
            place + 1
        )),
    }
}

/// A number that is a whole one below 2³². Added to 2⁵², such a number is the low half of the sum's digits.
fn exact(number: f64) -> Option<u32> {
    let digits = (number + 4_503_599_627_370_496.0).to_bits() & u64::from(u32::MAX);
    let whole = u32::try_from(digits).ok()?;
    (f64::from(whole).to_bits() == number.to_bits()).then_some(whole)
}

/// The two arguments from a place on, as a handle.
pub(super) fn handle(cx: &mut FunctionContext, place: usize) -> NeonResult<Handle> {
    Ok(Handle {
        slot: whole(cx, place)?,
        generation: whole(cx, place + 1)?,
    })
}

#[cfg(test)]
mod tests {
    use super::exact;

    #[test]
    fn only_whole_numbers_below_2_to_the_32_are_exact() {
        for whole in [0, 1, 41, 65_535, u32::MAX - 1, u32::MAX] {
            assert_eq!(exact(f64::from(whole)), Some(whole));
        }
        for other in [
            -0.0,
            -1.0,
            0.5,
            1e-300,
            4_294_967_296.0,
            4_294_967_297.0,
            9_007_199_254_740_993.0,
            1e300,
            f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
        ] {
            assert_eq!(exact(other), None, "{other}");
        }
    }
}
