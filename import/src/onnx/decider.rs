//! What decides between classes.

use super::{averages::Average, linear::Linear, pairs::Pairs};
use crate::ImportError;
use blindscore_protocol::descriptor::{Link, Member};
use std::rc::Rc;

/// What decides between classes.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Decider {
    /// The largest of one score per class.
    Largest(Rc<Linear>),
    /// The largest probability of an average.
    Average(Rc<Average>),
    /// Votes among pairs of classes.
    Pairs(Pairs),
}

impl Decider {
    /// Returns whether another one has the same scores.
    pub(super) fn is_of(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Average(one), Self::Average(other)) => one.parts == other.parts,
            (Self::Pairs(one), Self::Pairs(other)) => {
                one.linear == other.linear && one.classes == other.classes
            }
            (one, other) => one == other,
        }
    }

    /// Returns the number of classes.
    pub(super) fn classes(&self) -> usize {
        match self {
            Self::Largest(linear) => linear.len(),
            Self::Average(average) => average.classes,
            Self::Pairs(pairs) => pairs.classes,
        }
    }

    /// Returns the names of the classes, if an operator gave them.
    pub(super) fn names(&self) -> Option<&[String]> {
        match self {
            Self::Largest(_) => None,
            Self::Average(average) => average.names.as_deref(),
            Self::Pairs(pairs) => pairs.names.as_deref(),
        }
    }

    /// Returns the scores, and how they become an answer.
    pub(super) fn scores(&self) -> Result<(Rc<Linear>, Link, Vec<Member>), ImportError> {
        match self {
            Self::Largest(linear) => Ok((linear.clone(), Link::Identity, Vec::new())),
            Self::Pairs(pairs) => Ok((pairs.linear.clone(), pairs.link, Vec::new())),
            Self::Average(average) => {
                let (linear, members) = average.members()?;
                Ok((linear.into(), Link::Mean, members))
            }
        }
    }

    /// Returns an upper bound of the size in memory, in bytes.
    pub(super) fn size(&self) -> usize {
        match self {
            Self::Largest(linear) => linear.size(),
            Self::Average(average) => average.size(),
            Self::Pairs(pairs) => pairs.size(),
        }
    }
}
