//! Text files of images and of scores: one a line, its numbers separated by spaces.

use crate::{
    error::Error,
    files::{self, Size},
};
use blindscore_protocol::deskew::deskew;
use rayon::prelude::*;
use std::path::Path;

/// Width of an image in pixels.
const WIDTH: usize = 28;
/// Number of an image's pixels.
pub(crate) const PIXELS: usize = WIDTH * WIDTH;

/// Largest text file: 10,000 images with all digits of their pixels have 200 MB.
const TEXT_BYTES: u64 = 400_000_000;

/// Reads the images of an instance: ink from 0 to 1, row by row.
pub(crate) fn read(path: &Path, stage: &'static str, size: Size) -> Result<Vec<Vec<f64>>, Error> {
    let images = rows(path, stage, PIXELS)?;
    let allowed = size.images();
    if !allowed.contains(&images.len()) {
        return Err(Error::Count {
            path: path.to_owned(),
            what: "images",
            found: images.len(),
            allowed: format!(
                "an instance of this size has {} to {}",
                allowed.start(),
                allowed.end()
            ),
        });
    }
    for (index, image) in images.iter().enumerate() {
        if let Some(pixel) = image.iter().find(|pixel| !(0.0..=1.0).contains(*pixel)) {
            return Err(Error::Line {
                path: path.to_owned(),
                line: index + 1,
                problem: format!("a pixel is {pixel}, and ink is from 0 to 1"),
            });
        }
    }
    Ok(images)
}

/// Returns an image sheared upright and centred.
pub(crate) fn straightened(image: &[f64]) -> Vec<f64> {
    // Rounding may leave a mean of pixels just above 1.
    let straight = deskew(image, WIDTH).into_iter();
    straight.map(|ink| ink.clamp(0.0, 1.0)).collect()
}

/// Reads lines of `width` numbers each.
pub(crate) fn rows(path: &Path, stage: &'static str, width: usize) -> Result<Vec<Vec<f64>>, Error> {
    let text = files::read_text(path, stage, TEXT_BYTES)?;
    let lines: Vec<&str> = text.lines().collect();
    lines
        .par_iter()
        .enumerate()
        .map(|(index, line)| {
            row(line, width).map_err(|problem| Error::Line {
                path: path.to_owned(),
                line: index + 1,
                problem,
            })
        })
        .collect()
}

fn row(line: &str, width: usize) -> Result<Vec<f64>, String> {
    let number = |word: &str| {
        let value: Option<f64> = word.parse().ok();
        let finite = value.filter(|value| value.is_finite());
        finite.ok_or_else(|| format!("{:?} is not a number", word.chars().take(20).collect::<String>()))
    };
    let numbers: Vec<f64> = line
        .split_ascii_whitespace()
        .map(number)
        .collect::<Result<_, _>>()?;
    if numbers.len() == width {
        Ok(numbers)
    } else {
        Err(format!("it has {} numbers instead of {width}", numbers.len()))
    }
}

/// Returns lines that [`rows`] reads back exactly.
pub(crate) fn to_text(rows: &[Vec<f64>]) -> String {
    let line = |row: &Vec<f64>| {
        let words: Vec<String> = row.iter().map(f64::to_string).collect();
        words.join(" ") + "\n"
    };
    rows.par_iter().map(line).collect()
}
