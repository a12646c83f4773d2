//! Categories and vocabularies, and the words of a text.

use super::letters::{in_word, is_blank};
use blindscore_protocol::encoding::{Categories, Split, Step, Words};
use std::{borrow::Cow, collections::HashMap};
use zeroize::Zeroize;

/// Positions of categories or words.
#[derive(Clone, Debug)]
pub(super) enum Index {
    Texts(HashMap<String, u32>),
    Words {
        vocabulary: HashMap<String, u32>,
        /// Words that are left out. Their positions mean nothing: a map like the other one takes no
        /// more code in WebAssembly.
        stop: HashMap<String, u32>,
    },
}

impl Index {
    /// Collects the categories or the vocabulary of a step; `None` if it has none.
    pub(super) fn of(step: &Step) -> Option<Self> {
        let places = |texts: &[String]| texts.iter().cloned().zip(0..).collect();
        match step {
            Step::OneHot { categories, .. } | Step::Lookup { categories, .. } => match categories {
                Categories::Texts(all) => Some(Self::Texts(places(all))),
                Categories::Numbers(_) => None,
            },
            Step::Counts {
                words, vocabulary, ..
            } => Some(Self::Words {
                vocabulary: places(vocabulary),
                stop: places(&words.stop),
            }),
            Step::Hashed { words, .. } => Some(Self::Words {
                vocabulary: HashMap::new(),
                stop: places(&words.stop),
            }),
            _ => None,
        }
    }

    /// Returns the position of a text.
    pub(super) fn text(&self, text: &str) -> Option<usize> {
        match self {
            Self::Texts(texts)
            | Self::Words {
                vocabulary: texts, ..
            } => texts.get(text).map(|place| *place as usize),
        }
    }

    /// Returns whether a word is left out.
    fn is_stop(&self, word: &str) -> bool {
        match self {
            Self::Words { stop, .. } => stop.contains_key(word),
            Self::Texts(_) => false,
        }
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

    /// Calls `visit` with each word that isn't left out, and with those that are joined.
    pub(super) fn each(&self, index: &Index, visit: &mut dyn FnMut(&str)) {
        let tokens = self.tokens(index);
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

    fn tokens(&self, index: &Index) -> Vec<&str> {
        let words: Vec<&str> = match self.words.split {
            Split::Words(least) => {
                let runs = self.text.split(|c| !in_word(c));
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
        words.into_iter().filter(|word| !index.is_stop(word)).collect()
    }
}

/// Replaces each run of several blanks by one space, as scikit-learn does before it splits a text
/// into characters. A single blank stays as it is.
fn single_blanks(text: &str) -> String {
    let mut single = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(is_blank) {
        single.push_str(&rest[..start]);
        let blanks = &rest[start..];
        let end = blanks.find(|c| !is_blank(c)).unwrap_or(blanks.len());
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
