//! Operators on text.

use super::{
    NotRun, not_run,
    standard::{attribute, int},
    tensor::{Elements, Tensor},
};
use crate::onnx::proto::{NodeProto, tensor_proto::DataType};
use blindscore_client::bucket;
use regex::Regex;
use std::collections::HashMap;

fn texts(tensor: &Tensor) -> Result<&[String], NotRun> {
    match tensor.elements() {
        Elements::Texts(texts) => Ok(texts),
        Elements::Numbers(_) => not_run("numbers in the place of text"),
    }
}

fn text(node: &NodeProto, name: &str) -> String {
    attribute(node, name).map_or_else(String::new, |value| {
        String::from_utf8_lossy(&value.s).into_owned()
    })
}

pub(super) fn string_normalizer(node: &NodeProto, tensor: &Tensor) -> Result<Tensor, NotRun> {
    if attribute(node, "stopwords").is_some_and(|words| !words.strings.is_empty()) {
        return not_run("with stopwords");
    }
    let normalised = texts(tensor)?
        .iter()
        .map(|text_of| match text(node, "case_change_action").as_str() {
            "LOWER" => text_of.to_lowercase(),
            _ => text_of.clone(),
        });
    Ok(Tensor::texts(tensor.shape().to_vec(), normalised.collect()))
}

/// Splits texts into words, padded to one length.
///
/// The operator is not of ONNX's specification. skl2onnx writes `[a-zA-Z0-9_]+` in the place of
/// scikit-learn's `\b\w\w+\b`, which the model was fitted with; so words are those of scikit-learn.
/// Those of one letter are left out when they are counted, unless the vocabulary has such words.
pub(super) fn tokenizer(node: &NodeProto, operands: &[Option<&Tensor>]) -> Result<Tensor, NotRun> {
    let Some(tensor) = operands.first().copied().flatten() else {
        return not_run("it has no operands");
    };
    let expression = text(node, "tokenexp");
    let stop: Vec<String> = attribute(node, "stopwords").map_or_else(Vec::new, |words| {
        let word = |word: &Vec<u8>| String::from_utf8_lossy(word).into_owned();
        words.strings.iter().map(word).collect()
    });
    let word = word()?;
    let split = |text: &String| -> Option<Vec<String>> {
        let least = match expression.as_str() {
            "." => return Some(characters(text)),
            "[a-zA-Z0-9_]+" | r"(?u)\b\w+\b" | r"\b\w+\b" | r"\w+" => 1,
            r"(?u)\b\w\w+\b" | r"\b\w\w+\b" | r"\w\w+" => 2,
            _ => return None,
        };
        let runs = word.find_iter(text).map(|found| found.as_str());
        let words = runs.filter(|run| run.chars().count() >= least);
        Some(
            words
                .map(str::to_owned)
                .filter(|word| !stop.contains(word))
                .collect(),
        )
    };
    let Some(split) = texts(tensor)?.iter().map(split).collect::<Option<Vec<_>>>() else {
        return not_run(format!("with the expression {expression:?}"));
    };
    let width = split.iter().map(Vec::len).max().unwrap_or(0).max(1);
    let pad = text(node, "pad_value");
    let mut words = Vec::new();
    for mut row in split {
        row.resize(width, pad.clone());
        words.extend(row);
    }
    Ok(Tensor::texts([tensor.shape(), &[width]].concat(), words))
}

/// Returns an expression of runs of Python's `\w`.
fn word() -> Result<Regex, NotRun> {
    Regex::new(r"[\p{L}\p{N}_]+").map_err(|error| NotRun::new(error.to_string()))
}

/// Counts the words that fall into each bucket of a hash, as `HashingVectorizer` does.
pub(super) fn hashing_vectorizer(node: &NodeProto, operands: &[Option<&Tensor>]) -> Result<Tensor, NotRun> {
    let Some(tensor) = operands.first().copied().flatten() else {
        return not_run("it has no operands");
    };
    let stop = attribute(node, "stop_words").map_or(&[][..], |words| words.strings.as_slice());
    let is = |name: &str| int(node, name, 0) != 0;
    let (Ok(buckets), &[least, most]) = (
        u32::try_from(int(node, "n_features", 0)),
        attribute(node, "ngram_range").map_or(&[][..], |range| range.ints.as_slice()),
    ) else {
        return not_run("without its number of features, or of words that are joined");
    };
    if !(1..=1 << 16).contains(&buckets) || least < 1 {
        return not_run("with too many features, or none");
    }
    let word = word()?;
    let least_letters = if text(node, "token_pattern").contains(r"\w\w+") {
        2
    } else {
        1
    };
    let rows = texts(tensor)?;
    let mut counts = vec![0.0; rows.len() * buckets as usize];
    for (row, counts) in rows.iter().zip(counts.chunks_exact_mut(buckets as usize)) {
        let row = if is("lowercase") {
            row.to_lowercase()
        } else {
            row.clone()
        };
        let (tokens, separator) = match text(node, "analyzer").as_str() {
            "char" => (characters(&row), ""),
            _ => {
                let runs = word.find_iter(&row).map(|found| found.as_str());
                let runs = runs.filter(|run| run.chars().count() >= least_letters);
                (runs.map(str::to_owned).collect(), " ")
            }
        };
        let left = |token: &String| !stop.iter().any(|word| word == token.as_bytes());
        let tokens: Vec<String> = tokens.into_iter().filter(left).collect();
        for length in least..=most {
            for gram in tokens.windows(usize::try_from(length).unwrap_or(1)) {
                let (place, negative) = bucket(&gram.join(separator), buckets);
                let sign = if negative && is("alternate_sign") {
                    -1.0
                } else {
                    1.0
                };
                counts[place] = if is("binary") { 1.0 } else { counts[place] + sign };
            }
        }
    }
    Ok(Tensor::numbers(
        vec![rows.len(), buckets as usize],
        counts,
        DataType::Float,
    ))
}

/// Returns the characters, with one blank for several, as scikit-learn counts them.
fn characters(text: &str) -> Vec<String> {
    let mut found: Vec<char> = Vec::new();
    let all: Vec<char> = text.chars().collect();
    let mut place = 0;
    while place < all.len() {
        let blank = |c: &&char| c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(*c);
        let run = all[place..].iter().take_while(blank).count();
        if run > 1 {
            found.push(' ');
            place += run;
        } else {
            found.push(all[place]);
            place += 1;
        }
    }
    found.into_iter().map(String::from).collect()
}

pub(super) fn tf_idf(node: &NodeProto, tensor: &Tensor) -> Result<Tensor, NotRun> {
    let words = texts(tensor)?;
    let (rows, width) = tensor.matrix()?;
    let list = |name: &str| attribute(node, name).map_or(&[][..], |value| value.ints.as_slice());
    let pool = attribute(node, "pool_strings").map_or(&[][..], |value| value.strings.as_slice());
    let (starts, columns) = (list("ngram_counts"), list("ngram_indexes"));
    if text(node, "mode") != "TF" || int(node, "max_skip_count", 0) != 0 {
        return not_run("in another mode than TF");
    }
    let mut known: HashMap<Vec<&[u8]>, usize> = HashMap::new();
    let mut next = 0;
    for (place, &start) in starts.iter().enumerate() {
        let end = starts.get(place + 1).map_or(pool.len(), |&end| end as usize);
        let Some(part) = pool.get(start as usize..end) else {
            return not_run("with a pool of another length");
        };
        for gram in part.chunks_exact(place + 1) {
            let Some(&column) = columns.get(next) else {
                return not_run("with a pool of another length");
            };
            known.insert(gram.iter().map(Vec::as_slice).collect(), column as usize);
            next += 1;
        }
    }
    let count = columns
        .iter()
        .map(|&column| column as usize + 1)
        .max()
        .unwrap_or(0);
    let lengths = int(node, "min_gram_length", 1)..=int(node, "max_gram_length", 1);
    let is_letter = |word: &[u8]| String::from_utf8_lossy(word).chars().nth(1).is_none();
    let letters = known.keys().flatten().any(|word| is_letter(word));
    let mut counts = vec![0.0; rows * count];
    for row in 0..rows {
        let row_words = words[row * width..(row + 1) * width]
            .iter()
            .map(|word| word.as_bytes());
        let row_words: Vec<&[u8]> = row_words.filter(|word| letters || !is_letter(word)).collect();
        for length in lengths.clone().filter_map(|length| usize::try_from(length).ok()) {
            for gram in row_words.windows(length.max(1)) {
                if let Some(column) = known.get(gram) {
                    counts[row * count + column] += 1.0;
                }
            }
        }
    }
    Ok(Tensor::numbers(vec![rows, count], counts, DataType::Float))
}
