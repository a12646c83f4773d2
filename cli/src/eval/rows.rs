//! Evaluation on the rows of a CSV file, whose right answers stand in columns of their own.

use super::{
    EvalArgs,
    answers::{Answer, Answers, columns, read},
    meter::{Measured, Meter},
    plot::Plot,
    quality::{Difference, Quality},
};
use crate::{
    args::CsvFile,
    destination::Destination,
    find::find,
    screen::Screen,
    table::{Survey, Table},
};
use anyhow::{Context, ensure};
use blindscore_client::Scores;
use indicatif::ProgressBar;
use serde::Serialize;
use std::{io::Write, path::Path};

/// Number of rows read at a time.
const BATCH: usize = 100;
/// Maximum number of refused rows that are shown.
const SHOWN: usize = 3;
/// One number of a [`Quality`].
type Metric = fn(&Quality) -> Option<f64>;
/// Formats a number.
type Format<'f> = &'f dyn Fn(f64) -> String;

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
