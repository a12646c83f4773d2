//! `blindscore predict`: scores the rows of a file, and recovers from a lost key or a changed
//! model.

use crate::{
    args::PredictArgs,
    destination::Destination,
    key,
    screen::Screen,
    table::{Survey, Table},
    writer::{Writer, check_names},
};
use anyhow::ensure;
use blindscore_remote::{Api, Cancel, HttpError, ScoreError, Session};
use std::sync::Arc;

/// Maximum number of times that a run starts because the model has changed.
const MOST_STARTS: usize = 3;
/// Maximum number of complaints shown before the first row is sent.
const SHOWN: usize = 3;

/// Why a file was not scored.
enum Trouble {
    /// The server's model is not the one that earlier rows were scored with.
    ModelChanged(HttpError),
    Other(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for Trouble {
    fn from(error: E) -> Self {
        Self::Other(error.into())
    }
}

/// Scoring of a whole file with one model and one key.
struct Run<'a> {
    api: &'a Api,
    screen: &'a Screen,
    args: &'a PredictArgs,
    destination: &'a Destination,
    survey: &'a Survey,
    session: Session,
}

/// Scores a file and returns the number of rows that could not be scored.
pub(crate) fn run(args: &PredictArgs) -> anyhow::Result<u64> {
    let destination = Destination::of(&args.out)?;
    destination.spare(&args.csv)?;
    let screen = Screen::default();
    let api = Api::new(args.model.connection(), Arc::new(screen.clone()))?;
    let model = args.model.fetch(&api)?;
    let inputs = &model.descriptor.inputs;
    // Nothing is sent, not even a key, before every row has been checked.
    let survey = Survey::of(args.file(), inputs, args.strict)?;
    check_names(&survey.first_column, &model.descriptor, args.raw_labels)?;
    let key = key::open(&args.model, &api, &model)?;
    let mut run = Run {
        api: &api,
        screen: &screen,
        args,
        destination: &destination,
        survey: &survey,
        session: Session::new(model, key)?,
    };
    run.announce();
    for start in 1.. {
        match run.score_file() {
            Ok(()) => break,
            Err(Trouble::Other(error)) => return Err(error),
            Err(Trouble::ModelChanged(error)) if start == MOST_STARTS => return Err(error.into()),
            Err(Trouble::ModelChanged(error)) => run.renew(error)?,
        }
    }
    Ok(survey.refused)
}

/// Checks that both passes over the file found the same number of rows.
fn ensure_same(found: u64, counted: u64) -> anyhow::Result<()> {
    ensure!(
        found == counted,
        "the file has changed: it had {counted} rows, and has {found}"
    );
    Ok(())
}

impl Run<'_> {
    /// Tells the user, before the first row is sent, which rows can't be scored.
    fn announce(&self) {
        let Survey { rows, refused, .. } = self.survey;
        if *refused > 0 {
            let listed = self.survey.listed(SHOWN);
            self.screen.note(&format!(
                "{refused} of {rows} rows can't be scored; the column `error` will say why:{listed}"
            ));
        }
    }

    /// Goes on with the server's current model.
    fn renew(&mut self, error: HttpError) -> anyhow::Result<()> {
        let note = format!("{error}; all rows are scored again");
        self.session = self.session.renewed(self.api, error, "the command")?;
        self.screen.note(&note);
        Ok(())
    }

    fn score_file(&self) -> Result<(), Trouble> {
        self.session.ensure_uploaded(self.api)?;
        let descriptor = &self.session.model().descriptor;
        let mut table = Table::open(self.args.file(), &descriptor.inputs)?;
        let Survey {
            rows,
            refused,
            first_column,
            ..
        } = self.survey;
        let mut writer = Writer::create(
            self.destination,
            first_column,
            descriptor,
            *refused > 0,
            self.args.raw_labels,
        )?;
        let bar = self.screen.bar("scoring", *rows);
        let scored = self.score_rows(&mut table, &mut writer, |count| bar.inc(count));
        bar.finish_and_clear();
        match scored {
            Ok(found) => {
                ensure_same(found, *rows)?;
                writer.finish()?;
                let scored = rows - refused;
                let rest = match refused {
                    0 => String::new(),
                    _ => format!(", {refused} refused (the column `error` says why)"),
                };
                self.screen
                    .note(&format!("{scored} rows scored{rest}: {}", self.destination));
                if self.args.model.model_id.is_none() {
                    let (name, pin) = (&self.args.model.model, descriptor.pin());
                    self.screen.note(&format!(
                        "by {name}, model id {pin}; --model-id accepts only this model"
                    ));
                }
                Ok(())
            }
            Err(Trouble::Other(error)) => Err(Trouble::Other(error.context(writer.rest()))),
            changed => changed.map(drop),
        }
    }

    /// Scores the rest of a table and returns the number of rows.
    fn score_rows(
        &self,
        table: &mut Table<'_>,
        writer: &mut Writer<'_>,
        done: impl Fn(u64),
    ) -> Result<u64, Trouble> {
        let mut found = 0;
        loop {
            let batch = table.next_rows(self.session.batch_rows())?;
            if batch.is_empty() {
                return Ok(found);
            }
            let features: Vec<Option<&[f64]>> =
                batch.iter().map(|row| row.features.as_deref().ok()).collect();
            let scored = self
                .session
                .score(self.api, &features, &Cancel::default())
                .map_err(|error| match error {
                    ScoreError::ModelChanged(error) => Trouble::ModelChanged(error),
                    ScoreError::Other(error) => error.into(),
                })?;
            for (row, scores) in batch.iter().zip(scored) {
                match &row.features {
                    Ok(_) => writer.write(row, &scores)?,
                    Err(refusal) => writer.refuse(row, refusal)?,
                }
            }
            found += batch.len() as u64;
            done(batch.len() as u64);
        }
    }
}
