//! Lists of slots.

use serde::Serialize;

/// Slots in order, as ranges `[first, count]`.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Slots(Vec<[u32; 2]>);

impl Slots {
    /// Returns the slots, in order.
    pub fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.0
            .iter()
            .flat_map(|&[first, count]| (0..count).map(move |place| first as usize + place as usize))
    }

    pub(super) const fn of_ranges(ranges: Vec<[u32; 2]>) -> Self {
        Self(ranges)
    }

    /// Returns the ranges of consecutive slots.
    pub(super) fn ranges(&self) -> &[[u32; 2]] {
        &self.0
    }

    /// Returns the number of slots, without a bound.
    pub fn len(&self) -> usize {
        let count = |range: &[u32; 2]| range[1] as usize;
        self.0.iter().map(count).fold(0, usize::saturating_add)
    }

    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Collects slots below 2^32, joining consecutive ones.
impl FromIterator<usize> for Slots {
    fn from_iter<I: IntoIterator<Item = usize>>(slots: I) -> Self {
        let mut ranges: Vec<[u32; 2]> = Vec::new();
        for slot in slots {
            let slot = u32::try_from(slot).unwrap_or(u32::MAX);
            match ranges.last_mut() {
                Some([first, count]) if *first + *count == slot => *count += 1,
                _ => ranges.push([slot, 1]),
            }
        }
        Self(ranges)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn consecutive_slots_are_one_range() {
        let slots: Slots = [3, 4, 5, 1, 2, 9].into_iter().collect();
        assert_eq!(slots.ranges(), [[3, 3], [1, 2], [9, 1]]);
        assert_eq!(slots.iter().collect::<Vec<_>>(), [3, 4, 5, 1, 2, 9]);
        assert_eq!(slots.len(), 6);
        assert!(Slots::default().is_empty());
    }
}
