//! Picture of an evaluation: calibration, and the errors of encrypted scores.

use super::answers::{Answers, classes};
use blindscore_protocol::descriptor::{ModelDescriptor, Task};
use blindscore_remote::text::one_line;
use std::fmt::Write as _;

/// Number of groups of rows that calibration compares.
const GROUPS: usize = 10;
/// Number of bars of the errors' histogram.
const BARS: usize = 25;
/// Side of a panel's frame, and the room around it for words, in pixels.
const SIDE: f64 = 260.0;
const MARGIN: f64 = 60.0;

/// Colours for light and dark backgrounds, and type.
const STYLE: &str = "\
svg{background:#fff;color:#1b1f24;font:13px system-ui,sans-serif}\
text{fill:currentColor}.f{fill:none;stroke:currentColor;opacity:.4}.d{stroke:currentColor;stroke-dasharray:4 4;opacity:.5}\
.p{fill:#0969da}.l{fill:none;stroke:#0969da;stroke-width:2}\
@media(prefers-color-scheme:dark){svg{background:#0d1117;color:#e6edf3}.p{fill:#58a6ff}.l{stroke:#58a6ff}}";

/// What the picture shows.
pub(super) struct Plot {
    title: String,
    predicted: &'static str,
    observed: &'static str,
    /// Mean prediction and mean right answer of each group of rows; empty if the model predicts
    /// nothing that could be compared.
    groups: Vec<(f64, f64)>,
    /// Number of errors in each of the bars, which lie between minus and plus `widest`.
    bars: Vec<usize>,
    widest: f64,
}

impl Plot {
    /// Prepares the picture. `errors` are those of the decrypted scores, if any were decrypted.
    pub(super) fn new(
        model: &ModelDescriptor,
        labels: &[String],
        answers: &Answers,
        right: &[Vec<f64>],
        errors: Option<&[f64]>,
    ) -> Self {
        let rows = answers.scores.iter().zip(right);
        let holds = |holds: bool| f64::from(u8::from(holds));
        let (predicted, observed, mut pairs): (_, _, Vec<(f64, f64)>) = match model.task {
            Task::Regression => {
                let pairs = rows.map(|(scores, right)| (scores.values[0], right[0])).collect();
                ("mean predicted value", "mean right value", pairs)
            }
            Task::Multilabel => {
                let pairs = rows.flat_map(|(scores, right)| {
                    scores.probabilities.iter().copied().zip(right.iter().copied())
                });
                ("mean predicted probability", "share of rows", pairs.collect())
            }
            Task::Classification if classes(model).len() == 2 => {
                let pairs = rows.filter_map(|(scores, right)| {
                    Some((*scores.probabilities.get(1)?, holds(right[0] > 0.5)))
                });
                ("mean predicted probability", "share of rows", pairs.collect())
            }
            Task::Classification => {
                let pairs = rows.filter_map(|(scores, right)| {
                    let index = scores.index()?;
                    Some((
                        *scores.probabilities.get(index)?,
                        holds(right[0] as usize == index),
                    ))
                });
                (
                    "mean probability of the decision",
                    "share of right decisions",
                    pairs.collect(),
                )
            }
        };
        pairs.sort_by(|(one, _), (other, _)| one.total_cmp(other));
        let mean = |group: &[(f64, f64)]| {
            let count = group.len() as f64;
            let sum = group
                .iter()
                .fold((0.0, 0.0), |sum, pair| (sum.0 + pair.0, sum.1 + pair.1));
            (sum.0 / count, sum.1 / count)
        };
        let size = pairs.len().div_ceil(GROUPS).max(1);
        let errors = errors.unwrap_or_default();
        let widest = errors.iter().map(|error| error.abs()).fold(0.0, f64::max);
        let mut bars = vec![0; if errors.is_empty() { 0 } else { BARS }];
        for error in errors {
            let place = if widest > 0.0 {
                (error / widest + 1.0) / 2.0
            } else {
                0.5
            };
            bars[((place * BARS as f64) as usize).min(BARS - 1)] += 1;
        }
        let of = match (model.task, labels) {
            (Task::Regression, [first, _, ..]) => format!(", calibration of {}", one_line(first)),
            (Task::Classification, _) if classes(model).len() == 2 => {
                format!(", probability of {}", one_line(classes(model)[1]))
            }
            _ => String::new(),
        };
        Self {
            title: format!("{}, {} rows{of}", model.name, right.len()),
            predicted,
            observed,
            groups: pairs.chunks(size).map(mean).collect(),
            bars,
            widest,
        }
    }

    /// Draws the picture.
    pub(super) fn svg(&self) -> String {
        let (width, height) = (2.0 * SIDE + 3.0 * MARGIN, SIDE + 2.0 * MARGIN);
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
             role=\"img\"><title>{title}</title><style>{STYLE}</style><rect width=\"100%\" height=\"100%\" fill=\"none\"/>\
             <text x=\"{MARGIN}\" y=\"28\" font-weight=\"600\">{title}</text>",
            title = escaped(&self.title)
        );
        self.calibration(&mut svg, MARGIN);
        self.histogram(&mut svg, 2.0 * MARGIN + SIDE);
        svg += "</svg>\n";
        svg
    }

    fn calibration(&self, svg: &mut String, left: f64) {
        frame(svg, left, self.predicted);
        let (middle, top) = (left - 44.0, MARGIN + SIDE / 2.0);
        let _ = write!(
            svg,
            "<text transform=\"translate({middle} {top}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
            self.observed
        );
        if self.groups.is_empty() {
            return absent(svg, left, "the model has no probabilities");
        }
        let all = || self.groups.iter().flat_map(|&(one, other)| [one, other]);
        let (mut low, mut high) = (
            all().fold(f64::INFINITY, f64::min),
            all().fold(f64::NEG_INFINITY, f64::max),
        );
        if (0.0..=1.0).contains(&low) && (0.0..=1.0).contains(&high) {
            (low, high) = (0.0, 1.0);
        } else if low == high {
            high = low + 1.0;
        }
        let place = |value: f64| (value - low) / (high - low) * SIDE;
        let (bottom, right) = (MARGIN + SIDE, left + SIDE);
        let _ = write!(
            svg,
            "<line class=\"d\" x1=\"{left}\" y1=\"{bottom}\" x2=\"{right}\" y2=\"{MARGIN}\"/>"
        );
        let points: Vec<(f64, f64)> = self
            .groups
            .iter()
            .map(|&(x, y)| (left + place(x), bottom - place(y)))
            .collect();
        let path: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let _ = write!(svg, "<polyline class=\"l\" points=\"{}\"/>", path.join(" "));
        for (x, y) in points {
            let _ = write!(svg, "<circle class=\"p\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\"/>");
        }
        ends(svg, left, low, high);
        let _ = write!(
            svg,
            "<text x=\"{0}\" y=\"{bottom}\" text-anchor=\"end\">{1}</text><text x=\"{0}\" y=\"{2}\" text-anchor=\"end\">{3}</text>",
            left - 6.0,
            short(low),
            MARGIN + 10.0,
            short(high)
        );
    }

    fn histogram(&self, svg: &mut String, left: f64) {
        frame(svg, left, "error of a score: encrypted - plain");
        let Some(&most) = self.bars.iter().max() else {
            return absent(svg, left, "nothing was encrypted (--plain)");
        };
        let width = SIDE / self.bars.len() as f64;
        for (index, &count) in self.bars.iter().enumerate() {
            let height = count as f64 / most as f64 * (SIDE - 10.0);
            let (x, y) = (left + index as f64 * width + 0.5, MARGIN + SIDE - height);
            let _ = write!(
                svg,
                "<rect class=\"p\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{height:.1}\"><title>{count}</title></rect>",
                width - 1.0
            );
        }
        ends(svg, left, -self.widest, self.widest);
    }
}

/// Draws the frame of a panel with the words below it.
fn frame(svg: &mut String, left: f64, below: &str) {
    let _ = write!(
        svg,
        "<rect class=\"f\" x=\"{left}\" y=\"{MARGIN}\" width=\"{SIDE}\" height=\"{SIDE}\"/>\
         <text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{below}</text>",
        left + SIDE / 2.0,
        MARGIN + SIDE + 40.0
    );
}

/// Says in a panel why it is empty.
fn absent(svg: &mut String, left: f64, words: &str) {
    let _ = write!(
        svg,
        "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{words}</text>",
        left + SIDE / 2.0,
        MARGIN + SIDE / 2.0
    );
}

/// Writes both ends of a panel's lower scale.
fn ends(svg: &mut String, left: f64, low: f64, high: f64) {
    let y = MARGIN + SIDE + 18.0;
    let _ = write!(
        svg,
        "<text x=\"{left}\" y=\"{y}\">{}</text><text x=\"{}\" y=\"{y}\" text-anchor=\"end\">{}</text>",
        short(low),
        left + SIDE,
        short(high)
    );
}

/// Formats a number for a scale.
fn short(value: f64) -> String {
    if value == 0.0 || (0.01..10_000.0).contains(&value.abs()) {
        let text = format!("{value:.2}");
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        format!("{value:.1e}")
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_have_no_markup_of_others() {
        let plot = Plot {
            title: "<script>&".into(),
            predicted: "",
            observed: "",
            groups: vec![(0.1, 0.0), (0.9, 1.0)],
            bars: vec![],
            widest: 0.0,
        };
        let svg = plot.svg();
        assert!(
            svg.contains("&lt;script&gt;&amp;") && !svg.contains("<script"),
            "{svg}"
        );
        assert_eq!(svg.matches("<circle").count(), 2);
        assert!(svg.contains("nothing was encrypted"));
    }

    #[test]
    fn scales_are_short() {
        let shown = [0.0, 1.0, 262.7712, 0.5, -0.05, 1.4e-3, 2e6].map(short);
        assert_eq!(shown, ["0", "1", "262.77", "0.5", "-0.05", "1.4e-3", "2.0e6"]);
    }
}
