//! Conversion of a drawing of any size to an image like MNIST's.
//!
//! MNIST's digits were scaled, keeping their proportions, to fit a box of 20x20 pixels, with
//! antialiasing, and put into 28x28 pixels with their centre of mass in the middle (LeCun, Cortes,
//! Burges, "The MNIST database"). Drawn digits must be prepared in the same way for a model trained
//! on MNIST.

/// Rows and columns of the result.
pub const SIDE: usize = 28;
/// Larger side of the drawing's bounding box, in pixels of the result.
const BOX: f64 = 20.0;
/// Position of the centre of mass, in pixels from the edge: the middle of pixel 14.
const CENTRE: f64 = 14.5;
/// Weakest ink that counts for the bounding box and the centre of mass.
const FAINT: u8 = 16;

/// Scales and centres `ink` (0 is paper, 255 is full ink; rows of `width` pixels) into 28x28
/// pixels.
///
/// Returns `None` if there is no ink, or if `ink` isn't `width * height` long.
pub fn normalize(ink: &[u8], width: usize, height: usize) -> Option<Vec<u8>> {
    if width.checked_mul(height)? != ink.len() {
        return None;
    }
    let extent = Extent::of(ink, width)?;
    // One pixel of the result is `pixel` source pixels wide.
    let pixel = extent.larger_side() as f64 / BOX;
    let (centre_x, centre_y) = extent.centre_of_mass;
    let columns = Coverage::all(centre_x, pixel, width);
    let rows = Coverage::all(centre_y, pixel, height);

    let image = rows.iter().flat_map(|row| {
        columns.iter().map(move |column| {
            let sum: f64 = row
                .weights()
                .map(|(y, weight)| {
                    let line = &ink[y * width..][..width];
                    weight
                        * column
                            .weights()
                            .map(|(x, weight)| weight * f64::from(line[x]))
                            .sum::<f64>()
                })
                .sum();
            (sum / (pixel * pixel)).round().min(255.0) as u8
        })
    });
    Some(image.collect())
}

/// Returns the ink of an RGBA pixel (alpha not premultiplied) of a dark drawing on light or clear
/// paper.
pub fn ink([red, green, blue, alpha]: [u8; 4]) -> u8 {
    // Luma of ITU-R BT.601, in thousandths.
    let luma = (299 * u32::from(red) + 587 * u32::from(green) + 114 * u32::from(blue)) / 1000;
    ((255 - luma) * u32::from(alpha) / 255) as u8
}

/// Bounding box and centre of mass of the ink.
struct Extent {
    x: (usize, usize),
    y: (usize, usize),
    centre_of_mass: (f64, f64),
}

impl Extent {
    fn of(ink: &[u8], width: usize) -> Option<Self> {
        let (mut x, mut y) = ((usize::MAX, 0), (usize::MAX, 0));
        let (mut mass, mut moment_x, mut moment_y) = (0.0, 0.0, 0.0);
        for (index, &value) in ink.iter().enumerate().filter(|(_, value)| **value >= FAINT) {
            let (column, row) = (index % width, index / width);
            x = (x.0.min(column), x.1.max(column));
            y = (y.0.min(row), y.1.max(row));
            let weight = f64::from(value);
            mass += weight;
            moment_x += weight * (column as f64 + 0.5);
            moment_y += weight * (row as f64 + 0.5);
        }
        (mass > 0.0).then(|| Self {
            x,
            y,
            centre_of_mass: (moment_x / mass, moment_y / mass),
        })
    }

    fn larger_side(&self) -> usize {
        (self.x.1 - self.x.0).max(self.y.1 - self.y.0) + 1
    }
}

/// Interval of source pixels that one row or column of the result covers.
struct Coverage {
    start: f64,
    end: f64,
}

impl Coverage {
    /// Returns the intervals of all rows (or columns), clipped to the source's `len` pixels.
    fn all(centre: f64, pixel: f64, len: usize) -> Vec<Self> {
        // `clamp` would bring the standard library's formatting of floats into the WebAssembly.
        let edge = |index: usize| {
            (centre + (index as f64 - CENTRE) * pixel)
                .max(0.0)
                .min(len as f64)
        };
        (0..SIDE)
            .map(|index| Self {
                start: edge(index),
                end: edge(index + 1),
            })
            .collect()
    }

    /// Returns the source pixels, and the share of each that is covered.
    fn weights(&self) -> impl Iterator<Item = (usize, f64)> + '_ {
        (self.start as usize..self.end.ceil() as usize).map(|pixel| {
            let from = self.start.max(pixel as f64);
            let to = self.end.min(pixel as f64 + 1.0);
            (pixel, (to - from).max(0.0))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Returns the image of a filled rectangle.
    fn rectangle(size: usize, x: usize, y: usize, w: usize, h: usize) -> Vec<u8> {
        (0..size * size)
            .map(|i| {
                if (x..x + w).contains(&(i % size)) && (y..y + h).contains(&(i / size)) {
                    255
                } else {
                    0
                }
            })
            .collect()
    }

    fn centre_of_mass(image: &[u8]) -> (f64, f64) {
        Extent::of(image, SIDE).unwrap().centre_of_mass
    }

    #[test]
    fn position_and_scale_do_not_matter() {
        let small = normalize(&rectangle(280, 10, 20, 40, 100), 280, 280).unwrap();
        let large = normalize(&rectangle(560, 300, 100, 80, 200), 560, 560).unwrap();
        assert_eq!(small, large);
        let (x, y) = centre_of_mass(&small);
        assert!((x - CENTRE).abs() < 0.02 && (y - CENTRE).abs() < 0.02, "{x} {y}");
        let inked_rows = (0..SIDE).filter(|row| small[row * SIDE + 14] > 250).count();
        assert!((19..=20).contains(&inked_rows), "{inked_rows} rows");
    }

    #[test]
    fn ink_is_dark_and_opaque() {
        assert_eq!(ink([0, 0, 0, 255]), 255);
        assert_eq!(ink([255, 255, 255, 255]), 0);
        assert_eq!(ink([0, 0, 0, 0]), 0);
        assert_eq!(ink([0, 0, 0, 51]), 51);
    }

    #[test]
    fn no_ink_and_wrong_sizes_give_nothing() {
        assert_eq!(normalize(&[0; 100], 10, 10), None);
        assert_eq!(normalize(&[255; 99], 10, 10), None);
        assert_eq!(normalize(&[], usize::MAX, 2), None);
        assert_eq!(normalize(&[], 0, 0), None);
    }

    proptest! {
        #[test]
        fn any_drawing_is_centred(ink in proptest::collection::vec(any::<u8>(), 400)) {
            let image = normalize(&ink, 20, 20).unwrap();
            prop_assert_eq!(image.len(), SIDE * SIDE);
        }

        #[test]
        fn any_rectangle_keeps_its_shape(x in 0usize..100, y in 0usize..100, w in 1usize..100, h in 1usize..100) {
            let image = normalize(&rectangle(200, x, y, w, h), 200, 200).unwrap();
            let (cx, cy) = centre_of_mass(&image);
            prop_assert!((cx - CENTRE).abs() < 0.3 && (cy - CENTRE).abs() < 0.3, "{cx} {cy}");
        }
    }
}
