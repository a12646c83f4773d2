//! Edits of valid bytes, for inputs that have to be almost right to get far.

use arbitrary::{Result, Unstructured};

/// Longest edited input in bytes.
const LONGEST: usize = 1 << 20;
/// Most edits per input.
const MOST: usize = 6;

/// Texts that confuse parsers and terminals.
const TEXTS: [&[u8]; 18] = [
    b"",
    b"null",
    b"-1",
    b"0",
    b"1e400",
    b"-1e308",
    b"5e-324",
    b"NaN",
    b"18446744073709551616",
    b"9007199254740993",
    b"\xff\xfe",
    b"\\ud800",
    b"\x1b]0;\x07\x1b[2J",
    b"[[[[[[[[",
    b"{\"a\":",
    b"\r\n",
    b"\0",
    b"\"",
];

/// Numbers at the limits of integer types.
const NUMBERS: [u64; 9] = [
    0,
    1,
    0x7f,
    0xffff,
    0x7fff_ffff,
    0xffff_ffff,
    0x7fff_ffff_ffff_ffff,
    0x8000_0000_0000_0000,
    u64::MAX,
];

/// Applies the edits that `input` describes, until it ends.
pub(crate) fn apply(input: &mut Unstructured<'_>, bytes: &mut Vec<u8>) {
    for _ in 0..MOST {
        if input.is_empty() || once(input, bytes).is_err() {
            return;
        }
        bytes.truncate(LONGEST);
    }
}

fn once(input: &mut Unstructured<'_>, bytes: &mut Vec<u8>) -> Result<()> {
    let kind: u8 = input.int_in_range(0..=7)?;
    let from = input.int_in_range(0..=bytes.len())?;
    let to = (from + input.int_in_range(0..=255)?).min(bytes.len());
    match kind {
        0 => drop(bytes.splice(from..to, [])),
        1 => bytes.truncate(from),
        2 => {
            let length = input.int_in_range(1..=16)?;
            let new = input.bytes(length)?.to_vec();
            bytes.splice(from..(from + length).min(bytes.len()), new);
        }
        3 => {
            let length = input.int_in_range(1..=16)?;
            let new = input.bytes(length)?.to_vec();
            bytes.splice(from..from, new);
        }
        4 => {
            let piece = bytes[from..to].to_vec();
            let count = input.int_in_range(1..=u16::MAX)? as usize;
            let room = LONGEST.saturating_sub(bytes.len()) / piece.len().max(1);
            bytes.splice(from..from, piece.repeat(count.min(room)));
        }
        5 => {
            let width = *input.choose(&[1, 2, 4, 8])?;
            let number = input.choose(&NUMBERS)?.to_le_bytes();
            bytes.splice(from..(from + width).min(bytes.len()), number[..width].to_vec());
        }
        6 => {
            let text = input.choose(&TEXTS)?;
            bytes.splice(from..to, text.iter().copied());
        }
        _ => {
            // Replaces the next number with a text.
            let rest = &bytes[from..];
            let Some(start) = rest.iter().position(u8::is_ascii_digit) else {
                return Ok(());
            };
            let digits = rest[start..].iter().take_while(|byte| byte.is_ascii_digit());
            let range = from + start..from + start + digits.count();
            bytes.splice(range, input.choose(&TEXTS)?.iter().copied());
        }
    }
    Ok(())
}
