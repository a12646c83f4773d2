//! Deskewing of handwritten characters. Some models expect deskewed inputs, so clients and
//! plaintext models share this code.

/// Threshold below which an image's total ink, or its variance over rows, counts as zero.
const NOTHING: f64 = 1e-9;

/// Shears an image so that its main direction is upright, and moves its centre of mass to the pixel
/// at `(width / 2, height / 2)`, with bilinear interpolation. The image is given in rows of `width`
/// ink values, with 0 for paper. An image without ink is returned unchanged.
///
/// The slant is the slope of the regression of columns on rows, `cov(x, y) / var(y)`, clamped to
/// one pixel per row.
pub fn deskew(ink: &[f64], width: usize) -> Vec<f64> {
    let height = ink.len() / width.max(1);
    let pixels = || (0..height).flat_map(move |y| (0..width).map(move |x| (x, y)));
    let weighted = |value: &dyn Fn(f64, f64) -> f64| -> f64 {
        pixels()
            .zip(ink)
            .map(|((x, y), ink)| ink * value(x as f64, y as f64))
            .sum()
    };
    let mass = weighted(&|_, _| 1.0);
    if mass < NOTHING {
        return ink.to_vec();
    }
    let (centre_x, centre_y) = (weighted(&|x, _| x) / mass, weighted(&|_, y| y) / mass);
    let covariance = weighted(&|x, y| (x - centre_x) * (y - centre_y));
    let variance = weighted(&|_, y| (y - centre_y) * (y - centre_y));
    let slant = (covariance / variance.max(NOTHING)).clamp(-1.0, 1.0);
    let pixel = |x: f64, y: f64| {
        let inside = (0.0..width as f64).contains(&x) && (0.0..height as f64).contains(&y);
        if inside {
            ink[y as usize * width + x as usize]
        } else {
            0.0
        }
    };
    let straight = pixels().map(|(x, y)| {
        let up = y as f64 - (height / 2) as f64;
        let source_x = centre_x + x as f64 - (width / 2) as f64 + slant * up;
        let source_y = centre_y + up;
        let (left, top) = (source_x.floor(), source_y.floor());
        let (share_x, share_y) = (source_x - left, source_y - top);
        let row = |y: f64| pixel(left, y) * (1.0 - share_x) + pixel(left + 1.0, y) * share_x;
        row(top) * (1.0 - share_y) + row(top + 1.0) * share_y
    });
    straight.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SIDE: usize = 28;

    /// Returns a stroke two pixels wide that leans `slant` columns per row.
    fn stroke(slant: f64) -> Vec<f64> {
        let mut ink = vec![0.0; SIDE * SIDE];
        for y in 5..23 {
            let x = 14.0 + slant * (y as f64 - 14.0);
            for (pixel, share) in [
                (x.floor(), 1.0 - x.fract()),
                (x.floor() + 1.0, 1.0),
                (x.floor() + 2.0, x.fract()),
            ] {
                ink[y * SIDE + pixel as usize] = share;
            }
        }
        ink
    }

    #[test]
    fn strokes_become_upright() {
        for slant in [-0.6, -0.2, 0.0, 0.3, 0.5] {
            let straight = deskew(&stroke(slant), SIDE);
            // All but the ends of the stroke is in the middle columns.
            let inside: f64 = straight
                .iter()
                .enumerate()
                .filter(|(i, _)| (12..=16).contains(&(i % SIDE)))
                .map(|(_, v)| v)
                .sum();
            let all: f64 = straight.iter().sum();
            assert!(inside > 0.98 * all && all > 30.0, "{slant}: {inside} of {all}");
        }
    }

    #[test]
    fn nothing_stays_nothing() {
        assert_eq!(deskew(&[0.0; 12], 4), [0.0; 12]);
        let mut dot = vec![0.0; SIDE * SIDE];
        dot[3 * SIDE + 20] = 1.0;
        let moved = deskew(&dot, SIDE);
        assert_eq!(moved[14 * SIDE + 14], 1.0);
    }

    proptest! {
        #[test]
        fn values_stay_between_the_smallest_and_the_largest(ink in prop::collection::vec(0.0f64..=1.0, 35)) {
            let largest = ink.iter().copied().fold(0.0, f64::max);
            for value in deskew(&ink, 7) {
                prop_assert!((0.0..=largest + 1e-12).contains(&value));
            }
        }
    }
}
