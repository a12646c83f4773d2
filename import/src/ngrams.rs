//! Joined words that no text has, which show that words were left out before they were joined.

use super::{Calibration, ImportError, quoted};
use blindscore_client::{Cell, Encoder};
use blindscore_protocol::encoding::{Encoding, Split, Step};

/// Checks that all joined words of a vocabulary occur in the rows that a model was fitted with. A
/// vectorizer joins the words that `stop_words` leaves, and skl2onnx doesn't write that list: the
/// pair `good bad` of the text `good and bad` would never be found.
///
/// # Errors
/// If some don't occur.
pub(super) fn check(encoding: &Encoding, data: &Calibration) -> Result<(), ImportError> {
    let mut slot = encoding.columns.len();
    for (place, step) in encoding.steps.iter().enumerate() {
        if let Step::Counts {
            words, vocabulary, ..
        } = step
            && matches!(words.split, Split::Words(_))
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
                return Err(ImportError::Options(format!(
                    "the words {} occur in no row of --calibrate, though the model counts them. Either these aren't all rows that it was fitted \
                     with, or its stop_words left out a word between them, and skl2onnx doesn't write that list, so that the model would count \
                     too few. Give all rows that it was fitted with; or fit it without stop_words, or with single words only; or give its \
                     predictions for these rows with --expect, which decides",
                    quoted(&vocabulary[joined[word]])
                )));
            }
        }
        slot += step.results();
    }
    Ok(())
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
