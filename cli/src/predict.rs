//! `blindscore predict`: scores the rows of a file, and recovers from a lost key or a changed
//! model.

use crate::{
    api::{Api, ServedModel},
    args::PredictArgs,
    destination::Destination,
    key::Key,
    screen::Screen,
    table::{Row, Survey, Table},
    trouble::HttpError,
    writer::{Writer, check_names},
};
use anyhow::{bail, ensure};
use blindscore_client::{ClientError, Scores, check_features};
use blindscore_protocol::{descriptor::Inputs, policy::BATCH_QUERIES, problem::Recovery, wire::QueryId};

/// Maximum number of times that a run starts because the model has changed.
const MOST_STARTS: usize = 3;
/// Maximum number of complaints shown before the first row is sent.
const SHOWN: usize = 3;

/// Why rows were not scored.
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

/// Queries sent, and the responses to them.
struct Exchange {
    queries: Vec<Vec<u8>>,
    responses: Result<Vec<Vec<u8>>, HttpError>,
}

/// Scoring of a whole file with one model and one key.
struct Run<'a> {
    api: &'a Api,
    screen: &'a Screen,
    args: &'a PredictArgs,
    destination: &'a Destination,
    survey: &'a Survey,
    model: ServedModel,
    key: Key,
    /// Features sent in place of rows that the model can't take.
    blank: Vec<f64>,
}

/// Scores a file and returns the number of rows that could not be scored.
pub(crate) fn run(args: &PredictArgs) -> anyhow::Result<u64> {
    let destination = Destination::of(&args.out)?;
    destination.spare(&args.csv)?;
    let screen = Screen::default();
    let api = Api::new(&args.model, screen.clone())?;
    let model = api.model(&args.model)?;
    let inputs = &model.descriptor.inputs;
    // Nothing is sent, not even a key, before every row has been checked.
    let survey = Survey::of(args.file(), inputs, args.strict)?;
    check_names(&survey.first_column, &model.descriptor, args.raw_labels)?;
    let mut run = Run {
        api: &api,
        screen: &screen,
        args,
        destination: &destination,
        survey: &survey,
        blank: blank(inputs)?,
        key: Key::open(&args.model, &model)?,
        model,
    };
    run.announce();
    for start in 1.. {
        match run.score_file() {
            Ok(()) => break,
            Err(Trouble::Other(error)) => return Err(error),
            Err(Trouble::ModelChanged(error)) if start == MOST_STARTS => return Err(error.into()),
            Err(Trouble::ModelChanged(error)) => run.renew(&error)?,
        }
    }
    Ok(survey.refused)
}

/// Returns features that every model with these inputs takes: each at its minimum, or at the centre
/// of the ball.
fn blank(inputs: &Inputs) -> anyhow::Result<Vec<f64>> {
    let centre = inputs.norm.map_or(0.0, |norm| norm.centre);
    let feature = |index| {
        let (min, max) = inputs.range(index);
        (min + centre * (max - min)).clamp(min, max)
    };
    let blank: Vec<f64> = (0..inputs.count).map(feature).collect();
    if let Err(error) = check_features(inputs, &blank) {
        bail!("the model can't be used: its ranges exclude their own centre: {error}");
    }
    Ok(blank)
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

    /// Replaces the model that the rows were checked against with the server's current one, if
    /// nothing that was agreed to differs. Whether rows are sent again must not depend on ranges
    /// that the server has chosen since.
    fn renew(&mut self, error: &HttpError) -> anyhow::Result<()> {
        let now = self.api.model(&self.args.model)?;
        if let Some(difference) = now.descriptor.difference(&self.model.descriptor) {
            bail!(
                "model_changed: {error}; nothing more was sent, because the model is not the one that the rows were checked against: \
                 {difference}. Running the command again accepts this"
            );
        }
        self.screen.note(&format!("{error}; all rows are scored again"));
        self.model = now;
        Ok(())
    }

    fn score_file(&mut self) -> Result<(), Trouble> {
        self.key.ensure_uploaded(self.api, self.screen)?;
        let inputs = self.model.descriptor.inputs.clone();
        let mut table = Table::open(self.args.file(), &inputs)?;
        let Survey {
            rows,
            refused,
            first_column,
            ..
        } = self.survey;
        let mut writer = Writer::create(
            self.destination,
            first_column,
            &self.model.descriptor,
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
                    let (name, pin) = (&self.args.model.model, self.model.descriptor.pin());
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
        &mut self,
        table: &mut Table<'_>,
        writer: &mut Writer<'_>,
        done: impl Fn(u64),
    ) -> Result<u64, Trouble> {
        let mut found = 0;
        loop {
            // The model may allow fewer queries than clients usually send.
            let most = self.model.descriptor.blob_sizes().queries_per_request();
            let batch = table.next_rows(BATCH_QUERIES.min(most))?;
            if batch.is_empty() {
                return Ok(found);
            }
            for (row, scores) in batch.iter().zip(self.score_batch(&batch)?) {
                match &row.features {
                    Ok(_) => writer.write(row, &scores)?,
                    Err(refusal) => writer.refuse(row, refusal)?,
                }
            }
            found += batch.len() as u64;
            done(batch.len() as u64);
        }
    }

    /// Scores some rows; if the server has lost the key, retries with a new one.
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

    /// Encrypts rows and has them scored. A blank row is sent in place of each row that the model
    /// can't take, and its response is dropped, so that the server can't tell how many rows are in
    /// the ranges that it states.
    fn ask(&self, rows: &[Row]) -> Result<Exchange, ClientError> {
        let secret = &self.key.secret;
        let encrypt = |row: &Row| {
            let features = row.features.as_ref().unwrap_or(&self.blank);
            secret.encrypt(&self.model.descriptor, features)
        };
        let queries: Vec<Vec<u8>> = rows.iter().map(encrypt).collect::<Result<_, _>>()?;
        let responses = self
            .api
            .score(&self.model, secret.key_id(), &queries.concat(), rows.len());
        Ok(Exchange { queries, responses })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use blindscore_protocol::descriptor::{Feature, NormBound};

    #[test]
    fn every_model_takes_a_blank_row() {
        let ranges = [(0.0, 9.0), (-1e300, -9e299), (0.1, 0.3), (-5.0, 1e-300)];
        let features = ranges.map(|(min, max)| Feature { name: None, min, max });
        for centre in [0.0, 0.1, 0.5, 1.0] {
            for norm in [None, Some(NormBound { centre, max: 1e-9 })] {
                let inputs = Inputs {
                    features: Some(features.to_vec()),
                    norm,
                    ..Inputs::uniform(features.len(), -1e300, 9.0, 11)
                };
                assert!(blank(&inputs).is_ok(), "{norm:?}");
            }
        }
    }
}
