//! Rounds rows of weights to integers so that the errors of their sums cancel out.
//!
//! Weights are rounded one after the other. What rounding changes about a row's sums on the
//! calibration rows is made up for, as far as it can be, by the weights that are still to be
//! rounded: numbers that are correlated can stand in for each other (optimal brain surgeon, Hassibi
//! and Stork, NeurIPS 1992; as an order of rounding, Frantar et al., *GPTQ*, ICLR 2023). Then
//! weights are moved by one, alone and in pairs, as long as that makes the variance of the errors
//! smaller, to which each number's own noise counts too.

/// Numbers with their covariances, prepared for rounding weights of them.
pub(crate) struct Rounding {
    /// Upper triangular factor `U` of the inverse of the covariances, `inverse = U^T U`, row by
    /// row.
    factor: Vec<f64>,
    /// The covariances, row by row.
    covariances: Vec<f64>,
    count: usize,
}

/// Share of the mean variance that is added to each, for numbers that depend on others.
const DAMPING: f64 = 1e-4;
/// Most numbers whose covariances are used: their inverse takes the third power of operations.
pub(super) const MOST_CORRELATED: usize = 1_200;
/// Most numbers for which pairs of weights are moved.
const MOST_PAIRS: usize = 64;
/// Most pairs of a row that are moved.
const MOST_PAIR_MOVES: usize = 24;
/// Most times that all weights of a row are gone through.
const MOST_SWEEPS: usize = 4;
/// Least change of a variance, as a part of the torus squared, for which a weight is moved.
const LEAST_CHANGE: f64 = 1e-16;

impl Rounding {
    /// Prepares numbers by their values on some rows, one list per number. `None` if there are too
    /// many to use their covariances, or none of them varies.
    pub(crate) fn of(numbers: &[Vec<f64>]) -> Option<Self> {
        let count = numbers.len();
        let rows = numbers.first().map_or(0, Vec::len);
        if count > MOST_CORRELATED || rows == 0 {
            return None;
        }
        let centred: Vec<Vec<f64>> = numbers
            .iter()
            .map(|values| {
                let mean = values.iter().sum::<f64>() / rows as f64;
                values.iter().map(|value| value - mean).collect()
            })
            .collect();
        let mut covariances = vec![0.0; count * count];
        for one in 0..count {
            for other in 0..=one {
                let products = centred[one].iter().zip(&centred[other]);
                let sum = products.map(|(one, other)| one * other).sum::<f64>() / rows as f64;
                covariances[one * count + other] = sum;
                covariances[other * count + one] = sum;
            }
        }
        let mean = (0..count)
            .map(|place| covariances[place * count + place])
            .sum::<f64>()
            / count as f64;
        if mean <= 0.0 {
            return None;
        }
        for place in 0..count {
            covariances[place * count + place] += DAMPING * mean;
        }
        let inverse = inverse(&lower(covariances.clone(), count)?, count);
        let lower = lower(inverse, count)?;
        let mut factor = vec![0.0; count * count];
        for row in 0..count {
            for column in 0..=row {
                factor[column * count + row] = lower[row * count + column];
            }
        }
        Some(Self {
            factor,
            covariances,
            count,
        })
    }

    /// Returns the variance of each number that those after it can't stand in for.
    pub(crate) fn remaining(&self) -> impl Iterator<Item = f64> {
        (0..self.count).map(|place| self.factor[place * self.count + place].powi(-2))
    }

    /// Rounds a row of weights, each to a multiple of its own step, and returns the multiples.
    /// `noise` is the variance of each number's own noise, by its multiple. Besides one by one,
    /// multiples are moved by `stride`.
    pub(crate) fn round(
        &self,
        weights: &[f64],
        steps: &[f64],
        noise: &dyn Fn(usize, f64) -> f64,
        stride: &dyn Fn(usize) -> f64,
        most: f64,
    ) -> Vec<f64> {
        let mut rest = weights.to_vec();
        let mut rounded = Vec::with_capacity(rest.len());
        for place in 0..rest.len() {
            let multiple = (rest[place] / steps[place]).round().clamp(-most, most);
            rounded.push(multiple);
            let row = &self.factor[place * self.count..][..self.count];
            let error = (rest[place] - multiple * steps[place]) / row[place];
            for (later, entry) in rest.iter_mut().zip(row).skip(place + 1) {
                *later -= error * entry;
            }
        }
        let errors = weights.iter().zip(steps).zip(&rounded);
        let errors: Vec<f64> = errors
            .map(|((weight, step), multiple)| weight - multiple * step)
            .collect();
        let mut search = Search {
            covariances: &self.covariances,
            steps,
            noise,
            stride,
            slopes: (0..self.count)
                .map(|place| dot(self.row(place), &errors))
                .collect(),
            rounded,
        };
        search.run();
        search.rounded
    }

    fn row(&self, place: usize) -> &[f64] {
        &self.covariances[place * self.count..][..self.count]
    }
}

/// Search for better multiples.
struct Search<'r> {
    covariances: &'r [f64],
    steps: &'r [f64],
    noise: &'r dyn Fn(usize, f64) -> f64,
    stride: &'r dyn Fn(usize) -> f64,
    rounded: Vec<f64>,
    /// Covariances times the errors of the weights.
    slopes: Vec<f64>,
}

impl Search<'_> {
    /// Moves weights as long as that is worthwhile.
    fn run(&mut self) {
        self.sweep();
        if self.rounded.len() <= MOST_PAIRS {
            for _ in 0..MOST_PAIR_MOVES {
                if !self.move_two() {
                    break;
                }
                self.sweep();
            }
        }
    }

    /// Moves one weight after the other, as long as that is worthwhile.
    fn sweep(&mut self) {
        for _ in 0..MOST_SWEEPS {
            let mut moved = false;
            for place in 0..self.rounded.len() {
                let stride = (self.stride)(place);
                for by in [1.0, -1.0, stride, -stride] {
                    if self.change(place, by) < -LEAST_CHANGE {
                        self.apply(place, by);
                        moved = true;
                        break;
                    }
                }
            }
            if !moved {
                break;
            }
        }
    }

    /// Returns by how much the variance changes if a multiple is moved.
    fn change(&self, place: usize, by: f64) -> f64 {
        let step = self.steps[place] * by;
        let own = self.covariances[place * self.rounded.len() + place];
        let now = self.rounded[place];
        step * (step * own - 2.0 * self.slopes[place]) + (self.noise)(place, now + by)
            - (self.noise)(place, now)
    }

    fn apply(&mut self, place: usize, by: f64) {
        self.rounded[place] += by;
        let row = &self.covariances[place * self.rounded.len()..][..self.rounded.len()];
        for (slope, entry) in self.slopes.iter_mut().zip(row) {
            *slope -= by * self.steps[place] * entry;
        }
    }

    fn moves(&self) -> impl Iterator<Item = (usize, f64, f64)> {
        let each = (0..self.rounded.len()).flat_map(|place| {
            let stride = (self.stride)(place);
            let further = if stride > 1.0 { &[stride, -stride][..] } else { &[] };
            let all = [1.0, -1.0].into_iter().chain(further.iter().copied());
            all.map(|by| (place, by)).collect::<Vec<_>>()
        });
        each.map(|(place, by)| (place, by, self.change(place, by)))
    }

    fn move_two(&mut self) -> bool {
        let moves: Vec<(usize, f64, f64)> = self.moves().collect();
        let count = self.rounded.len();
        let mut best = (-LEAST_CHANGE, None);
        for (index, (one, by_one, change_one)) in moves.iter().enumerate() {
            for (other, by_other, change_other) in &moves[index + 1..] {
                let both = self.covariances[one * count + other] * self.steps[*one] * self.steps[*other];
                let change = change_one + change_other + 2.0 * by_one * by_other * both;
                if one != other && change < best.0 {
                    best = (change, Some([(*one, *by_one), (*other, *by_other)]));
                }
            }
        }
        let found = best.1.is_some();
        for (place, by) in best.1.into_iter().flatten() {
            self.apply(place, by);
        }
        found
    }
}

fn dot(one: &[f64], other: &[f64]) -> f64 {
    one.iter().zip(other).map(|(one, other)| one * other).sum()
}

/// Returns the lower triangular factor `L` of a symmetric matrix, `L L^T`; `None` if it isn't
/// positive definite (Cholesky).
fn lower(mut matrix: Vec<f64>, count: usize) -> Option<Vec<f64>> {
    for row in 0..count {
        for column in 0..=row {
            let (one, other) = (
                &matrix[row * count..][..column],
                &matrix[column * count..][..column],
            );
            let product: f64 = one.iter().zip(other).map(|(one, other)| one * other).sum();
            let left = matrix[row * count + column] - product;
            matrix[row * count + column] = if row == column {
                if left <= 0.0 {
                    return None;
                }
                left.sqrt()
            } else {
                left / matrix[column * count + column]
            };
        }
        matrix[row * count + row + 1..(row + 1) * count].fill(0.0);
    }
    Some(matrix)
}

/// Returns the inverse of `L L^T`.
fn inverse(lower: &[f64], count: usize) -> Vec<f64> {
    // Columns of the inverse of L, as rows.
    let mut columns = vec![0.0; count * count];
    for column in 0..count {
        for row in column..count {
            let start = if row == column { 1.0 } else { 0.0 };
            let product: f64 = (column..row)
                .map(|place| lower[row * count + place] * columns[column * count + place])
                .sum();
            columns[column * count + row] = (start - product) / lower[row * count + row];
        }
    }
    let mut inverse = vec![0.0; count * count];
    for one in 0..count {
        for other in 0..=one {
            let (a, b) = (
                &columns[one * count + one..][..count - one],
                &columns[other * count + one..][..count - one],
            );
            let sum: f64 = a.iter().zip(b).map(|(a, b)| a * b).sum();
            inverse[one * count + other] = sum;
            inverse[other * count + one] = sum;
        }
    }
    inverse
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers that all are mixes of three.
    fn mixed(count: usize, rows: usize) -> Vec<Vec<f64>> {
        let hash = |a: usize, b: usize| {
            let mixed = (a * 7_919 + b * 104_729 + 12_345).wrapping_mul(2_654_435_761) % 100_003;
            mixed as f64 / 50_001.5 - 1.0
        };
        let number = |place: usize| {
            let value = |row: usize| {
                let own = hash(place + 500, row) * 0.05;
                own + (0..3)
                    .map(|source| hash(place, source + 900) * hash(source + 77, row))
                    .sum::<f64>()
            };
            (0..rows).map(value).collect()
        };
        (0..count).map(number).collect()
    }

    fn error(numbers: &[Vec<f64>], exact: &[f64], rounded: &[f64], step: f64) -> f64 {
        let rows = numbers[0].len();
        let differences: Vec<f64> = (0..rows)
            .map(|row| {
                let terms = numbers.iter().zip(exact.iter().zip(rounded));
                terms
                    .map(|(values, (exact, rounded))| (exact - rounded * step) * values[row])
                    .sum()
            })
            .collect();
        let mean = differences.iter().sum::<f64>() / rows as f64;
        (differences.iter().map(|d| (d - mean).powi(2)).sum::<f64>() / rows as f64).sqrt()
    }

    #[test]
    fn errors_of_correlated_numbers_cancel_out() {
        let numbers = mixed(24, 400);
        let rounding = Rounding::of(&numbers).unwrap();
        let weights: Vec<f64> = (0..24).map(|place| (place as f64 * 0.7).sin() * 3.0).collect();
        let steps = vec![1.0; 24];
        let rounded = rounding.round(&weights, &steps, &|_, _| 0.0, &|_| 1.0, 1e9);
        let nearest: Vec<f64> = weights.iter().map(|weight| weight.round()).collect();
        let (ours, plain) = (
            error(&numbers, &weights, &rounded, 1.0),
            error(&numbers, &weights, &nearest, 1.0),
        );
        assert!(ours < 0.3 * plain, "{ours} and {plain}");
        assert!(rounding.remaining().all(|variance| variance > 0.0));
    }

    #[test]
    fn the_inverse_and_its_factor_are_right() {
        let numbers = mixed(6, 100);
        let Rounding { factor, count, .. } = Rounding::of(&numbers).unwrap();
        // U (covariances) U^T is the identity.
        let rows = 100.0;
        let centred = |values: &Vec<f64>| {
            let mean = values.iter().sum::<f64>() / rows;
            values.iter().map(|value| value - mean).collect::<Vec<f64>>()
        };
        let centred: Vec<Vec<f64>> = numbers.iter().map(centred).collect();
        let mut covariances = vec![vec![0.0; count]; count];
        for one in 0..count {
            for other in 0..count {
                let products = centred[one].iter().zip(&centred[other]);
                covariances[one][other] = products.map(|(a, b)| a * b).sum::<f64>() / rows;
            }
        }
        let mean = (0..count).map(|place| covariances[place][place]).sum::<f64>() / count as f64;
        for (place, row) in covariances.iter_mut().enumerate() {
            row[place] += DAMPING * mean;
        }
        for one in 0..count {
            for other in 0..count {
                let mut sum = 0.0;
                for a in 0..count {
                    for b in 0..count {
                        sum += factor[one * count + a] * covariances[a][b] * factor[other * count + b];
                    }
                }
                let expected = if one == other { 1.0 } else { 0.0 };
                assert!((sum - expected).abs() < 1e-6, "{one} {other}: {sum}");
                if other < one {
                    assert_eq!(factor[one * count + other], 0.0);
                }
            }
        }
    }

    #[test]
    fn what_does_not_vary_is_rounded_to_the_nearest() {
        assert!(Rounding::of(&[vec![1.0; 5], vec![2.0; 5]]).is_none());
        assert!(Rounding::of(&[]).is_none());
    }
}
