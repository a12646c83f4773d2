//! Models whose probabilities are averaged.

use super::{Curve, Link};
use serde::Serialize;

/// Largest difference of the weights' sum from 1, for rounding.
const ROUNDING: f64 = 1e-6;

/// One of several models that decide between the same classes, and whose probabilities are
/// averaged.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Member {
    /// Link function from its scores to its probabilities: `softmax`, `one-vs-rest`, `sigmoid`,
    /// `isotonic`, or `identity`, for which the class that the scores decide for has the
    /// probability 1.
    pub link: Link,
    /// Number of its scores: one for each class, or one between two classes.
    pub scores: usize,
    /// Its share of the mean. The shares add up to 1.
    pub weight: f64,
    /// For the link `isotonic`, the curve of each score.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub curves: Vec<Curve>,
}

impl Member {
    /// Returns whether the link and the number of scores give probabilities of so many classes.
    fn fits(&self, classes: usize) -> bool {
        if !self.curves.is_empty() && self.link != Link::Isotonic {
            return false;
        }
        match self.link {
            Link::Isotonic => {
                let between = if classes == 2 { 1 } else { classes };
                self.scores == between
                    && self.curves.len() == between
                    && self.curves.iter().all(Curve::is_valid)
            }
            Link::Sigmoid => self.scores == 1 && classes == 2,
            Link::Softmax | Link::OneVsRest | Link::Probability => self.scores == classes && classes > 1,
            Link::Identity => self.scores == classes && classes > 1 || self.scores == 1 && classes == 2,
            Link::Exp | Link::Mean | Link::OneVsOne | Link::Votes => false,
        }
    }

    /// Returns what is wrong with the members of a model with so many scores and classes.
    pub(super) fn problem(members: &[Self], scores: usize, classes: usize) -> Option<&'static str> {
        if members.is_empty() {
            return Some("has the link mean and no members");
        }
        if !members.iter().all(|member| member.fits(classes)) {
            return Some(
                "has a member whose link, scores and curves don't give a probability for each class",
            );
        }
        let count = members
            .iter()
            .try_fold(0usize, |sum, member| sum.checked_add(member.scores));
        if count != Some(scores) {
            return Some("has members with another number of scores than the model");
        }
        let sum: f64 = members.iter().map(|member| member.weight).sum();
        let in_range = |member: &Self| member.weight > 0.0 && member.weight <= 1.0;
        if !members.iter().all(in_range) || (sum - 1.0).abs() > ROUNDING {
            return Some("has members whose weights aren't positive or don't add up to one");
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(link: Link, scores: usize, weight: f64) -> Member {
        Member {
            link,
            scores,
            weight,
            curves: Vec::new(),
        }
    }

    #[test]
    fn an_isotonic_member_has_a_curve_for_each_score() {
        let curve = |last: f64| Curve {
            thresholds: vec![0.0, 1.0],
            probabilities: vec![0.0, last],
        };
        let fits = |link, scores, classes, curves: &[Curve]| {
            let one = Member {
                curves: curves.to_vec(),
                ..member(link, scores, 1.0)
            };
            Member::problem(&[one], scores, classes).is_none()
        };
        let rising = curve(1.0);
        assert!(fits(Link::Isotonic, 1, 2, std::slice::from_ref(&rising)));
        assert!(fits(Link::Isotonic, 3, 3, &vec![rising.clone(); 3]));
        for (link, scores, classes, curves) in [
            (Link::Isotonic, 1, 2, vec![]),
            (Link::Isotonic, 1, 3, vec![rising.clone()]),
            (Link::Isotonic, 2, 2, vec![rising.clone(); 2]),
            (Link::Isotonic, 3, 3, vec![rising.clone(); 2]),
            (Link::Isotonic, 1, 2, vec![curve(-1.0)]),
            (Link::Softmax, 3, 3, vec![rising.clone(); 3]),
            (Link::Sigmoid, 1, 2, vec![rising.clone()]),
        ] {
            assert!(
                !fits(link, scores, classes, &curves),
                "{link:?} of {scores}, {classes}"
            );
        }
    }

    #[test]
    fn members_give_probabilities_of_all_classes() {
        use Link::{Identity, Mean, OneVsRest, Sigmoid, Softmax};
        let fits = |members: &[Member], scores, classes| Member::problem(members, scores, classes).is_none();
        assert!(fits(
            &[
                member(Sigmoid, 1, 0.25),
                member(Softmax, 2, 0.5),
                member(Identity, 1, 0.25)
            ],
            4,
            2
        ));
        assert!(fits(&[member(OneVsRest, 3, 0.9), member(Identity, 3, 0.1)], 6, 3));
        for (members, scores, classes) in [
            (vec![], 0, 2),
            (vec![member(Sigmoid, 1, 1.0)], 1, 3),
            (vec![member(Softmax, 2, 1.0)], 2, 3),
            (vec![member(Identity, 1, 1.0)], 1, 3),
            (vec![member(Mean, 3, 1.0)], 3, 3),
            (vec![member(Softmax, 3, 1.0)], 4, 3),
            (vec![member(Softmax, 3, 0.5)], 3, 3),
            (vec![member(Softmax, 3, 1.5), member(Softmax, 3, -0.5)], 6, 3),
            (vec![member(Softmax, 3, f64::NAN)], 3, 3),
            (
                vec![member(Softmax, usize::MAX, 0.5), member(Softmax, 2, 0.5)],
                1,
                2,
            ),
        ] {
            assert!(!fits(&members, scores, classes), "{members:?}");
        }
    }
}
