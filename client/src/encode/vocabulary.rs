//! Categories and vocabularies, and the words of a text.

use blindscore_protocol::encoding::{Categories, Split, Step, Words};
use std::borrow::Cow;
use zeroize::Zeroize;

/// Positions of categories or words in rising order, for a binary search.
#[derive(Clone, Debug)]
pub(super) struct Index(Vec<u32>);

impl Index {
    /// Sorts the categories or the vocabulary of a step; `None` if it has none.
    pub(super) fn of(step: &Step) -> Option<Self> {
        match step {
            Step::OneHot { categories, .. } | Step::Lookup { categories, .. } => Some(match categories {
                Categories::Texts(texts) => Self::sorted(texts.len(), |a, b| texts[a].cmp(&texts[b])),
                Categories::Numbers(numbers) => {
                    Self::sorted(numbers.len(), |a, b| numbers[a].total_cmp(&numbers[b]))
                }
            }),
            Step::Counts { vocabulary, .. } => Some(Self::sorted(vocabulary.len(), |a, b| {
                vocabulary[a].cmp(&vocabulary[b])
            })),
            _ => None,
        }
    }

    fn sorted(count: usize, compare: impl Fn(usize, usize) -> std::cmp::Ordering) -> Self {
        // An encoding has far fewer than 2^32 categories.
        let mut order: Vec<u32> = (0..count as u32).collect();
        order.sort_unstable_by(|&a, &b| compare(a as usize, b as usize));
        Self(order)
    }

    /// Returns the position of a text.
    pub(super) fn text(&self, texts: &[String], text: &str) -> Option<usize> {
        let found = self
            .0
            .binary_search_by(|&place| texts[place as usize].as_str().cmp(text));
        found.ok().map(|place| self.0[place] as usize)
    }

    /// Returns the position of a number.
    pub(super) fn number(&self, numbers: &[f64], number: f64) -> Option<usize> {
        // Zeros are equal whatever their sign, and NaN equals nothing.
        let place = self.0.partition_point(|&place| numbers[place as usize] < number);
        let place = *self.0.get(place)? as usize;
        (numbers[place] == number).then_some(place)
    }
}

/// Words of a text, as scikit-learn's vectorizers find them.
pub(super) struct Tokens<'t> {
    text: Cow<'t, str>,
    words: &'t Words,
}

impl<'t> Tokens<'t> {
    pub(super) fn new(text: &'t str, words: &'t Words) -> Self {
        let text = if words.lowercase {
            Cow::Owned(text.to_lowercase())
        } else {
            Cow::Borrowed(text)
        };
        let text = match words.split {
            Split::Words(_) => text,
            Split::Characters => Cow::Owned(single_blanks(&text)),
        };
        Self { text, words }
    }

    /// Calls `visit` with each word, and with those that are joined.
    pub(super) fn count(&self, mut visit: impl FnMut(&str)) {
        let tokens = self.tokens();
        let separator = match self.words.split {
            Split::Words(_) => " ",
            Split::Characters => "",
        };
        let [least, most] = self.words.ngrams.map(|count| count as usize);
        let mut joined = String::new();
        for length in least..=most {
            for run in tokens.windows(length) {
                if let [word] = run {
                    visit(word);
                    continue;
                }
                joined.clear();
                for (place, word) in run.iter().enumerate() {
                    if place > 0 {
                        joined.push_str(separator);
                    }
                    joined.push_str(word);
                }
                visit(&joined);
            }
        }
        joined.zeroize();
    }

    fn tokens(&self) -> Vec<&str> {
        let words: Vec<&str> = match self.words.split {
            Split::Words(least) => {
                let is_word = |c: char| c.is_alphanumeric() || c == '_';
                let runs = self.text.split(|c| !is_word(c));
                runs.filter(|run| !run.is_empty() && run.chars().count() >= least as usize)
                    .collect()
            }
            Split::Characters => {
                let ends = self
                    .text
                    .char_indices()
                    .map(|(start, c)| &self.text[start..start + c.len_utf8()]);
                ends.collect()
            }
        };
        let stop = &self.words.stop;
        words
            .into_iter()
            .filter(|word| !stop.iter().any(|stop| stop == word))
            .collect()
    }
}

/// Replaces each run of several blanks by one space, as scikit-learn does before it splits a text
/// into characters. A single blank stays as it is.
fn single_blanks(text: &str) -> String {
    let mut single = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(char::is_whitespace) {
        single.push_str(&rest[..start]);
        let blanks = &rest[start..];
        let end = blanks.find(|c: char| !c.is_whitespace()).unwrap_or(blanks.len());
        let run = &blanks[..end];
        single.push_str(if run.chars().nth(1).is_some() { " " } else { run });
        rest = &blanks[end..];
    }
    single.push_str(rest);
    single
}

impl Drop for Tokens<'_> {
    fn drop(&mut self) {
        if let Cow::Owned(text) = &mut self.text {
            text.zeroize();
        }
    }
}
