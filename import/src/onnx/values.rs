//! Tensors of a graph while it is read, each kept until its last use.

use super::{Uses, value::Value};
use crate::{
    ImportError,
    bounds::{MOST_HELD, megabytes},
};
use std::collections::HashMap;

/// Values by the names of their tensors.
pub(super) struct Values<'g> {
    /// Remaining uses of each tensor.
    left: Uses<'g>,
    /// Values; `None` after the last use.
    values: HashMap<&'g str, Option<Value>>,
    held: u64,
}

impl<'g> Values<'g> {
    /// Creates an empty collection for tensors with these uses.
    pub(super) fn new(uses: &Uses<'g>) -> Self {
        Self {
            left: uses.clone(),
            values: HashMap::new(),
            held: 0,
        }
    }

    /// Returns whether an output depends on a tensor.
    pub(super) fn is_used(&self, name: &str) -> bool {
        self.left.contains_key(name)
    }

    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.values.get(name)?.as_ref()
    }

    /// Stores a tensor's value, if it is used.
    ///
    /// # Errors
    /// If the name is taken, or the values take too much memory.
    pub(super) fn insert(&mut self, name: &'g str, value: Value) -> Result<(), ImportError> {
        if name.is_empty() {
            return Ok(());
        }
        let kept = self.is_used(name).then_some(value);
        self.held += kept.as_ref().map_or(0, Value::size);
        if self.held > MOST_HELD {
            return Err(ImportError::Graph(format!(
                "the model's tensors up to {name:?} take more than {} at once, the limit",
                megabytes(MOST_HELD)
            )));
        }
        match self.values.insert(name, kept) {
            None => Ok(()),
            Some(_) => Err(ImportError::Graph(format!(
                "two tensors of the model are called {name:?}"
            ))),
        }
    }

    /// Puts another value in the place of one.
    pub(super) fn replace(&mut self, name: &str, value: Value) {
        if let Some(place) = self.values.get_mut(name) {
            *place = Some(value);
        }
    }

    /// Drops values after their last use by a node.
    pub(super) fn release(&mut self, names: &[String]) {
        for name in names {
            let Some(left) = self.left.get_mut(name.as_str()) else {
                continue;
            };
            *left = left.saturating_sub(1);
            if *left == 0
                && let Some(value) = self.values.get_mut(name.as_str()).and_then(Option::take)
            {
                self.held = self.held.saturating_sub(value.size());
            }
        }
    }
}
