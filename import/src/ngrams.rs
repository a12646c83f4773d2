//! Signs that words were left out before the others were joined.

use super::{Calibration, ImportError, quoted};
use blindscore_client::{Cell, Encoder};
use blindscore_protocol::encoding::{Encoding, Split, Step, Words};
use regex::Regex;
use std::collections::HashSet;

/// Checks that all joined words of a vocabulary occur in the rows that a model was fitted with, and
/// that the vocabulary has all words of these rows. A vectorizer joins the words that `stop_words`
/// leaves, and skl2onnx doesn't write that list: the pair `good bad` of the text `good and bad`
/// would never be counted.
///
/// # Errors
/// If some words or joined words are missing.
pub(super) fn check(encoding: &Encoding, data: &Calibration) -> Result<(), ImportError> {
    let mut slot = encoding.columns.len();
    for (place, step) in encoding.steps.iter().enumerate() {
        if let Step::Counts {
            of,
            words,
            vocabulary,
            ..
        } = step
            && let Split::Words(least) = words.split
            && words.ngrams[1] > 1
            && words.stop.is_empty()
        {
            let joined: Vec<usize> = (0..vocabulary.len())
                .filter(|&word| vocabulary[word].contains(' '))
                .collect();
            let counts = Encoder::of(&Encoding {
                columns: encoding.columns.clone(),
                steps: encoding.steps[..=place].to_vec(),
                features: joined.iter().map(|word| slot + word).collect(),
            });
            if let Some(word) = first_unseen(&counts, joined.len(), data) {
                return refuse(&format!(
                    "the words {} occur in no row of --calibrate, though the model counts them",
                    quoted(&vocabulary[joined[word]])
                ));
            }
            if let Some(word) = first_unknown(words, least, vocabulary, *of as usize, data)? {
                return refuse(&format!(
                    "the word {} occurs in --calibrate, and the model doesn't count it",
                    quoted(&word)
                ));
            }
        }
        slot += step.results();
    }
    Ok(())
}

fn refuse(what: &str) -> Result<(), ImportError> {
    Err(ImportError::Options(format!(
        "{what}. It joins words, and if stop_words left some out between them, skl2onnx doesn't write that, and the model would count too few; \
         or else these aren't the rows that it was fitted with, or it was told to count only some words. Give its own predictions for these rows \
         with --expect, which decides; or fit it without stop_words, or with single words only"
    )))
}

/// Returns a word of a text column that is in no word of the vocabulary, joined or not.
fn first_unknown(
    words: &Words,
    least: u32,
    vocabulary: &[String],
    column: usize,
    data: &Calibration,
) -> Result<Option<String>, ImportError> {
    let word = Regex::new(r"[\p{L}\p{N}_]+").map_err(|error| ImportError::Graph(error.to_string()))?;
    let known: HashSet<&str> = vocabulary.iter().flat_map(|words| words.split(' ')).collect();
    for row in 0..data.rows().len() {
        let record = data.record(row);
        let Some(Cell::Text(text)) = record.get(column) else {
            continue;
        };
        let text = if words.lowercase {
            text.to_lowercase()
        } else {
            text.to_string()
        };
        let counted = |word: &&str| word.chars().count() >= least as usize;
        let mut found = word.find_iter(&text).map(|found| found.as_str()).filter(counted);
        if let Some(unknown) = found.find(|word| !known.contains(word)) {
            return Ok(Some(unknown.to_owned()));
        }
    }
    Ok(None)
}

/// Returns the first of some counts that is zero for all rows.
fn first_unseen(counts: &Encoder, count: usize, data: &Calibration) -> Option<usize> {
    let mut seen = vec![false; count];
    for row in 0..data.rows().len() {
        let record: Vec<Cell<'_>> = data.record(row);
        // Records of the calibration rows have been encoded before.
        let Ok(found) = counts.encode(&record) else {
            continue;
        };
        for (seen, count) in seen.iter_mut().zip(found.iter()) {
            *seen |= *count > 0.0;
        }
    }
    seen.iter().position(|seen| !seen)
}
