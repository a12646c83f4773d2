//! Evaluation on the rows of a CSV file, whose right answers stand in columns of their own.

use super::{
    EvalArgs,
    meter::{Measured, Meter},
    metrics::{area_under_roc, log_loss, r2, root_mean_square},
    plot::Plot,
};
use crate::{
    args::CsvFile,
    destination::Destination,
    find::find,
    screen::Screen,
    table::{Survey, Table},
    text::one_line,
};
use anyhow::{Context, bail, ensure};
use blindscore_client::Scores;
use blindscore_import::same_label;
use blindscore_protocol::{
    columns::number,
    descriptor::{ModelDescriptor, Task},
};
use indicatif::ProgressBar;
use serde::Serialize;
use std::{io::Write, path::Path};

/// Number of rows read at a time.
const BATCH: usize = 100;
/// Maximum number of refused rows that are shown.
const SHOWN: usize = 3;
/// Maximum number of classes that a message names.
const NAMED: usize = 12;

/// Answer to a row as numbers: the position of the class, whether each label holds (1 or 0), or the
/// value of each target.
type Answer = Vec<f64>;

/// One number of a [`Quality`].
type Metric = fn(&Quality) -> Option<f64>;
/// Compares values with the right ones.
type Measure<'m> = &'m dyn Fn(&[f64], &[f64]) -> Option<f64>;
/// Formats a number.
type Format<'f> = &'f dyn Fn(f64) -> String;

/// Answers of one model to all rows.
#[derive(Default)]
pub(super) struct Answers {
    pub(super) decided: Vec<Answer>,
    /// Scores and probabilities, if they are known.
    pub(super) scores: Vec<Scores>,
}

/// Report printed by `--json`.
#[derive(Serialize)]
struct Report {
    model: String,
    task: &'static str,
    label: Vec<String>,
    /// Rows that were measured.
    rows: usize,
    /// Rows that the model doesn't take.
    refused: u64,
    plain: Quality,
    #[serde(skip_serializing_if = "Option::is_none")]
    encrypted: Option<Quality>,
    #[serde(skip_serializing_if = "Option::is_none")]
    original: Option<Quality>,
    #[serde(skip_serializing_if = "Option::is_none")]
    encrypted_against_plain: Option<Difference>,
    #[serde(skip_serializing_if = "Option::is_none")]
    encrypted_against_original: Option<Difference>,
    #[serde(skip_serializing_if = "Option::is_none")]
    plain_against_original: Option<Difference>,
    #[serde(flatten)]
    measured: Option<Measured>,
}

/// How right answers are. What a task doesn't have, or the rows don't show, is left out.
#[derive(Serialize, Default)]
struct Quality {
    /// Share of rows with the right class, or with the right set of labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    accuracy: Option<f64>,
    /// Share of right decisions, over all rows and labels of a multilabel model.
    #[serde(skip_serializing_if = "Option::is_none")]
    label_accuracy: Option<f64>,
    /// Mean of `-ln p` of the right class.
    #[serde(skip_serializing_if = "Option::is_none")]
    log_loss: Option<f64>,
    /// Area under the ROC curve; for several classes or labels the mean of each against the rest.
    #[serde(skip_serializing_if = "Option::is_none")]
    auc: Option<f64>,
    /// Coefficient of determination, mean over the targets.
    #[serde(skip_serializing_if = "Option::is_none")]
    r2: Option<f64>,
    /// Root mean square of the errors, mean over the targets.
    #[serde(skip_serializing_if = "Option::is_none")]
    rmse: Option<f64>,
}

/// How far two models' answers are apart.
#[derive(Serialize)]
#[serde(untagged)]
enum Difference {
    /// Number of rows with the same class or set of labels.
    Decisions { decided_alike: usize },
    /// Largest difference of a value.
    Values { max_difference: f64 },
}

/// Measures a model on the rows of a file.
pub(super) fn run(args: &EvalArgs, path: &Path) -> anyhow::Result<()> {
    let model = find(&args.model, args.models_dir.as_deref())?;
    let descriptor = model.descriptor();
    let wanted = columns(descriptor);
    for (option, columns) in [("--label", &args.label), ("--original", &args.original)] {
        ensure!(
            columns.len() == wanted || (option == "--original" && columns.is_empty()),
            "{option} names {} columns, and the answers of model {} take {wanted}",
            columns.len(),
            descriptor.name
        );
    }
    let picture = args.plot.as_deref().map(Destination::of).transpose()?;
    if let Some(picture) = &picture {
        picture.spare(path)?;
        ensure!(
            !args.json || !matches!(picture, Destination::Stdout),
            "--json and --plot would both write to standard output"
        );
    }
    let beside = [args.label.as_slice(), args.original.as_slice()].concat();
    let file = CsvFile {
        path,
        layout: &args.layout,
        beside: &beside,
        has_id: false,
    };
    let screen = Screen::default();
    let survey = Survey::of(file, &descriptor.inputs, false)?;
    if survey.refused > 0 {
        screen.note(&format!(
            "{} of {} rows can't be scored and are left out:{}",
            survey.refused,
            survey.rows,
            survey.listed(SHOWN)
        ));
    }
    let mut meter = (!args.plain).then(|| Meter::new(&model)).transpose()?;
    let mut right: Vec<Answer> = Vec::new();
    let (mut plain, mut encrypted, mut original) =
        (Answers::default(), Answers::default(), Answers::default());
    let bar = if args.json {
        ProgressBar::hidden()
    } else {
        screen.bar("scoring", survey.rows)
    };
    let mut table = Table::open(file, &descriptor.inputs)?;
    loop {
        let batch = table.next_rows(BATCH)?;
        if batch.is_empty() {
            break;
        }
        for row in &batch {
            let Ok(features) = &row.features else { continue };
            let (labels, predictions) = row.beside.split_at(wanted);
            let read = |cells: &[String], columns: &[String]| {
                read(descriptor, cells, columns).with_context(|| format!("row {}", row.number))
            };
            right.push(read(labels, &args.label)?);
            if !predictions.is_empty() {
                original.decided.push(read(predictions, &args.original)?);
            }
            let scores = Scores::new(descriptor, model.plain_scores(features));
            if let Some(meter) = &mut meter {
                encrypted.add(descriptor, meter.answer(features, &scores.scores)?);
            }
            plain.add(descriptor, scores);
        }
        bar.inc(batch.len() as u64);
    }
    bar.finish_and_clear();
    ensure!(
        right.len() as u64 + survey.refused == survey.rows,
        "the file has changed while it was read"
    );

    if let Some(picture) = &picture {
        let shown = if meter.is_some() { &encrypted } else { &plain };
        let errors = meter.as_ref().map(|meter| meter.errors.as_slice());
        let svg = Plot::new(descriptor, &args.label, shown, &right, errors).svg();
        let mut draft = picture.draft()?;
        draft.write_all(svg.as_bytes())?;
        picture.take(draft)?;
    }
    let difference = |ours: &Answers, theirs: &Answers| {
        let both = !ours.decided.is_empty() && !theirs.decided.is_empty();
        both.then(|| Difference::of(descriptor.task, &ours.decided, &theirs.decided))
    };
    let quality =
        |answers: &Answers| (!answers.decided.is_empty()).then(|| Quality::of(descriptor, answers, &right));
    let report = Report {
        model: descriptor.name.clone(),
        task: descriptor.task.name(),
        label: args.label.clone(),
        rows: right.len(),
        refused: survey.refused,
        plain: Quality::of(descriptor, &plain, &right),
        encrypted: quality(&encrypted),
        original: quality(&original),
        encrypted_against_plain: difference(&encrypted, &plain),
        encrypted_against_original: difference(&encrypted, &original),
        plain_against_original: difference(&plain, &original),
        measured: meter.map(Meter::measured),
    };
    if args.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else if !matches!(picture, Some(Destination::Stdout)) {
        report.print();
    }
    Ok(())
}

/// Returns the number of columns that an answer of the model takes.
fn columns(model: &ModelDescriptor) -> usize {
    match model.task {
        Task::Classification => 1,
        Task::Multilabel | Task::Regression => model.outputs.len(),
    }
}

/// Returns the names of the classes, or else of the outputs.
pub(super) fn classes(model: &ModelDescriptor) -> Vec<&str> {
    match &model.classes {
        Some(classes) => classes.iter().map(String::as_str).collect(),
        None => model.outputs.iter().map(|output| output.label.as_str()).collect(),
    }
}

/// Reads an answer from its columns.
fn read(model: &ModelDescriptor, cells: &[String], columns: &[String]) -> anyhow::Result<Answer> {
    let one = |(cell, column): (&String, &String)| -> anyhow::Result<f64> {
        let shown = one_line(cell);
        match model.task {
            Task::Classification => {
                let names = classes(model);
                let found = names.iter().position(|name| same_label(name, cell));
                let Some(class) = found else {
                    let more = if names.len() > NAMED { ", ..." } else { "" };
                    let names: Vec<_> = names.iter().take(NAMED).map(|name| one_line(name)).collect();
                    bail!(
                        "column {column:?} has {shown:?}, which is no class of the model: {}{more}",
                        names.join(", ")
                    );
                };
                Ok(class as f64)
            }
            Task::Multilabel => match ["0", "1"].iter().position(|truth| same_label(truth, cell)) {
                Some(holds) => Ok(holds as f64),
                None => bail!("column {column:?} has {shown:?}, which is neither 1 nor 0"),
            },
            Task::Regression => number(cell)
                .with_context(|| format!("column {column:?} has {shown:?}, which is not a number")),
        }
    };
    cells.iter().zip(columns).map(one).collect()
}

impl Answers {
    fn add(&mut self, model: &ModelDescriptor, scores: Scores) {
        self.decided.push(match model.task {
            Task::Classification => scores.index().iter().map(|&index| index as f64).collect(),
            Task::Multilabel => scores
                .scores
                .iter()
                .map(|&score| f64::from(u8::from(score > 0.0)))
                .collect(),
            Task::Regression => scores.values.clone(),
        });
        self.scores.push(scores);
    }
}

impl Difference {
    fn of(task: Task, ours: &[Answer], theirs: &[Answer]) -> Self {
        let pairs = ours.iter().zip(theirs);
        match task {
            Task::Regression => Self::Values {
                max_difference: pairs
                    .flat_map(|(ours, theirs)| ours.iter().zip(theirs))
                    .map(|(ours, theirs)| (ours - theirs).abs())
                    .fold(0.0, f64::max),
            },
            Task::Classification | Task::Multilabel => Self::Decisions {
                decided_alike: pairs.filter(|(ours, theirs)| ours == theirs).count(),
            },
        }
    }

    fn shown(&self, rows: usize) -> String {
        match self {
            Self::Decisions { decided_alike } => format!("{decided_alike} of {rows} rows decided alike"),
            Self::Values { max_difference } => format!("values differ by {max_difference:.2e} at most"),
        }
    }
}

impl Quality {
    fn of(model: &ModelDescriptor, answers: &Answers, right: &[Answer]) -> Self {
        let share = |hits: usize, all: usize| Some(hits as f64 / all as f64);
        let alike = answers.decided.iter().zip(right).filter(|(a, b)| a == b).count();
        let column =
            |rows: &[Answer], place: usize| -> Vec<f64> { rows.iter().map(|row| row[place]).collect() };
        let mean = |values: Vec<Option<f64>>| -> Option<f64> {
            let values: Vec<f64> = values.into_iter().collect::<Option<_>>()?;
            (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
        };
        let outputs = columns(model);
        match model.task {
            Task::Regression => {
                let both = |place| (column(&answers.decided, place), column(right, place));
                let measure = |measure: Measure<'_>| {
                    mean(
                        (0..outputs)
                            .map(both)
                            .map(|(ours, right)| measure(&ours, &right))
                            .collect(),
                    )
                };
                Self {
                    r2: measure(&r2),
                    rmse: measure(&|ours, right| Some(root_mean_square(ours, right))),
                    ..Self::default()
                }
            }
            Task::Multilabel => {
                let cells = answers.decided.iter().flatten().zip(right.iter().flatten());
                let hits = cells.filter(|(a, b)| a == b).count();
                let auc = |label: usize| {
                    let scores: Vec<f64> = answers.scores.iter().map(|scores| scores.scores[label]).collect();
                    let holds: Vec<bool> = right.iter().map(|row| row[label] > 0.0).collect();
                    area_under_roc(&scores, &holds)
                };
                Self {
                    accuracy: share(alike, right.len()),
                    label_accuracy: share(hits, right.len() * outputs),
                    auc: mean(if answers.scores.is_empty() {
                        vec![]
                    } else {
                        (0..outputs).map(auc).collect()
                    }),
                    ..Self::default()
                }
            }
            Task::Classification => {
                let class = |row: &Answer| row[0] as usize;
                let has_shares = answers
                    .scores
                    .first()
                    .is_some_and(|scores| !scores.probabilities.is_empty());
                let of_right = || {
                    let rows = answers.scores.iter().zip(right);
                    rows.map(|(scores, row)| scores.probabilities[class(row)])
                };
                let auc = |positive: usize, ranks: Vec<f64>| {
                    let holds: Vec<bool> = right.iter().map(|row| class(row) == positive).collect();
                    area_under_roc(&ranks, &holds)
                };
                let ranks = |rank: &dyn Fn(&Scores) -> f64| answers.scores.iter().map(rank).collect();
                let auc = match answers.scores.first().map(|scores| scores.scores.len()) {
                    None => None,
                    Some(1) => auc(1, ranks(&|scores| scores.scores[0])),
                    Some(2) => auc(1, ranks(&|scores| scores.scores[1] - scores.scores[0])),
                    Some(count) if has_shares => {
                        let one = |class| auc(class, ranks(&|scores| scores.probabilities[class]));
                        mean((0..count).map(one).collect())
                    }
                    Some(_) => None,
                };
                Self {
                    accuracy: share(alike, right.len()),
                    log_loss: has_shares.then(|| log_loss(of_right())),
                    auc,
                    ..Self::default()
                }
            }
        }
    }
}

impl Report {
    fn print(&self) {
        println!("model               {}", self.model);
        let refused = match self.refused {
            0 => String::new(),
            count => format!(", {count} left out"),
        };
        println!("rows                {}{refused}", self.rows);
        let all = [Some(&self.plain), self.encrypted.as_ref(), self.original.as_ref()];
        let present: Vec<&Quality> = all.into_iter().flatten().collect();
        let names = ["plain", "encrypted", "original"];
        let names = names.iter().zip(all).filter(|(_, quality)| quality.is_some());
        let line = |title: &str, cells: Vec<String>| {
            let cells: Vec<String> = cells.iter().map(|cell| format!("{cell:<12}")).collect();
            println!("{title:<20}{}", cells.concat().trim_end());
        };
        line("", names.map(|(name, _)| (*name).to_owned()).collect());
        let percent = |share: f64| format!("{:.2} %", 100.0 * share);
        let precise = |value: f64| format!("{value:.4}");
        let metrics: [(&str, Metric, Format<'_>); 6] = [
            ("accuracy", |quality| quality.accuracy, &percent),
            ("accuracy of labels", |quality| quality.label_accuracy, &percent),
            ("log loss", |quality| quality.log_loss, &precise),
            ("AUC", |quality| quality.auc, &precise),
            ("R2", |quality| quality.r2, &precise),
            ("RMSE", |quality| quality.rmse, &|value| format!("{value:.4e}")),
        ];
        for (title, metric, shown) in metrics {
            let values: Vec<Option<f64>> = present.iter().map(|quality| metric(quality)).collect();
            if values.iter().any(Option::is_some) {
                let cell = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), shown);
                line(title, values.into_iter().map(cell).collect());
            }
        }
        let differences = [
            ("encrypted, plain", &self.encrypted_against_plain),
            ("encrypted, original", &self.encrypted_against_original),
            ("plain, original", &self.plain_against_original),
        ];
        for (title, difference) in differences {
            if let Some(difference) = difference {
                println!("{title:<20}{}", difference.shown(self.rows));
            }
        }
        if let Some(measured) = &self.measured {
            measured.print();
        }
    }
}
