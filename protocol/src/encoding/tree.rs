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
    /// Returns the number in descriptors: decisions from 1 (nothing leads to decision 0), leaves as -1, -2 and
    /// so on.
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
