//! `blindscore predict`: rows in, scores out, and whatever can go wrong on the way.

use crate::{
    api::{Api, Model},
    args::PredictArgs,
    http::HttpError,
    key::Key,
    screen::Screen,
    table::{Row, Table},
    writer::Writer,
};
use anyhow::ensure;
use blindscore_client::{ClientError, Scores};
use blindscore_protocol::{problem::Recovery, wire::QueryId};
use std::{fs, path::Path};

/// Queries in one request: a network takes some seconds for so many.
const BATCH: usize = 16;
/// Times that a run starts because the model has changed.
const STARTS: usize = 3;

/// Why rows were not scored.
enum Trouble {
    /// The server has another model than the rows before were scored with.
    ModelChanged(HttpError),
    Other(anyhow::Error),
}

impl<E: Into<anyhow::Error>> From<E> for Trouble {
    fn from(error: E) -> Self {
        Self::Other(error.into())
    }
}

/// What was sent, and what came back.
struct Exchange {
    queries: Vec<Vec<u8>>,
    responses: Result<Vec<Vec<u8>>, HttpError>,
}

/// One model and one key, for a whole file.
struct Run<'a> {
    api: &'a Api,
    screen: &'a Screen,
    model: &'a Model,
    key: Key,
}

pub(crate) fn run(args: &PredictArgs) -> anyhow::Result<()> {
    ensure!(
        !is_same_file(&args.csv, &args.out),
        "{} is the input: --out would replace it",
        args.out.display()
    );
    let screen = Screen::default();
    let api = Api::new(&args.model, screen.clone());
    for start in 1.. {
        let model = api.model(&args.model.model)?;
        // Nothing is sent, not even a key, before every row is known to be sound.
        let rows = Table::check(args, &model.descriptor.inputs)?;
        let mut run = Run {
            api: &api,
            screen: &screen,
            key: Key::open(&args.model, &model)?,
            model: &model,
        };
        match run.score_file(args, rows) {
            Ok(()) => break,
            Err(Trouble::Other(error)) => return Err(error),
            Err(Trouble::ModelChanged(error)) if start == STARTS => return Err(error.into()),
            Err(Trouble::ModelChanged(error)) => screen.note(&format!("{error}; all rows are scored again")),
        }
    }
    Ok(())
}

/// Whether two paths lead to one file, as far as that can be known.
fn is_same_file(one: &Path, other: &Path) -> bool {
    matches!((fs::canonicalize(one), fs::canonicalize(other)), (Ok(one), Ok(other)) if one == other)
}

impl Run<'_> {
    fn score_file(&mut self, args: &PredictArgs, rows: u64) -> Result<(), Trouble> {
        self.key.ensure_uploaded(self.api, self.screen)?;
        let descriptor = &self.model.descriptor;
        let mut table = Table::open(args, &descriptor.inputs)?;
        let mut writer = Writer::create(args, descriptor)?;
        let bar = self.screen.bar("scoring", rows);
        let scored = loop {
            let batch = table.next_rows(BATCH)?;
            if batch.is_empty() {
                break Ok(());
            }
            match self.score_batch(&batch) {
                Ok(scores) => {
                    for (row, scores) in batch.iter().zip(&scores) {
                        writer.write(row, scores)?;
                    }
                    bar.inc(batch.len() as u64);
                }
                Err(trouble) => break Err(trouble),
            }
        };
        bar.finish_and_clear();
        match scored {
            Ok(()) => {
                writer.finish()?;
                let path = args.out.display();
                self.screen.note(&format!("{rows} rows scored: {path}"));
                Ok(())
            }
            Err(Trouble::Other(error)) => Err(Trouble::Other(error.context(writer.rest()))),
            changed => changed,
        }
    }

    /// Scores some rows; if the server has lost the key, with a new one.
    fn score_batch(&mut self, rows: &[Row]) -> Result<Vec<Scores>, Trouble> {
        let mut exchange = self.ask(rows)?;
        if let Err(error) = &exchange.responses
            && error.recovery == Recovery::UploadKey
        {
            self.screen.note(&format!("{error}; making a new one"));
            self.key.upload_new(self.api, self.screen)?;
            exchange = self.ask(rows)?;
        }
        let Exchange { queries, responses } = exchange;
        let responses = responses.map_err(|error| match error.recovery {
            Recovery::RefreshModel => Trouble::ModelChanged(error),
            _ => error.into(),
        })?;
        let pairs = queries.iter().zip(&responses);
        let secret = &self.key.secret;
        let scores: Result<_, ClientError> = pairs
            .map(|(query, response)| secret.decrypt(&self.model.descriptor, QueryId::of(query)?, response))
            .collect();
        Ok(scores?)
    }

    /// Encrypts rows and has them scored.
    fn ask(&self, rows: &[Row]) -> Result<Exchange, ClientError> {
        let secret = &self.key.secret;
        let encrypt = |row: &Row| secret.encrypt(&self.model.descriptor, &row.features);
        let queries: Vec<Vec<u8>> = rows.iter().map(encrypt).collect::<Result<_, _>>()?;
        let responses = self
            .api
            .score(self.model, secret.key_id(), &queries.concat(), rows.len());
        Ok(Exchange { queries, responses })
    }
}
