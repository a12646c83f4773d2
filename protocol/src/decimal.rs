//! Decimal forms of floats, made of the fewest digits that stand for the same float.
//!
//! The standard library's would take 7 kB of the compressed WebAssembly; `zmij` is there anyway,
//! for the digests of encodings.

/// Formats a number in few characters: `1e300` rather than a one with 300 zeros.
pub fn short(value: f64) -> String {
    let mut buffer = zmij::Buffer::new();
    let text = buffer.format(value);
    let text = text.strip_suffix(".0").unwrap_or(text);
    text.chars().filter(|c| *c != '+').collect()
}

/// Formats a finite number without an exponent, in the way of the standard library's `Display`,
/// which fingerprints depend on.
pub(crate) fn plain(value: f64) -> String {
    let mut buffer = zmij::Buffer::new();
    let text = buffer.format_finite(value.abs());
    let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = whole
        .chars()
        .chain(fraction.chars())
        .filter_map(|c| c.to_digit(10));
    let mut number = digits.fold(0, |number: u64, digit| 10 * number + u64::from(digit));
    // The number of decimals, negative if zeros follow the digits.
    let mut decimals = fraction.len() as i32 - exponent.parse().unwrap_or(0);
    while number != 0 && number % 10 == 0 {
        number /= 10;
        decimals -= 1;
    }
    if is_half(value.abs(), number, decimals) {
        number += 1;
    }

    let sign = if value.is_sign_negative() { "-" } else { "" };
    let digits = number.to_string();
    match usize::try_from(decimals) {
        _ if number == 0 => format!("{sign}0"),
        Ok(0) => sign.to_owned() + &digits,
        Ok(decimals) => {
            let digits = "0".repeat((decimals + 1).saturating_sub(digits.len())) + &digits;
            let (whole, fraction) = digits.split_at(digits.len() - decimals);
            format!("{sign}{whole}.{fraction}")
        }
        Err(_) => sign.to_owned() + &digits + &"0".repeat(decimals.unsigned_abs() as usize),
    }
}

/// Returns whether a value is exactly halfway between `number` and the next one, both with so many
/// decimals. Where both stand for the value, `zmij` takes the even one, and the standard library
/// the larger one.
fn is_half(value: f64, number: u64, decimals: i32) -> bool {
    // Whole numbers that are halfway have more digits than a float tells apart. Others have one
    // more decimal, a 5, so that they are `5^places` times something over `10^places`.
    let Some(places @ 1..) = u32::try_from(decimals + 1).ok() else {
        return false;
    };
    let over = value * 2f64.powi(places as i32);
    let half = 5u64
        .checked_pow(places)
        .and_then(|power| power.checked_mul(over as u64));
    over.fract() == 0.0 && half == Some(10 * number + 5)
}

/// Numbers that messages show.
pub(crate) trait Shown: Copy + PartialOrd {
    /// Returns the number in few characters.
    fn shown(self) -> String;
}

impl Shown for f64 {
    fn shown(self) -> String {
        short(self)
    }
}

macro_rules! shown {
    ($($whole:ty),*) => {
        $(impl Shown for $whole {
            fn shown(self) -> String {
                self.to_string()
            }
        })*
    };
}

shown!(u32, u64, usize);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn messages_have_short_numbers() {
        for (value, text) in [
            (12.0, "12"),
            (0.1, "0.1"),
            (-1e300, "-1e300"),
            (5e-324, "5e-324"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            assert_eq!(short(value), text);
        }
    }

    #[test]
    fn special_numbers_have_the_standard_form() {
        for value in [
            0.0,
            -0.0,
            1.0,
            -1.0,
            1e15,
            1e16,
            1e17,
            123e20,
            f64::MAX,
            f64::MIN_POSITIVE,
            5e-324,
            1e-5,
            1.234e-5,
            // Halfway: zmij would end them with a 2, the standard library with a 3.
            65_537.0 / 131_072.0,
            8_093_389_204_627_405.0 / 4.0,
        ] {
            assert_eq!(plain(value), value.to_string());
        }
        for exponent in 0..0x7ff {
            for low in [0, 1, 2, (1 << 52) - 1] {
                let value = f64::from_bits(exponent << 52 | low);
                assert_eq!(plain(value), value.to_string());
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn all_numbers_have_the_standard_form(bits: u64) {
            let value = f64::from_bits(bits);
            prop_assume!(value.is_finite());
            prop_assert_eq!(plain(value), value.to_string());
            prop_assert_eq!(short(value).parse(), Ok(value));
        }

        /// Fractions with few binary digits, of which many are halfway.
        #[test]
        fn halves_have_the_standard_form(whole: u64, bits in 1u32..54, power in 0i32..40) {
            let value = (whole >> (64 - bits) | 1) as f64 / 2f64.powi(power);
            prop_assert_eq!(plain(value), value.to_string());
        }
    }
}
