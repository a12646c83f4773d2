//! Import of projection networks, which are checked and measured but not changed.

use super::{Imported, Kind, Request, ensure};
use crate::{BOUND, Calibration, ImportError, Naming, Network, Wanted, agreement, output};
use blindscore_client::Encoder;
use blindscore_engine::model::Salt;
use std::time::Duration;

/// Default number of rows to score encrypted; each takes a tenth of a second or more.
pub const CHECK_ROWS: usize = 20;

/// Checks and measures a network, and writes the model file.
pub(super) fn import(request: &Request, bytes: &[u8]) -> Result<Imported, ImportError> {
    refuse_choices(request)?;
    let naming = Naming {
        name: &request.name,
        title: request.title.as_deref(),
        labels: request.labels.as_deref(),
        salt: &Salt::fresh()?,
    };
    let Network { model, content } = Network::read(bytes, &naming)?;
    let inputs = &model.descriptor().inputs;
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
    let agreement = agreement::measure(&model, None, calibration.as_ref(), rows, Duration::MAX)?;
    ensure(agreement.rows > 0, || {
        format!(
            "all {} rows of the calibration data are out of range",
            agreement.refused
        )
    })?;
    let path = output::write(&request.models_dir, &request.name, &content)?;
    let stated_error = BOUND * agreement.deviation;
    Ok(Imported {
        path,
        agreement,
        calibration,
        kind: Kind::Network {
            model: Box::new(model),
            stated_error,
        },
    })
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
