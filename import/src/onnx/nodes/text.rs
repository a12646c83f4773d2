//! Operators on text, up to counts of words: they become a step of the public part.

use super::Node;
use crate::{
    ImportError,
    onnx::value::{Document, Texts, Value},
};
use blindscore_protocol::{
    descriptor::FEATURES,
    encoding::{Split, Step, Words},
};

/// What skl2onnx writes for the tokens of a vectorizer whose `token_pattern` it can't express: a
/// stand-in for scikit-learn's default, `(?u)\b\w\w+\b`, that differs from it in letters outside
/// ASCII, and in words of one character.
const STAND_IN: &str = "[a-zA-Z0-9_]+";
/// Forms of scikit-learn's default.
const DEFAULT: [&str; 3] = [r"(?u)\b\w\w+\b", r"\b\w\w+\b", r"\w\w+"];
/// Forms of words of any length.
const ANY: [&str; 3] = [r"(?u)\b\w+\b", r"\b\w+\b", r"\w+"];

impl Node<'_> {
    /// Puts texts in lower case, and leaves out words.
    pub(super) fn string_normalizer(&self, texts: &Texts) -> Result<Value, ImportError> {
        let &[slot] = texts.slots.as_slice() else {
            return self.refuse(format!(" of {} columns of text", texts.slots.len()));
        };
        let attributes = self.attributes();
        let lowercase = match attributes.text("case_change_action", "NONE").as_str() {
            "LOWER" => true,
            "NONE" => false,
            other => return self.refuse(format!(" with case_change_action {other}")),
        };
        if attributes
            .strings("stopwords")
            .is_some_and(|words| !words.is_empty())
        {
            return self.refuse(" with stopwords, which leave out whole texts");
        }
        Ok(Value::Document(Document {
            slot,
            words: Words {
                lowercase,
                split: Split::Characters,
                ngrams: [1, 1],
                stop: Vec::new(),
            },
            split: false,
        }))
    }

    /// Leaves out words of a text that was split.
    pub(super) fn stop_words(&self, document: &Document) -> Result<Value, ImportError> {
        let attributes = self.attributes();
        let stop = attributes.strings("stopwords").unwrap_or_default();
        let same_case = attributes.text("case_change_action", "NONE") == "NONE" || document.words.lowercase;
        if !document.split || !same_case {
            return self.refuse(self.what_it_gets());
        }
        let mut document = document.clone();
        document.words.stop.extend(stop);
        Ok(Value::Document(document))
    }

    /// Splits texts into words.
    pub(super) fn tokenizer(&self, value: &Value) -> Result<Value, ImportError> {
        let document = match value {
            Value::Document(document) if !document.split => document.clone(),
            Value::Texts(Texts { slots, .. }) if slots.len() == 1 => Document {
                slot: slots[0],
                words: Words {
                    lowercase: false,
                    split: Split::Characters,
                    ngrams: [1, 1],
                    stop: Vec::new(),
                },
                split: false,
            },
            _ => return self.refuse(self.what_it_gets()),
        };
        let attributes = self.attributes();
        let expression = attributes.text("tokenexp", "");
        let least = attributes.int("mincharnum", 1);
        let stop = attributes.strings("stopwords").unwrap_or_default();
        if attributes.int("mark", 0) != 0
            || attributes.strings("separators").is_some() && expression.is_empty()
        {
            return self.refuse(" with marks or separators: leave token_pattern as it is");
        }
        let split = match expression.as_str() {
            STAND_IN => Split::Words(u32::try_from(least.max(2)).unwrap_or(2)),
            "." => Split::Characters,
            other if DEFAULT.contains(&other) => Split::Words(2),
            other if ANY.contains(&other) => Split::Words(1),
            other => {
                return self.refuse(format!(
                    " with the expression {other:?}. Leave token_pattern as it is, or use r\"(?u)\\b\\w+\\b\" for words of one letter too"
                ));
            }
        };
        Ok(Value::Document(Document {
            words: Words {
                split,
                stop,
                ..document.words
            },
            split: true,
            ..document
        }))
    }

    /// Counts the words that fall into each bucket of a hash (HashingVectorizer).
    pub(super) fn hashing_vectorizer(&self, texts: &Texts) -> Result<Value, ImportError> {
        let &[slot] = texts.slots.as_slice() else {
            return self.refuse(format!(" of {} columns of text", texts.slots.len()));
        };
        let attributes = self.attributes();
        let pattern = attributes.text("token_pattern", "");
        let split = match attributes.text("analyzer", "").as_str() {
            "char" => Split::Characters,
            "word" if DEFAULT.contains(&pattern.as_str()) => Split::Words(2),
            "word" if ANY.contains(&pattern.as_str()) => Split::Words(1),
            "word" => {
                return self.refuse(format!(
                    " with token_pattern={pattern:?}. Leave token_pattern as it is, or use r\"(?u)\\b\\w+\\b\" for words of one letter too"
                ));
            }
            other => {
                return self.refuse(format!(
                    " with analyzer={other:?}: \"word\" and \"char\" are supported"
                ));
            }
        };
        let count = |name| u32::try_from(attributes.int(name, 0)).unwrap_or_default();
        let buckets = count("n_features");
        if !FEATURES.contains(&(buckets as usize)) {
            return self.refuse(format!(
                " with n_features={}: a model takes {} to {} features. Fit it with n_features=2**14 or less",
                attributes.int("n_features", 0),
                FEATURES.start(),
                FEATURES.end()
            ));
        }
        let ngrams = attributes.ints("ngram_range").unwrap_or_default();
        let whole = |count: &i64| u32::try_from(*count).ok();
        let &[Some(least), Some(most)] = ngrams.iter().map(whole).collect::<Vec<_>>().as_slice() else {
            return self.refuse(" without a range of words that are joined");
        };
        let results = self.checked_step(Step::Hashed {
            of: slot as u32,
            words: Words {
                lowercase: attributes.int("lowercase", 0) != 0,
                split,
                ngrams: [least, most],
                stop: attributes.strings("stop_words").unwrap_or_default(),
            },
            buckets,
            signed: attributes.int("alternate_sign", 0) != 0,
            binary: attributes.int("binary", 0) != 0,
        })?;
        Ok(Self::results(results))
    }

    /// Counts the words of a vocabulary.
    pub(super) fn tf_idf(&self, document: &Document) -> Result<Value, ImportError> {
        let attributes = self.attributes();
        let mode = attributes.text("mode", "");
        let pool = attributes.strings("pool_strings").unwrap_or_default();
        let (least, most) = (
            attributes.int("min_gram_length", 0),
            attributes.int("max_gram_length", 0),
        );
        let starts = attributes.ints("ngram_counts").unwrap_or_default();
        let columns = attributes.ints("ngram_indexes").unwrap_or_default();
        if !document.split || pool.is_empty() || attributes.int("max_skip_count", 0) != 0 || mode != "TF" {
            return self.refuse(format!("{} in mode {mode:?}", self.what_it_gets()));
        }
        let separator = match document.words.split {
            Split::Words(_) => " ",
            Split::Characters => "",
        };
        // The pool holds all words, then all pairs, and so on; `ngram_counts` says where each
        // length starts.
        let mut vocabulary = Vec::new();
        for (place, start) in starts.iter().enumerate() {
            let end = starts.get(place + 1).map_or(pool.len() as i64, |end| *end);
            let part = usize::try_from(*start).ok().zip(usize::try_from(end).ok());
            let Some(part) = part.and_then(|(start, end)| pool.get(start..end)) else {
                return self.refuse(" with a pool of another length than it says");
            };
            let length = place + 1;
            if !part.len().is_multiple_of(length) {
                return self.refuse(" with a pool of another length than it says");
            }
            vocabulary.extend(part.chunks_exact(length).map(|words| words.join(separator)));
        }
        let width = vocabulary.len();
        let places: Option<Vec<usize>> = columns
            .iter()
            .map(|&column| usize::try_from(column).ok().filter(|column| *column < width))
            .collect();
        let mut ordered = vec![None; width];
        for (word, place) in vocabulary.into_iter().zip(places.unwrap_or_default()) {
            ordered[place] = Some(word);
        }
        let Some(vocabulary) = ordered.into_iter().collect::<Option<Vec<String>>>() else {
            return self.refuse(" whose words don't fill its columns");
        };
        let weights = attributes.floats("weights");
        if weights.iter().any(|weight| *weight != 1.0) {
            return self.refuse(" with weights in mode TF");
        }
        let (Ok(least), Ok(most)) = (u32::try_from(least), u32::try_from(most)) else {
            return self.refuse(" of a negative number of words");
        };
        let mut words = document.words.clone();
        words.ngrams = [least, most];
        // The default finds no words of one character.
        if words.split == Split::Words(2) && vocabulary.iter().any(|word| word.split(' ').any(is_one)) {
            return self.refuse(
                ", with words of one letter: its token_pattern isn't in the file. Use token_pattern=r\"(?u)\\b\\w+\\b\" for such words",
            );
        }
        let results = self.step(Step::Counts {
            of: document.slot as u32,
            words,
            vocabulary,
            binary: false,
        })?;
        Ok(Self::results(results))
    }
}

fn is_one(word: &str) -> bool {
    word.chars().nth(1).is_none()
}
