//! Hashes of words.

/// Returns the bucket that a word falls into, one of so many, and whether its hash is negative. See
/// [`Step::Hashed`](blindscore_protocol::encoding::Step::Hashed).
pub fn bucket(word: &str, buckets: u32) -> (usize, bool) {
    let hash = murmur3(word.as_bytes()).cast_signed();
    ((hash.unsigned_abs() % buckets) as usize, hash < 0)
}

/// Returns the 32-bit MurmurHash3 for x86 with seed 0 (Austin Appleby's MurmurHash3.cpp,
/// `MurmurHash3_x86_32`, in the public domain).
fn murmur3(bytes: &[u8]) -> u32 {
    let mixed = |word: u32| {
        word.wrapping_mul(0xcc9e_2d51)
            .rotate_left(15)
            .wrapping_mul(0x1b87_3593)
    };
    let mut hash = 0u32;
    let mut words = bytes.chunks_exact(4);
    for word in words.by_ref() {
        let word = word
            .iter()
            .rev()
            .fold(0, |word, byte| word << 8 | u32::from(*byte));
        hash = (hash ^ mixed(word))
            .rotate_left(13)
            .wrapping_mul(5)
            .wrapping_add(0xe654_6b64);
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        let word = rest
            .iter()
            .rev()
            .fold(0, |word, byte| word << 8 | u32::from(*byte));
        hash ^= mixed(word);
    }
    // Texts of records are far shorter than 4 GiB.
    hash ^= bytes.len() as u32;
    hash = (hash ^ hash >> 16).wrapping_mul(0x85eb_ca6b);
    hash = (hash ^ hash >> 13).wrapping_mul(0xc2b2_ae35);
    hash ^ hash >> 16
}

#[cfg(test)]
mod tests {
    use super::{super::Cell, *};
    use crate::Encoder;
    use blindscore_protocol::encoding::{Column, ColumnKind, Encoding, Split, Step, Words};

    #[test]
    fn hashes_are_those_of_scikit_learn() {
        // sklearn.utils.murmurhash3_32(word, seed=0), of scikit-learn 1.9.1.
        for (word, hash) in [
            ("", 0),
            ("a", 1_009_084_850),
            ("ab", -1_681_926_305),
            ("abc", -1_277_324_294),
            ("abcd", 1_139_631_978),
            ("good price", 1_155_568_461),
            ("größe", -472_672_705),
            ("कमल", 1_342_312_071),
            ("the quick brown fox jumps over the lazy dog", 48_128_767),
            ("\0", 1_364_076_727),
        ] {
            assert_eq!(murmur3(word.as_bytes()).cast_signed(), hash, "{word:?}");
        }
    }

    #[test]
    fn buckets_are_those_of_scikit_learn() {
        // HashingVectorizer(n_features=8, norm=None) with other parameters, of scikit-learn 1.9.1.
        let texts = ["Good price, a good PRICE", "The größe of it", "x y"];
        let cases: [(bool, bool, bool, [[f64; 8]; 2]); 4] = [
            (
                true,
                false,
                false,
                [
                    [0.0, 2.0, -2.0, 0.0, 0.0, 0.0, 0.0, 0.0],
                    [0.0, -1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0],
                ],
            ),
            (
                false,
                false,
                false,
                [
                    [0.0, 2.0, 2.0, 0.0, 0.0, 0.0, 0.0, 0.0],
                    [0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 2.0, 0.0],
                ],
            ),
            // Two words of the second text cancel out in bucket 6, and still occur.
            (
                true,
                true,
                false,
                [
                    [0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0],
                    [0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0],
                ],
            ),
            // Pairs, without the word "good".
            (
                true,
                false,
                true,
                [
                    [0.0, 1.0, -2.0, 0.0, 0.0, 0.0, 0.0, 0.0],
                    [0.0, -1.0, 1.0, 0.0, 1.0, -1.0, -1.0, 0.0],
                ],
            ),
        ];
        for (signed, binary, pairs, expected) in cases {
            let step = Step::Hashed {
                of: 0,
                words: Words {
                    lowercase: true,
                    split: Split::Words(2),
                    ngrams: [1, if pairs { 2 } else { 1 }],
                    stop: if pairs {
                        vec!["good".to_owned()]
                    } else {
                        Vec::new()
                    },
                },
                buckets: 8,
                signed,
                binary,
            };
            let encoder = Encoder::of(&Encoding {
                columns: vec![Column {
                    name: Some("text".to_owned()),
                    kind: ColumnKind::Text,
                    single: false,
                }],
                steps: vec![step],
                features: (1..9).collect(),
            });
            for (text, expected) in texts.iter().zip([expected[0], expected[1], [0.0; 8]]) {
                let found = encoder.encode(&[Cell::Text((*text).into())]).unwrap();
                assert_eq!(
                    *found, expected,
                    "{text:?}, signed {signed}, binary {binary}, pairs {pairs}"
                );
            }
        }
    }
}
