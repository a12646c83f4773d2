//! Operators on categories: they become steps of the public part.

use super::Node;
use crate::{
    ImportError,
    bounds::MOST_NAME,
    onnx::{column::Columns, constant::Constant, value::Value},
};
use blindscore_protocol::encoding::{Categories, MISSING_CATEGORY, Step, Unknown};

/// Number that stands for a missing one among categories, which no record has.
const MISSING_NUMBER: f64 = -9.876_543_21e299;

fn has_missing_last(categories: &Categories) -> bool {
    match categories {
        Categories::Texts(texts) => texts.last().is_some_and(|text| text == MISSING_CATEGORY),
        Categories::Numbers(numbers) => numbers.last().is_some_and(|number| number.is_nan()),
    }
}

fn drop_last(categories: &mut Categories) {
    match categories {
        Categories::Texts(texts) => drop(texts.pop()),
        Categories::Numbers(numbers) => drop(numbers.pop()),
    }
}

impl Node<'_> {
    /// Returns a column per category: 1 for the one that a cell is, 0 for the others.
    pub(super) fn one_hot(&self, value: &Value) -> Result<Value, ImportError> {
        let attributes = self.attributes();
        let texts = attributes.strings("cats_strings").unwrap_or_default();
        let numbers: Vec<f64> = attributes
            .ints("cats_int64s")
            .unwrap_or_default()
            .iter()
            .map(|&number| number as f64)
            .collect();
        let categories = match (texts.is_empty(), numbers.is_empty()) {
            (false, true) => Categories::Texts(texts),
            (true, false) => Categories::Numbers(numbers),
            _ => return self.refuse(" without categories, or with two lists of them"),
        };
        self.check_names(&categories)?;
        if let Categories::Texts(texts) = &categories
            && texts.iter().filter(|text| *text == MISSING_CATEGORY).count() > 1
        {
            return self.refuse(
                " with min_frequency or max_categories and missing values, which skl2onnx writes twice: give missing cells a category of their own in \
                 your data",
            );
        }
        let unknown = if attributes.int("zeros", 1) == 0 {
            Unknown::Refuse
        } else {
            Unknown::Value(0.0)
        };
        let (slots, vector) = self.cells(value, &categories)?;
        let width = categories.len();
        let mut results = Vec::new();
        for slot in slots {
            results.extend(self.step(Step::OneHot {
                of: slot as u32,
                categories: categories.clone(),
                unknown,
            })?);
        }
        let columns = Columns::plain(results, false);
        let whole = columns
            .columns
            .into_iter()
            .map(|column| crate::onnx::column::Column {
                whole: true,
                ..column
            });
        let columns = Columns {
            columns: whole.collect(),
            integers: false,
            vector: false,
        };
        Ok(if vector {
            Value::Features(columns.into())
        } else {
            self.grid(&columns.into(), width)
        })
    }

    /// Replaces categories by numbers (OrdinalEncoder, TargetEncoder).
    pub(super) fn label_encoder(&self, value: &Value) -> Result<Value, ImportError> {
        let attributes = self.attributes();
        let floats = |name: &str| Some(attributes.floats(name)).filter(|floats| !floats.is_empty());
        let integers = |name: &str| -> Option<Vec<f64>> {
            let integers = attributes.ints(name).filter(|integers| !integers.is_empty())?;
            Some(integers.iter().map(|&number| number as f64).collect())
        };
        let tensor = |name: &str| match attributes.tensor(name).map(Constant::of) {
            None => Ok(None),
            Some(Ok(constant)) => Ok(Some(constant)),
            Some(Err(why)) => self.refuse(format!(": {name} {why}")),
        };
        let (key_tensor, value_tensor) = (tensor("keys_tensor")?, tensor("values_tensor")?);
        let texts = attributes.strings("keys_strings").filter(|keys| !keys.is_empty());
        let texts = texts.or_else(|| {
            let constant = key_tensor
                .as_ref()
                .filter(|constant| constant.numbers.is_empty())?;
            Some(constant.texts.clone())
        });
        let numbers = floats("keys_floats")
            .or_else(|| integers("keys_int64s"))
            .or_else(|| Some(key_tensor?.numbers).filter(|numbers| !numbers.is_empty()));
        let mut categories = match (texts, numbers) {
            (Some(texts), None) => Categories::Texts(texts),
            (None, Some(numbers)) => Categories::Numbers(numbers),
            _ => return self.refuse(" without keys, or with two lists of them"),
        };
        self.check_names(&categories)?;
        let values = floats("values_floats")
            .or_else(|| integers("values_int64s"))
            .or_else(|| Some(value_tensor?.numbers).filter(|numbers| !numbers.is_empty()));
        let Some(mut values) = values.filter(|values| values.len() == categories.len()) else {
            return self.refuse(" whose values aren't numbers, one for each key");
        };
        // The specification's defaults are -0.0 and -1; scikit-learn refuses or maps unknown
        // values.
        let default = match tensor("default_tensor")? {
            Some(constant) => constant.numbers.first().copied(),
            None => attributes
                .get("default_float")
                .map(|attribute| f64::from(attribute.f))
                .or_else(|| {
                    attributes
                        .get("default_int64")
                        .map(|attribute| attribute.i as f64)
                }),
        };
        let unknown = match default {
            Some(value) if value.is_finite() => Unknown::Value(value),
            _ => Unknown::Refuse,
        };
        let (mut slots, vector) = self.cells(value, &categories)?;
        let mut distinct = values.clone();
        distinct.sort_by(f64::total_cmp);
        distinct.dedup();
        if attributes.get("values_int64s").is_some()
            && distinct.len() < values.len()
            && self.context.plan.is_array()
        {
            return self.refuse(
                ": OrdinalEncoder with min_frequency or max_categories is written with the rare categories of the first column for all columns. \
                 Convert the pipeline with an input for each column, as of a data frame",
            );
        }
        // scikit-learn's OrdinalEncoder has missing values last, and gives no number for them.
        let is_last = has_missing_last(&categories) && values.last() == Some(&(values.len() as f64 - 1.0));
        if is_last && attributes.get("values_int64s").is_some() {
            if unknown != Unknown::Refuse {
                return self.refuse(
                    ": OrdinalEncoder was fitted with missing values, for which it gives no number. Give it one: encoded_missing_value=-2",
                );
            }
            drop_last(&mut categories);
            values.pop();
        }
        if let Categories::Numbers(numbers) = &mut categories
            && let Some(missing) = numbers.iter().position(|number| number.is_nan())
        {
            numbers[missing] = MISSING_NUMBER;
            slots = self.step(Step::Impute {
                values: vec![MISSING_NUMBER; slots.len()],
                of: slots.into_iter().collect(),
            })?;
        }
        let mut results = Vec::new();
        for slot in slots {
            results.extend(self.step(Step::Lookup {
                of: slot as u32,
                categories: categories.clone(),
                values: values.clone(),
                unknown,
            })?);
        }
        let integers = attributes.get("values_int64s").is_some();
        Ok(Value::Features(
            Columns {
                vector,
                ..Columns::plain(results, integers)
            }
            .into(),
        ))
    }

    /// Returns the slots of the cells that are compared with categories, and whether they have lost
    /// their axis.
    fn cells(&self, value: &Value, categories: &Categories) -> Result<(Vec<usize>, bool), ImportError> {
        match (value, categories) {
            (Value::Texts(texts), Categories::Texts(_)) => Ok((texts.slots.clone(), texts.vector)),
            (Value::Features(columns), Categories::Numbers(_)) => {
                for column in columns.columns.iter().filter(|column| !column.rounded) {
                    self.context.plan.keep_exact(column.slot);
                }
                Ok((self.slots(columns)?, columns.vector))
            }
            _ => self.refuse(self.what_it_gets()),
        }
    }

    fn check_names(&self, categories: &Categories) -> Result<(), ImportError> {
        match categories {
            Categories::Texts(texts) if texts.iter().any(|text| text.len() > MOST_NAME) => {
                self.refuse(format!(" with a category of more than {MOST_NAME} bytes"))
            }
            _ => Ok(()),
        }
    }
}
