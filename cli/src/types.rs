//! `types`: TypeScript types of a model's records.

use crate::{args::ConnectionArgs, screen::Screen};
use anyhow::bail;
use blindscore_client::Encoder;
use blindscore_protocol::{
    descriptor::{ModelDescriptor, Task},
    encoding::{Categories, Column, ColumnKind, Encoding, Step},
    name::ModelAddress,
};
use blindscore_remote::{Api, ServerUrl, text::one_line};
use clap::Args;
use std::{fmt::Write as _, io::Write as _, sync::Arc};

const EXAMPLES: &str = "\
Examples:
  blindscore types https://scores.example churn > src/churn.d.ts

In the program:
  import type { ChurnRecord } from \"./churn.js\";
  const client = await Blindscore.connect<ChurnRecord>(\"https://scores.example\", { model: \"churn\" });
  const { label } = await client.predict({ age: 39, job: \"clerk\" });";

/// Most categories that a type lists; with more, it is any string.
const LISTED: usize = 200;

/// Write TypeScript types of a model's records to standard output
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct TypesArgs {
    /// Address of the server
    #[arg(env = "BLINDSCORE_URL", value_name = "URL", value_parser = str::parse::<ServerUrl>)]
    url: ServerUrl,

    /// Name of the model on the server
    #[arg(env = "BLINDSCORE_MODEL", value_name = "MODEL")]
    model: ModelAddress,

    /// Token to send as `Authorization: Bearer TOKEN`; prefer the variable, which other users of
    /// the machine can't see
    #[arg(long, env = "BLINDSCORE_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    token: Option<String>,

    #[command(flatten)]
    connection: ConnectionArgs,
}

/// Prints the types.
pub(crate) fn run(args: TypesArgs) -> anyhow::Result<()> {
    let connection = args.connection.to(&args.url, args.token.as_deref());
    let api = Api::new(connection, Arc::new(Screen::default()))?;
    let model = api.model(&args.model, None)?;
    let Some(types) = types(&model.descriptor) else {
        bail!(
            "the model takes {} numbers without names: its input is `ArrayLike<number>`, and needs no types of its own",
            model.descriptor.inputs.count
        );
    };
    std::io::stdout().lock().write_all(types.as_bytes())?;
    Ok(())
}

/// Returns the declarations for a model's records; `None` if its columns have no names.
fn types(model: &ModelDescriptor) -> Option<String> {
    let encoder = Encoder::new(&model.inputs);
    let mut fields = String::new();
    for (index, column) in encoder.columns().iter().enumerate() {
        let name = column.name.as_deref()?;
        let optional = if encoder.takes_missing(index) { "?" } else { "" };
        let missing = if encoder.takes_missing(index) {
            " | null"
        } else {
            ""
        };
        let kind = kind(column, index, &encoder, model.inputs.encoding.as_ref());
        // Writing to a string can't fail.
        let _ = writeln!(fields, "  {}{optional}: {kind}{missing};", quoted(name));
    }
    let name = type_name(&model.name);
    let labels: Vec<String> = match (&model.classes, model.task) {
        (Some(classes), _) => classes.iter().map(|label| quoted(label)).collect(),
        (None, Task::Classification) => model.outputs.iter().map(|output| quoted(&output.label)).collect(),
        (None, _) => Vec::new(),
    };
    let label = if labels.is_empty() {
        String::new()
    } else {
        format!(
            "\n/** Classes that the model decides for. */\nexport type {name}Label = {};\n",
            labels.join(" | ")
        )
    };
    Some(format!(
        "// Written by `blindscore types` for the model {} ({}).\n\n/** Record that the model takes. */\nexport type {name}Record = {{\n{fields}}};\n{label}",
        one_line(&model.name),
        model.pin()
    ))
}

/// Returns the type of a column.
fn kind(column: &Column, index: usize, encoder: &Encoder, encoding: Option<&Encoding>) -> String {
    let known = match column.kind {
        ColumnKind::Number | ColumnKind::Integer => return "number".into(),
        ColumnKind::Flag => return "boolean".into(),
        ColumnKind::Text => return "string".into(),
        ColumnKind::Category => encoding
            .iter()
            .flat_map(|encoding| &encoding.steps)
            .find_map(|step| match step {
                Step::OneHot {
                    of,
                    categories: Categories::Texts(texts),
                    ..
                }
                | Step::Lookup {
                    of,
                    categories: Categories::Texts(texts),
                    ..
                } if *of as usize == index => Some(texts),
                _ => None,
            }),
    };
    let Some(known) = known.filter(|known| known.len() <= LISTED) else {
        return "string".into();
    };
    let listed: Vec<String> = known.iter().map(|text| quoted(text)).collect();
    if encoder.categories(index).is_some() {
        listed.join(" | ")
    } else {
        // Other texts are allowed, and editors suggest these.
        format!("{} | (string & {{}})", listed.join(" | "))
    }
}

/// Returns a text as a string literal, safe within a program.
fn quoted(text: &str) -> String {
    let mut literal = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => literal.extend(['\\', c]),
            c if c.is_control()
                || ('\u{2028}'..='\u{202e}').contains(&c)
                || ('\u{2066}'..='\u{2069}').contains(&c) =>
            {
                let _ = write!(literal, "\\u{{{:x}}}", u32::from(c));
            }
            c => literal.push(c),
        }
    }
    literal.push('"');
    literal
}

/// Returns a model's name as the start of a type's name: `churn-net@2` is `ChurnNet2`.
fn type_name(name: &str) -> String {
    let words = name.split(|c: char| !c.is_ascii_alphanumeric());
    let capital = |word: &str| {
        let (first, rest) = word.split_at(word.len().min(1));
        first.to_ascii_uppercase() + rest
    };
    let name: String = words.map(capital).collect();
    if name.starts_with(|c: char| c.is_ascii_digit()) || name.is_empty() {
        format!("Model{name}")
    } else {
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_texts_are_safe_in_a_program() {
        assert_eq!(type_name("churn-net@2"), "ChurnNet2");
        assert_eq!(type_name("9"), "Model9");
        assert_eq!(quoted("a\"; x\\\n\u{2028}ä"), "\"a\\\"; x\\\\\\u{a}\\u{2028}ä\"");
    }

    #[test]
    fn each_kind_of_column_has_its_type() {
        let model: ModelDescriptor = serde_json::from_value(serde_json::json!({
            "name": "churn", "id": "0".repeat(32), "title": "", "formats": [3], "parameter_set": "linear-n2048-v3",
            "inputs": {
                "count": 6, "min": 0, "max": 1, "levels": 2,
                "encoding": {
                    "columns": [
                        { "name": "age", "kind": "number" },
                        { "name": "debt ratio", "kind": "number" },
                        { "name": "member", "kind": "flag" },
                        { "name": "job", "kind": "category" },
                        { "name": "town", "kind": "category" },
                    ],
                    "steps": [
                        { "impute": { "of": [[1, 1]], "values": [0.5] } },
                        { "one-hot": { "from": 3, "categories": { "texts": ["clerk", "nurse"] }, "unknown": "refuse" } },
                        { "one-hot": { "from": 4, "categories": { "texts": ["Ulm"] }, "unknown": { "value": 0 } } },
                    ],
                    "features": [[0, 1], [2, 1], [5, 4]],
                },
            },
            "input_step": 1, "outputs": [{ "label": "yes", "offset": 0, "half_range": 1 }], "link": "sigmoid",
            "task": "classification", "classes": ["no", "yes"],
            "sizes": { "public_key": 1, "query": 1, "response": 1 }, "score_error": 0.1,
        }))
        .unwrap();
        let types = types(&model).unwrap();
        for line in [
            "  \"age\": number;",
            "  \"debt ratio\"?: number | null;",
            "  \"member\": boolean;",
            "  \"job\": \"clerk\" | \"nurse\";",
            "  \"town\"?: \"Ulm\" | (string & {}) | null;",
            "export type ChurnLabel = \"no\" | \"yes\";",
        ] {
            assert!(types.contains(line), "{line}\n{types}");
        }
    }
}
