//! Import of networks with hidden layers: fits their units to tables, and rounds them to integers.

use super::{
    Imported, Kind, Request, ensure,
    label::{Label, check_label},
    prepared::Prepared,
};
use crate::{
    BOUND, Calibration, Compared, Expected, Fitted, ImportError, MOST_LEVELS, Stated, Suspects,
    agreement::{self, Reference},
    choice::slope,
    compare,
    layers::{
        FloatNetwork,
        choose::{FIT_ROWS, ROTATIONS, choose, undecided, undecided_pairs},
    },
    onnx::Graph,
    output,
};
use blindscore_engine::{
    Engine,
    model::{LayersModel, Model, ModelError, Salt},
};
use blindscore_protocol::descriptor::{Answer, Inputs, Link, ModelDescriptor, Task};

/// Errors of a probability, six standard deviations, between which the wanted one lies.
const PROBABILITY: (f64, f64) = (0.02, 0.05);
/// Share of rows that may be decided otherwise, which asks for one of them.
const UNDECIDED: f64 = 0.001;
/// Error of a value, six standard deviations, up to which units are rotated several times, as a
/// share of the range of the values.
const VALUE: f64 = 0.01;
/// The same, if only the label is sent: nothing else tells that a row is close.
pub(super) const UNDECIDED_LABELS: f64 = 0.000_2;
/// Least error of a score of which only decisions are sent, likewise.
pub(super) const LEAST_VALUE: f64 = 0.002;
/// Most rotations of a query whose error is limited by `--max-error`: some three seconds of two
/// cores.
const MOST_ROTATIONS: usize = 2_048;
/// Largest error of a value, six standard deviations, as a share of the range of the values.
const TELLING: f64 = 0.25;
/// Least share of the measured rows that must be decided as by the fitted network.
const DECIDED: f64 = 0.9;
/// Fewest calibration rows: units have their ranges from them.
const LEAST_ROWS: usize = 20;

/// What is known of a network with hidden layers.
pub struct LayersImport {
    /// Model as a server loads it.
    pub model: Model,
    /// Number of units of each hidden layer of the file.
    pub layers: Vec<usize>,
    /// Number of blind rotations of a query.
    pub rotations: usize,
    /// How close decisions are, if only the label is sent.
    pub label: Option<Label>,
    /// Largest error of a score, six standard deviations; 0 if only the label is sent.
    pub stated_error: f64,
    /// The same for a probability, if there are any.
    pub probability_error: Option<f64>,
    /// Largest error of each score.
    pub errors: Vec<f64>,
    /// Number of units that are looked up, and of those whose range no valid row can leave.
    pub units: [usize; 2],
    /// Parts of the standard deviation of the least precise score: noise, and rounding.
    pub parts: [f64; 2],
    /// What differs from the file, because its converter has known faults.
    pub mended: Vec<&'static str>,
    /// Columns that the file knows and the network doesn't use.
    pub unused: Vec<String>,
    /// Comparison with the file run in the clear, or why there was none.
    pub file: Result<Compared, String>,
    /// Comparison with the caller's own predictions.
    pub expected: Option<Compared>,
}

/// Imports a network with hidden layers.
pub(super) fn import(
    request: &Request,
    network: &FloatNetwork,
    graph: Option<&Graph>,
) -> Result<Imported, ImportError> {
    refuse_choices(request)?;
    check_link(network).map_err(ImportError::in_file(&request.file))?;
    let in_file = ImportError::in_file(&request.file);
    if request.calibrate.is_none() {
        let what = match request.answer {
            Answer::Scores => "it is a network with hidden layers, whose units get their ranges from rows",
            Answer::Label => "--answer label compares scores, as precisely as rows need it",
        };
        return Err(in_file(ImportError::Options(format!(
            "{what}: give some with --calibrate, best those that it was trained with"
        ))));
    }
    let Prepared {
        settled,
        data,
        ranges,
        on_edge,
    } = Prepared::of(request, &network.fitted)?;
    // It was given.
    let data = data.ok_or(ImportError::NoRanges)?;
    ensure(data.rows().len() >= LEAST_ROWS, || {
        format!(
            "--calibrate has {} rows, and at least {LEAST_ROWS} are needed for ranges and precision: give the rows that it was trained with",
            data.rows().len()
        )
    })?;
    let is_label = request.answer == Answer::Label;
    if is_label {
        check_label(&settled).map_err(&in_file)?;
    }
    let inputs = Inputs {
        encoding: settled.fitted.encoding.clone(),
        ..ranges.inputs(settled.fitted.feature_names(), MOST_LEVELS)
    };
    let rows: Vec<&[f64]> = data
        .sample(FIT_ROWS)
        .map(|row| data.rows()[row].as_slice())
        .collect();
    let (wanted, most) = wanted(request, network, &rows)?;
    let chosen = choose(network, &inputs, &rows, &wanted, most, request.answer).map_err(|unit| {
        in_file(ImportError::Graph(format!(
            "hidden unit {unit} has no finite value for some sums near those of the calibration rows: train the network without such a function"
        )))
    })?;
    let errors = chosen.errors();
    let worst = (0..errors.len())
        .max_by(|one, other| errors[*one].total_cmp(&errors[*other]))
        .unwrap_or(0);
    let compared: Vec<&[f64]> = data
        .sample(compare::MOST_ROWS)
        .map(|row| data.rows()[row].as_slice())
        .collect();
    let deviations = chosen.stated(network, &inputs, &rows, &compared);
    let score_error = if is_label {
        0.0
    } else {
        deviations.iter().copied().fold(0.0, f64::max)
    };
    ensure(chosen.apart, || {
        "the error of its scores is too large beside their range, whatever is tried: train it with weight decay, with scaled features, or with \
         fewer outputs"
            .into()
    })?;
    let each: Vec<f64> = deviations.iter().map(|deviation| BOUND * deviation).collect();
    let parts = [chosen.noise[worst], chosen.rounding[worst]];
    let units = chosen.units;
    let content = LayersModel {
        salt: Salt::fresh()?,
        name: request.name.clone(),
        title: request.title(),
        inputs,
        labels: settled.labels,
        task: settled.task,
        classes: settled.fitted.classes.clone(),
        // Bits have no probabilities.
        link: if is_label {
            Link::Identity
        } else {
            settled.fitted.link
        },
        accuracy: settled.fitted.accuracy,
        network: chosen.rounded.network,
        bases: chosen.rounded.bases,
        scales: chosen.rounded.scales,
        fine_features: chosen.rounded.fine_features,
        fine: (!is_label).then_some(chosen.rounded.fine),
        answer: request.answer,
        score_error,
    }
    .to_safetensors()?;
    // Reads the content back: it is what will be served.
    let model = Model::from_safetensors(&content).map_err(|error| in_file(coarse(error)))?;
    // What clients would get, if scores were sent.
    let mut reference = ModelDescriptor::from(model.descriptor().clone());
    if is_label {
        (reference.answer, reference.link) = (Answer::Scores, settled.fitted.link);
    }
    let stated = if is_label {
        Stated::of_label(&reference, Box::new(|row| network.scores(row)), &each)
    } else {
        Stated::of_errors(&reference, Box::new(|row| model.plain_scores(row)), &each)
    };
    let label = is_label
        .then(|| Label::of(&model, &stated, data.rows()))
        .transpose()?;
    check_error(request, &deviations, &wanted, rotations(&model))?;
    if !is_label {
        check_values(network, &each, &widths(network, &rows))?;
    }
    let file = match graph {
        Some(graph) => {
            let file = compare(graph, &network.fitted, &stated, Some(&data));
            let file = file.map_err(|error| in_file(on_edge.map_or(error, ImportError::Options)))?;
            file.map_err(|why| why.to_string())
        }
        None => Err("the file can't be run".to_owned()),
    };
    let expected = compare_with_expected(request, &network.fitted, &stated, &data).map_err(&in_file)?;
    let longest = request.longest()?;
    let agreement = agreement::measure(
        &model,
        Some(Reference {
            scores: &|row| network.scores(row),
            descriptor: &reference,
        }),
        Some(&data),
        request.rows_to_check()?,
        longest,
    )?;
    let rotations = rotations(&model);
    ensure(agreement.time <= longest, || {
        format!(
            "a row takes {:.1} s on {} cores here, and --max-seconds allows {} s: it takes {rotations} blind rotations. {}, or allow more with --max-seconds",
            agreement.time.as_secs_f64(),
            model.engine().threads(),
            longest.as_secs_f64(),
            if network.units.is_empty() {
                "Allow more error with --max-error"
            } else {
                "Train a smaller network"
            },
        )
    })?;
    agreement.check(stated.largest())?;
    let share = agreement.same_decision as f64 / agreement.rows.max(1) as f64;
    // Of a few rows, one that is nearly a tie would decide.
    let decides = agreement.decides && agreement.rows >= LEAST_ROWS;
    ensure(!decides || share >= DECIDED, || {
        format!(
            "of {} encrypted rows, {} were decided as by the model itself: its scores are too close for the error of encrypted ones, {:.1e}. \
             Allow less error with --max-error, which takes more time, or train a model with smaller weights (with weight decay, or with \
             scaled features)",
            agreement.rows,
            agreement.same_decision,
            label.map_or(stated.largest(), |label| label.close)
        )
    })?;
    let (stated_error, probability_error) = (stated.largest(), stated.probability());
    // It borrows the model.
    drop(stated);
    let path = output::write(&request.models_dir, &request.name, &content)?;
    let layers = network.units.last().map_or(0, |unit| unit.layer + 1);
    let of_layer = |layer: usize| network.units.iter().filter(|unit| unit.layer == layer).count();
    Ok(Imported {
        path,
        agreement,
        calibration: Some(data),
        kind: Kind::Layers(Box::new(LayersImport {
            layers: (0..layers).map(of_layer).collect(),
            rotations,
            label,
            stated_error,
            probability_error: probability_error.filter(|_| !is_label),
            parts,
            units,
            errors: each,
            mended: graph.map_or_else(Vec::new, |graph| graph.mended().to_vec()),
            unused: network.fitted.unused.clone(),
            file,
            expected,
            model,
        })),
    })
}

/// Returns the width of each score's range on the rows.
fn widths(network: &FloatNetwork, rows: &[&[f64]]) -> Vec<f64> {
    let mut ranges = vec![(f64::INFINITY, f64::NEG_INFINITY); network.outputs.len()];
    for row in rows {
        for (range, score) in ranges.iter_mut().zip(network.scores(row)) {
            *range = (range.0.min(score), range.1.max(score));
        }
    }
    let widths = ranges.iter();
    widths
        .map(|(low, high)| (high - low).max(1e-6 * (1.0 + high.abs())))
        .collect()
}

/// Refuses a network whose values would say little.
fn check_values(network: &FloatNetwork, errors: &[f64], widths: &[f64]) -> Result<(), ImportError> {
    if network.fitted.task != Some(Task::Regression) {
        return Ok(());
    }
    let shares = errors.iter().zip(widths).map(|(error, width)| error / width);
    let worst = shares.fold(0.0, f64::max);
    ensure(worst <= TELLING, || {
        format!(
            "the error of an encrypted value would be {:.0} % of the range of the values (six deviations): its functions are too steep, or its \
             weights too large, for the ranges of its sums. Train it with weight decay and scaled features, or allow less error with --max-error, \
             which takes more time",
            100.0 * worst
        )
    })
}

/// Returns the standard deviations of the scores that are wanted, and the most rotations for it.
fn wanted(
    request: &Request,
    network: &FloatNetwork,
    rows: &[&[f64]],
) -> Result<(Vec<f64>, usize), ImportError> {
    if let Some(share) = request.max_error {
        ensure(share > 0.0 && share < 1.0, || {
            format!("--max-error is {share}, not a share between 0 and 1")
        })?;
    }
    let scores: Vec<Vec<f64>> = rows.iter().map(|row| network.scores(row)).collect();
    let wanted = match (request.answer, request.max_error) {
        (Answer::Label, Some(share)) => undecided_pairs(&scores, 0.0, share / BOUND),
        // Nothing but decisions depends on the scores.
        (Answer::Label, None) => undecided_pairs(&scores, UNDECIDED_LABELS, LEAST_VALUE / BOUND),
        (Answer::Scores, Some(share)) => {
            let widths = widths(network, rows).into_iter();
            widths.map(|width| share * width / BOUND).collect()
        }
        (Answer::Scores, None) => wanted_scores(network, rows, &scores),
    };
    let most = match request.max_error {
        Some(_) => MOST_ROTATIONS,
        None => ROTATIONS.max(network.units.len()),
    };
    Ok((wanted, most))
}

/// Returns the standard deviations of scores that are wanted by default.
fn wanted_scores(network: &FloatNetwork, rows: &[&[f64]], scores: &[Vec<f64>]) -> Vec<f64> {
    let (least, most) = PROBABILITY;
    match (network.fitted.task, slope(network.fitted.link)) {
        (Some(Task::Regression), _) | (_, None) => {
            let widths = widths(network, rows).into_iter();
            widths.map(|width| VALUE * width / BOUND).collect()
        }
        (task, Some(slope)) => {
            let [least, most] = [least, most].map(|error| error / slope / BOUND);
            let wanted = match task {
                Some(Task::Classification) => undecided(scores, UNDECIDED).clamp(least, most),
                _ => most,
            };
            vec![wanted; network.outputs.len()]
        }
    }
}

/// Refuses a network whose error is larger than `--max-error` allows.
fn check_error(
    request: &Request,
    errors: &[f64],
    wanted: &[f64],
    rotations: usize,
) -> Result<(), ImportError> {
    let Some(share) = request.max_error else {
        return Ok(());
    };
    let relative = errors.iter().zip(wanted).map(|(error, wanted)| error / wanted);
    let worst = relative.fold(0.0, f64::max);
    ensure(worst <= 1.0, || {
        format!(
            "--max-error {share} is out of reach: with {rotations} blind rotations, the best that was found, the error of a score is {:.1e} of its \
             range. Allow more, or train it with weight decay and scaled features",
            worst * share
        )
    })
}

/// Says what to do about a unit that no set is precise enough for.
fn coarse(error: ModelError) -> ImportError {
    match error {
        ModelError::Precision { .. } => ImportError::Options(format!(
            "{error}: its weights are too different in size. Scale the features before the network, or train it with weight decay"
        )),
        other => other.into(),
    }
}

/// Refuses networks that are parts of another model.
fn check_link(network: &FloatNetwork) -> Result<(), ImportError> {
    let served = matches!(
        network.fitted.link,
        Link::Identity | Link::Sigmoid | Link::Softmax | Link::OneVsRest | Link::Exp
    );
    if served && network.fitted.members.is_empty() {
        return Ok(());
    }
    Err(ImportError::Options(
        "it combines several networks with hidden layers, or calibrates one: that isn't served. Export one of the networks by itself".into(),
    ))
}

/// Refuses options that aren't for networks with hidden layers.
fn refuse_choices(request: &Request) -> Result<(), ImportError> {
    let choices = [
        ("--structure", request.structure.is_some(), "it is for trees"),
        ("--grid", request.grid.is_some(), "it is for trees"),
        ("--link", request.link.is_some(), "the file states it"),
    ];
    for (option, given, why) in choices {
        ensure(!given, || {
            format!("{option} is not for networks with hidden layers: {why}")
        })?;
    }
    Ok(())
}

/// Compares the model with the caller's own predictions, if there are any.
fn compare_with_expected(
    request: &Request,
    fitted: &Fitted,
    stated: &Stated<'_>,
    data: &Calibration,
) -> Result<Option<Compared>, ImportError> {
    let Some(path) = &request.expect else {
        return Ok(None);
    };
    let expected = Expected::read(path, stated.descriptor).map_err(ImportError::in_table(path))?;
    let suspects = Suspects::of(&request.file, fitted, data, request.labels.is_some());
    Ok(Some(expected.compare(data.rows(), stated, &suspects)?))
}

fn rotations(model: &Model) -> usize {
    match model.engine() {
        Engine::Layers(engine) => engine.rotations(),
        _ => 0,
    }
}
