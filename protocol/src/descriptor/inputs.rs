//! Features of a model: their ranges, and how a client rounds them.

use super::{DescriptorError, FEATURES, FINITE, LEVELS, POSITIVE, check};
use crate::{deskew::deskew, encoding::Encoding};
use serde::Serialize;
use zeroize::Zeroizing;

/// Shape of the image whose pixels are the features.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ImageShape {
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// Whether clients deskew the image before they round it ([`deskew`]); the smallest value is
    /// paper.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub deskew: bool,
}

/// One feature with its own range.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Feature {
    /// Name of the feature, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Smallest allowed value.
    pub min: f64,
    /// Largest allowed value.
    pub max: f64,
}

/// Ball that feature vectors must lie in, in addition to their ranges.
///
/// A feature's position runs from 0 at its smallest value to 1 at its largest. Where many features
/// are never extreme at once, the ball confines the scores to a much smaller interval than the
/// ranges alone, which makes them more precise.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct NormBound {
    /// Position of the ball's centre in every feature's range, 0 to 1.
    pub centre: f64,
    /// Largest Euclidean distance of a vector of positions from the centre.
    pub max: f64,
}

/// Features that a model takes, and how a client rounds them.
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Inputs {
    /// Number of features.
    pub count: usize,
    /// Smallest value of any feature.
    pub min: f64,
    /// Largest value of any feature.
    pub max: f64,
    /// A feature at position `p` of its range, 0 to 1, is sent as the integer
    /// `round(p * (levels - 1))`.
    pub levels: u32,
    /// Names and ranges, one entry per feature, if features have names or ranges of their own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub features: Option<Vec<Feature>>,
    /// Ball that vectors must also lie in, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub norm: Option<NormBound>,
    /// Shape of the image, if the features are its pixels, row by row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageShape>,
    /// How a record becomes the features, if they are not the record itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoding: Option<Encoding>,
}

impl Inputs {
    /// Creates inputs whose features share one range.
    pub fn uniform(count: usize, min: f64, max: f64, levels: u32) -> Self {
        Self {
            count,
            min,
            max,
            levels,
            features: None,
            norm: None,
            image: None,
            encoding: None,
        }
    }

    /// Returns the smallest and largest value of a feature.
    pub fn range(&self, index: usize) -> (f64, f64) {
        match self.features.as_ref().and_then(|features| features.get(index)) {
            Some(feature) => (feature.min, feature.max),
            None => (self.min, self.max),
        }
    }

    /// Returns the name of a feature, if it has one.
    pub fn name(&self, index: usize) -> Option<&str> {
        self.features.as_ref()?.get(index)?.name.as_deref()
    }

    /// Returns the number of a record's columns.
    pub fn columns(&self) -> usize {
        self.encoding
            .as_ref()
            .map_or(self.count, |encoding| encoding.columns.len())
    }

    /// Returns the names of a record's columns, if all of them have one.
    pub fn column_names(&self) -> Option<Vec<&str>> {
        match &self.encoding {
            Some(encoding) => encoding.names(),
            None => (0..self.count).map(|index| self.name(index)).collect(),
        }
    }

    /// Returns whether all of a record's columns hold texts.
    pub fn all_text(&self) -> bool {
        let is_text = |encoding: &Encoding| encoding.columns.iter().all(|column| column.kind.is_text());
        self.encoding.as_ref().is_some_and(is_text)
    }

    /// Describes a feature for a message, if more is known of it than its number.
    pub fn describe(&self, index: usize) -> Option<String> {
        match &self.encoding {
            Some(encoding) => Some(encoding.describe(index)),
            None => self.name(index).map(str::to_owned),
        }
    }

    /// Returns the distance of a vector's positions from the ball's centre. The vector must have
    /// `count` features.
    pub fn distance(&self, features: &[f64], centre: f64) -> f64 {
        let square = |(index, value): (usize, &f64)| {
            let (min, max) = self.range(index);
            ((value - min) / (max - min) - centre).powi(2)
        };
        features.iter().enumerate().map(square).sum::<f64>().sqrt()
    }

    /// Returns the levels of `count` features, all within their ranges: deskewed if the model asks
    /// for it, then rounded.
    pub fn levels_of(&self, features: &[f64]) -> Vec<u32> {
        let top = f64::from(self.levels - 1);
        let level = |above: f64, width: f64| (above * (top / width)).round() as u32;
        match self.image {
            Some(ImageShape {
                width, deskew: true, ..
            }) => {
                let ink = Zeroizing::new(
                    features
                        .iter()
                        .map(|value| value - self.min)
                        .collect::<Vec<f64>>(),
                );
                let straight = Zeroizing::new(deskew(&ink, width));
                straight
                    .iter()
                    .map(|&above| level(above, self.max - self.min))
                    .collect()
            }
            _ => {
                let rounded = features.iter().enumerate().map(|(index, value)| {
                    let (min, max) = self.range(index);
                    level(value - min, max - min)
                });
                rounded.collect()
            }
        }
    }

    /// Checks every number that a client computes with.
    pub(super) fn check(&self) -> Result<(), DescriptorError> {
        check("inputs.count", self.count, &FEATURES)?;
        check("inputs.levels", self.levels, &LEVELS)?;
        check("inputs.min", self.min, &FINITE)?;
        check("inputs.max - inputs.min", self.max - self.min, &POSITIVE)?;
        if let Some(features) = &self.features {
            check("inputs.features", features.len(), &(self.count..=self.count))?;
            for Feature { min, max, .. } in features {
                check("a feature's min", *min, &FINITE)?;
                check("a feature's max - min", max - min, &POSITIVE)?;
            }
        }
        if let Some(NormBound { centre, max }) = self.norm {
            check("inputs.norm.centre", centre, &(0.0..=1.0))?;
            check("inputs.norm.max", max, &POSITIVE)?;
        }
        if let Some(ImageShape { width, height, .. }) = self.image {
            let pixels = width.saturating_mul(height);
            check("image pixels", pixels, &(self.count..=self.count))?;
            // Deskewing moves ink between pixels, so they must share one range.
            check(
                "ranges of an image's pixels",
                self.features.iter().len(),
                &(0..=0),
            )?;
        }
        if let Some(encoding) = &self.encoding {
            encoding.check(self.count)?;
            check("images with an encoding", self.image.iter().len(), &(0..=0))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_feature_is_rounded_in_its_own_range() {
        let feature = |min, max| Feature { name: None, min, max };
        let inputs = Inputs {
            features: Some(vec![
                feature(0.0, 10.0),
                feature(-1.0, 1.0),
                feature(100.0, 101.0),
            ]),
            ..Inputs::uniform(3, -1.0, 101.0, 11)
        };
        assert_eq!(inputs.check(), Ok(()));
        assert_eq!(inputs.levels_of(&[3.0, 0.0, 101.0]), [3, 5, 10]);
        assert_eq!(inputs.distance(&[5.0, 0.0, 101.0], 0.5), 0.5);
        let short = Inputs {
            features: Some(vec![feature(0.0, 1.0)]),
            ..inputs.clone()
        };
        assert!(short.check().is_err());
        let empty = Inputs {
            features: Some(vec![feature(0.0, 0.0); 3]),
            ..inputs
        };
        assert!(empty.check().is_err());
    }
}
