//! Files of boosted trees, as `import` reads them.

use blindscore_import::trees::read;

pub(crate) fn run(data: &[u8]) {
    let Some(Ok(ensemble)) = read(data) else {
        return;
    };
    // Neither end nor middle of the numbers.
    for number in [f64::NAN, f64::NEG_INFINITY, -1.0, 0.0, 1.0, f64::INFINITY] {
        let scores = ensemble.raw_scores(&vec![number; ensemble.columns.len()]);
        assert_eq!(scores.len(), ensemble.base.len());
    }
}
