//! Decisions of a tree that clients walk themselves.

use serde::{Serialize, Serializer, ser::SerializeTuple};

/// A decision, or a leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Branch {
    /// A later decision of the tree, by its position.
    Decision(u32),
    /// A leaf, by its number.
    Leaf(u32),
}

impl Branch {
    /// Returns the number in descriptors: decisions from 1 (nothing leads to decision 0), leaves
    /// as -1, -2 and so on.
    fn code(self) -> i64 {
        match self {
            Self::Decision(place) => i64::from(place),
            Self::Leaf(leaf) => -1 - i64::from(leaf),
        }
    }

    /// Returns the branch of a number in a descriptor.
    pub(super) fn of(code: f64) -> Option<Self> {
        const MOST: f64 = u32::MAX as f64;
        match code {
            code if code.fract() != 0.0 || code.abs() >= MOST => None,
            code if code >= 0.0 => Some(Self::Decision(code as u32)),
            code => Some(Self::Leaf((-1.0 - code) as u32)),
        }
    }
}

/// A decision of a tree about one number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Decision {
    /// Slot of the number.
    pub of: u32,
    /// The first branch is taken by numbers of at most this.
    pub threshold: f64,
    /// Branches.
    pub branches: [Branch; 2],
    /// Whether a missing number takes the second branch.
    pub missing: bool,
}

impl Serialize for Decision {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let [first, second] = self.branches.map(Branch::code);
        let mut list = serializer.serialize_tuple(5)?;
        list.serialize_element(&self.of)?;
        list.serialize_element(&self.threshold)?;
        list.serialize_element(&first)?;
        list.serialize_element(&second)?;
        list.serialize_element(&u8::from(self.missing))?;
        list.end()
    }
}

/// Describes what is wrong with a tree, if anything is: branches lead to later decisions only, and
/// to every decision and every leaf once.
pub(super) fn problem(decisions: &[Decision]) -> Option<String> {
    if decisions.is_empty() {
        return Some("has no decisions".into());
    }
    let mut decided = vec![false; decisions.len()];
    let mut leaves = vec![false; decisions.len() + 1];
    for (place, decision) in decisions.iter().enumerate() {
        for branch in decision.branches {
            let seen = match branch {
                Branch::Decision(next) if next as usize > place => decided.get_mut(next as usize),
                Branch::Decision(_) => None,
                Branch::Leaf(leaf) => leaves.get_mut(leaf as usize),
            };
            match seen {
                Some(seen @ false) => *seen = true,
                _ => return Some(format!("has a branch of decision {place} to no place of its own")),
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use crate::encoding::Encoding;
    use serde_json::{Value, json};

    /// Returns why a tree of one column, and two leaves, is refused.
    fn refusal(tree: &Value) -> String {
        let json = json!({
            "columns": [{ "kind": "number" }],
            "steps": [{ "leaves": { "decisions": tree } }],
            "features": [[1, 2]],
        });
        let encoding: Result<Encoding, _> = serde_json::from_value(json);
        let checked = encoding
            .map_err(|error| error.to_string())
            .and_then(|encoding| encoding.check(2).map_err(|error| error.to_string()));
        checked.err().unwrap_or_default()
    }

    #[test]
    fn trees_that_lead_nowhere_are_refused() {
        assert_eq!(refusal(&json!([[0, 0.5, -1, -2, 0]])), "");
        for (tree, words) in [
            (json!([]), "has no decisions"),
            (json!([[0, 0.5, 0, -1, 0]]), "no place of its own"),
            (json!([[0, 0.5, 1, -1, 0]]), "no place of its own"),
            (json!([[0, 0.5, -1, -1, 0]]), "no place of its own"),
            (json!([[0, 0.5, -1, -3, 0]]), "no place of its own"),
            (json!([[0, 0.5, -1, -4294967294.0, 0]]), "no place of its own"),
            (
                json!([[0, 0.5, 1, -1, 0], [0, 0.5, 1, -2, 0]]),
                "no place of its own",
            ),
            (
                json!([[0, 0.5, 1, -1, 0], [0, 0.5, 0, -2, 0]]),
                "no place of its own",
            ),
            (json!([[1, 0.5, -1, -2, 0]]), "reads slot 1"),
            (json!([[0, 0.5, -1.5, -2, 0]]), "expected a slot, a threshold"),
            (json!([[0, 0.5, -1e10, -2, 0]]), "expected a slot, a threshold"),
            (json!([[0, 0.5, -1, -2, 2]]), "expected a slot, a threshold"),
            (json!([[0, 0.5, -1, -2]]), "expected a slot, a threshold"),
            (json!([[-1, 0.5, -1, -2, 0]]), "expected a slot, a threshold"),
            (json!([[0, 1e301, -1, -2, 0]]), "has the number 1e301"),
        ] {
            let refusal = refusal(&tree);
            assert!(refusal.contains(words), "{tree}: {refusal}");
        }
    }
}
