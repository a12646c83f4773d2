//! Comparison of the model to be served with the file it was made from, and with the caller's own
//! predictions.

use super::{
    Answer, Calibration, Fitted, ImportError,
    allowed::{Allowed, Difference, SINGLE, Stated},
    onnx::Graph,
    quoted,
    reference::{Elements, NotRun, Reference},
};
use blindscore_client::{Cell, Scores, one_vs_one};
use blindscore_protocol::descriptor::{Inputs, ModelDescriptor, Task};

/// Most rows compared.
pub(crate) const MOST_ROWS: usize = 500;
/// Rows drawn if there are no examples.
const DRAWN: usize = 200;

/// Result of a comparison.
#[derive(Clone, Debug, PartialEq)]
pub struct Compared {
    /// Compared rows, all of which agree.
    pub rows: usize,
    /// Largest difference of a score or a probability.
    pub largest: f64,
    /// Rows among these whose decision was too close to be compared.
    pub close: usize,
}

/// Runs the file's graph in the clear on rows of `data`, or on rows drawn within the ranges, and
/// compares all its outputs.
///
/// # Errors
/// Outer: an answer differs by more than the stated error. Inner: the reason why the graph can't be
/// run.
pub fn compare(
    graph: &Graph,
    fitted: &Fitted,
    stated: &Stated<'_>,
    data: Option<&Calibration>,
) -> Result<Result<Compared, NotRun>, ImportError> {
    let encoder = fitted.encoder();
    let reference = match Reference::new(graph, &encoder, fitted.features.as_deref()) {
        Ok(reference) => reference,
        Err(why) => return Ok(Err(why)),
    };
    let inputs = &stated.descriptor.inputs;
    let drawn: Vec<Vec<f64>>;
    let (records, rows): (Vec<Vec<Cell<'_>>>, Vec<&[f64]>) = match data {
        Some(data) => data
            .sample(MOST_ROWS)
            .map(|row| (data.record(row), data.rows()[row].as_slice()))
            .unzip(),
        None if !encoder.is_plain() => {
            return Ok(Err(NotRun::new("there are no records to compare on")));
        }
        None => {
            drawn = draw(inputs, &reference.whole_columns());
            let record = |row: &Vec<f64>| row.iter().copied().map(Cell::Number).collect();
            (
                drawn.iter().map(record).collect(),
                drawn.iter().map(Vec::as_slice).collect(),
            )
        }
    };
    let resolved: Vec<Vec<Cell<'_>>> = records
        .iter()
        .map(|record| {
            let cells = record.iter().enumerate();
            cells
                .map(|(column, cell)| encoder.resolved(column, cell))
                .collect()
        })
        .collect();
    let answers = match reference.run(&resolved) {
        Ok(answers) => answers,
        Err(why) => return Ok(Err(why)),
    };
    let allowed = Allowed::new(stated, SINGLE);
    let descriptor = stated.descriptor;
    let mut compared = Compared {
        rows: rows.len(),
        largest: 0.0,
        close: 0,
    };
    let mut differing = Vec::new();
    for (number, (row, answers)) in rows.iter().zip(&answers).enumerate() {
        let scores = Scores::new(descriptor, (stated.plain)(row));
        let close = descriptor.task == Task::Classification && allowed.is_close(&scores, descriptor);
        compared.close += usize::from(close);
        for (answer, elements) in fitted.answers.iter().zip(answers) {
            match differs(answer, elements, &scores, fitted, descriptor, &allowed, close) {
                Ok(difference) => compared.largest = compared.largest.max(difference),
                Err(difference) => {
                    differing.push((number + 1, difference));
                    break;
                }
            }
        }
    }
    match differing.first() {
        None => Ok(Ok(compared)),
        Some((row, Difference { what, theirs, ours })) => Err(ImportError::Options(format!(
            "the file, run in the clear, and the model made from it differ on {} of {} rows. The first is row {row}: {what} is \
             {theirs} by the file and {ours} by the model. Nothing was written; please report this as a bug",
            differing.len(),
            rows.len(),
        ))),
    }
}

/// Returns the largest difference between an output of the graph and the model's answer.
fn differs(
    answer: &Answer,
    elements: &Elements,
    scores: &Scores,
    fitted: &Fitted,
    descriptor: &ModelDescriptor,
    allowed: &Allowed,
    close: bool,
) -> Result<f64, Difference> {
    let label = |place: usize| {
        descriptor
            .outputs
            .get(place)
            .map_or("", |output| output.label.as_str())
    };
    match (answer, elements) {
        (Answer::Label | Answer::Place, elements) => {
            let theirs = match elements {
                Elements::Texts(texts) => texts.first().cloned().unwrap_or_default(),
                Elements::Numbers(numbers) => numbers.first().map_or_else(String::new, f64::to_string),
            };
            // The file's own names; the caller may have given others.
            let counted = (0..fitted.classes.as_ref().map_or(0, Vec::len)).map(|place| place.to_string());
            let names = match (&fitted.classes, &fitted.labels) {
                (Some(_), _) if *answer == Answer::Place => counted.collect(),
                (Some(classes), _) => classes.clone(),
                (None, Some(labels)) => labels.clone(),
                (None, None) => (0..fitted.coef.len()).map(|place| place.to_string()).collect(),
            };
            let ours = scores
                .index()
                .and_then(|index| names.get(index).cloned())
                .unwrap_or_default();
            // Single precision may break a tie of hard votes in another way than the original.
            let tied = names.iter().position(|name| *name == theirs);
            let tied = tied.is_some_and(|index| scores.is_tied(descriptor, index));
            if close || tied || theirs == ours {
                return Ok(0.0);
            }
            Err(Difference {
                what: "the label".into(),
                theirs,
                ours,
            })
        }
        (Answer::Held, Elements::Numbers(numbers)) => {
            for (place, (holds, score)) in numbers.iter().zip(&scores.scores).enumerate() {
                if (*holds != 0.0) != (*score > 0.0) && score.abs() > allowed.score(place) {
                    return Err(Difference {
                        what: format!("whether {} holds", quoted(label(place))),
                        theirs: (*holds != 0.0).to_string(),
                        ours: (*score > 0.0).to_string(),
                    });
                }
            }
            Ok(0.0)
        }
        (Answer::OneVsOne, Elements::Numbers(numbers))
            if Some(numbers.len()) == descriptor.classes.as_ref().map(Vec::len) =>
        {
            let mut largest = 0f64;
            for (class, (&theirs, ours)) in numbers
                .iter()
                .zip(one_vs_one(&scores.scores, numbers.len()))
                .enumerate()
            {
                let what = || format!("the decision function of class {}", class + 1);
                let difference = allowed.decision(class, scores, descriptor);
                largest = largest.max(allowed.number(what, theirs, ours, difference)?);
            }
            Ok(largest)
        }
        (Answer::Probabilities(places), Elements::Numbers(numbers)) if places.len() == numbers.len() => {
            let mut largest = 0f64;
            for (&place, &theirs) in places.iter().zip(numbers) {
                let ours = scores.probabilities.get(place).copied().unwrap_or(f64::NAN);
                let what = || format!("probability {}", place + 1);
                largest = largest.max(allowed.number(
                    what,
                    theirs,
                    ours,
                    allowed.probability(scores, descriptor),
                )?);
            }
            Ok(largest)
        }
        (Answer::Pairs(places), Elements::Numbers(numbers)) if 2 * places.len() == numbers.len() => {
            let mut largest = 0f64;
            for (&place, pair) in places.iter().zip(numbers.chunks_exact(2)) {
                let ours = scores.probabilities.get(place).copied().unwrap_or(f64::NAN);
                let what = || format!("the probability of {}", quoted(label(place)));
                largest = largest.max(allowed.number(
                    what,
                    pair[1],
                    ours,
                    allowed.probability(scores, descriptor),
                )?);
            }
            Ok(largest)
        }
        (Answer::LogProbabilities(places), Elements::Numbers(numbers)) if places.len() == numbers.len() => {
            let mut largest = 0f64;
            for (&place, &theirs) in places.iter().zip(numbers) {
                let ours = scores.probabilities.get(place).copied().unwrap_or(f64::NAN);
                let what = || format!("probability {}", place + 1);
                largest = largest.max(allowed.number(
                    what,
                    theirs.exp(),
                    ours,
                    allowed.probability(scores, descriptor),
                )?);
            }
            Ok(largest)
        }
        (Answer::Values(places), Elements::Numbers(numbers)) if places.len() == numbers.len() => {
            let mut largest = 0f64;
            for (&place, &theirs) in places.iter().zip(numbers) {
                let ours = scores.values.get(place).copied().unwrap_or(f64::NAN);
                let what = || format!("the value of {}", quoted(label(place)));
                largest = largest.max(allowed.number(
                    what,
                    theirs,
                    ours,
                    allowed.value(place, ours, descriptor),
                )?);
            }
            Ok(largest)
        }
        (Answer::Scores(places), Elements::Numbers(numbers)) if places.len() == numbers.len() => {
            let mut largest = 0f64;
            for (&(place, factor), &theirs) in places.iter().zip(numbers) {
                let ours = factor * scores.scores.get(place).copied().unwrap_or(f64::NAN);
                let what = || format!("the score of {}", quoted(label(place)));
                largest = largest.max(allowed.number(what, theirs, ours, allowed.score(place))?);
            }
            Ok(largest)
        }
        _ => Err(Difference {
            what: "the number of columns".into(),
            theirs: "another".into(),
            ours: descriptor.outputs.len().to_string(),
        }),
    }
}

/// Draws rows within the ranges, always the same ones.
fn draw(inputs: &Inputs, whole: &[bool]) -> Vec<Vec<f64>> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut share = move || {
        // splitmix64
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ mixed >> 31) >> 11) as f64 / (1u64 << 53) as f64
    };
    let mut row = || {
        let value = |index: usize| {
            let (min, max) = inputs.range(index);
            let value = min + share() * (max - min);
            if whole.get(index).copied().unwrap_or(false) {
                value.round()
            } else {
                value
            }
        };
        (0..inputs.count).map(value).collect()
    };
    (0..DRAWN).map(|_| row()).collect()
}
