//! Import of projection networks, which are checked and measured but not changed.

use super::{
    Imported, Kind, Request, ensure,
    label::{Label, check_task},
};
use crate::{
    BOUND, Calibration, ImportError, Naming, Network, Stated, Wanted,
    agreement::{self, Reference},
    layers::labels::pairs,
    output,
};
use blindscore_client::{Encoder, check_features};
use blindscore_engine::model::{Model, Plain, Salt};
use std::time::Duration;

/// Default number of rows to score encrypted; each takes a tenth of a second or more.
pub const CHECK_ROWS: usize = 20;

/// Checks and measures a network, and writes the model file.
pub(super) fn import(request: &Request, bytes: &[u8]) -> Result<Imported, ImportError> {
    refuse_choices(request)?;
    let salt = Salt::fresh()?;
    let naming = Naming {
        name: &request.name,
        title: request.title.as_deref(),
        labels: request.labels.as_deref(),
        salt: &salt,
        label: None,
    };
    let scored = Network::read(bytes, &naming)?;
    let inputs = &scored.model.descriptor().inputs;
    let calibration = request
        .calibration()
        .map(|path| {
            let wanted = Wanted {
                encoder: &Encoder::new(inputs),
                unused: &[],
            };
            Calibration::read(path, wanted, &request.table).map_err(ImportError::in_table(path))
        })
        .transpose()?;
    let rows = request.check_rows.unwrap_or(CHECK_ROWS);
    let data = calibration.as_ref();
    let (served, label, agreement) = if request.answer.is_scores() {
        let agreement = agreement::measure(&scored.model, None, data, rows, Duration::MAX)?;
        (scored, None, agreement)
    } else {
        let data = data.ok_or_else(|| {
            ImportError::Options(
                "--answer label compares scores, whose differences are measured on rows: give some with --calibrate, best those that it was trained with"
                    .into(),
            )
        })?;
        let (labelled, label) = labelled(bytes, &naming, &scored.model, data)?;
        let reference = Reference {
            scores: &|row| scored.model.plain_scores(row),
            descriptor: scored.model.descriptor(),
        };
        let longest = request.longest()?;
        let agreement = agreement::measure(&labelled.model, Some(reference), Some(data), rows, longest)?;
        ensure(agreement.time <= longest, || {
            format!(
                "a row takes {:.1} s here, more than the {:.1} s that --max-seconds allows",
                agreement.time.as_secs_f64(),
                longest.as_secs_f64()
            )
        })?;
        (labelled, Some(label), agreement)
    };
    ensure(agreement.rows > 0, || {
        format!(
            "all {} rows of the calibration data are out of range",
            agreement.refused
        )
    })?;
    let path = output::write(&request.models_dir, &request.name, &served.content)?;
    let stated_error = BOUND * agreement.deviation;
    Ok(Imported {
        path,
        agreement,
        calibration,
        kind: Kind::Network {
            model: Box::new(served.model),
            stated_error,
            label,
        },
    })
}

/// Returns the network with only its label sent, and how close the decisions of rows are.
fn labelled(
    bytes: &[u8],
    naming: &Naming<'_>,
    scored: &Model,
    data: &Calibration,
) -> Result<(Network, Label), ImportError> {
    let descriptor = scored.descriptor();
    check_task(descriptor.task, descriptor.outputs.len())?;
    let accepted: Vec<Vec<f64>> = data
        .rows()
        .iter()
        .filter(|row| check_features(&descriptor.inputs, row).is_ok())
        .cloned()
        .collect();
    // What the first layer's noise does to a difference of scores depends on the row.
    let (mut largest, mut deviation) = (0f64, 0f64);
    for row in &accepted {
        let scores = scored.plain_scores(row);
        let [low, high] = [f64::min, f64::max].map(|end| scores.iter().copied().fold(scores[0], end));
        largest = largest.max(if scores.len() == 1 { high.abs() } else { high - low });
        deviation = scored.deviations(row).into_iter().fold(deviation, f64::max);
    }
    ensure(largest > 0.0, || {
        "--answer label: no two scores differ on the rows of the calibration data that clients accept".into()
    })?;
    let scale = logit_scale(scored)?;
    let labelled = Network::read(
        bytes,
        &Naming {
            label: Some(largest / scale),
            ..*naming
        },
    )?;
    let own = labelled.model.comparison_deviation();
    let own = scale * own.ok_or_else(|| ImportError::Options("the file's label isn't compared".into()))?;
    let error = BOUND * own.hypot(2f64.sqrt() * deviation);
    let plain = |row: &[f64]| scored.plain_scores(row);
    let errors = vec![error; pairs(descriptor.outputs.len()).count()];
    let stated = Stated::of_label(descriptor, Box::new(plain), &errors);
    let label = Label::of(&labelled.model, &stated, &accepted)?;
    drop(stated);
    Ok((labelled, label))
}

fn logit_scale(model: &Model) -> Result<f64, ImportError> {
    match model.plain() {
        Plain::Network { logit_scale, .. } => Ok(*logit_scale),
        _ => Err(ImportError::Options(
            "the file holds no projection network".into(),
        )),
    }
}

/// Refuses options of linear models that a network's training has already settled.
fn refuse_choices(request: &Request) -> Result<(), ImportError> {
    let ranges = "the ranges of its features are those that it was trained with, and stand in its file";
    let says = "what it is for stands in its file";
    let checked = "it is rounded, and so decides otherwise now and then than what it was trained as; its training compares the two";
    let choices = [
        ("--task", request.task.is_some(), says),
        ("--expect", request.expect.is_some(), checked),
        ("--input-min", request.range.is_some(), ranges),
        ("--widen", request.widen.is_some(), ranges),
        (
            "--max-error",
            request.max_error.is_some(),
            "its weights are integers already, and its error follows from them",
        ),
    ];
    for (option, given, why) in choices {
        ensure(!given, || {
            format!("{option} is not for a projection network: {why}")
        })?;
    }
    ensure(request.check_rows != Some(0), || {
        "--check-rows is 0: a network's time and error are measured".into()
    })
}
