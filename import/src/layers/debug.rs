#[cfg(test)]
mod tests {
    use super::super::{choose::*, integers::*, rewrite::*};
    use crate::{onnx::Graph, Calibration, Wanted, TableOptions, Ranges, MOST_LEVELS};
    use blindscore_engine::{layers::{IntegerLayers, WINDOW}, model::LAYERS};
    use blindscore_protocol::{descriptor::Inputs, noise::NetworkNoise};
    use std::path::Path;
    #[test]
    fn show() {
        let dir = std::env::var("CASE").unwrap();
        let bytes = std::fs::read(format!("{dir}/model.onnx")).unwrap();
        let graph = Graph::decode(&bytes, Path::new("")).unwrap();
        let network = graph.network().unwrap().unwrap();
        let encoder = network.fitted.encoder();
        let data = Calibration::read(Path::new(&format!("{dir}/train.csv")), Wanted { encoder: &encoder, unused: &[] }, &TableOptions { header: blindscore_protocol::columns::HeaderChoice::Auto, delimiter: None, ignore: vec![] }).unwrap();
        let ranges = Ranges::find(&network.fitted, None, Some(&data), 0.25).unwrap();
        let inputs = Inputs { encoding: network.fitted.encoding.clone(), ..ranges.inputs(network.fitted.feature_names(), MOST_LEVELS) };
        let rows: Vec<&[f64]> = data.sample(2000).map(|r| data.rows()[r].as_slice()).collect();
        let most: usize = std::env::var("MOST").ok().and_then(|m| m.parse().ok()).unwrap_or(144);
        let wanted = vec![0.02; network.outputs.len()];
        println!("levels {}", inputs.levels);
        for last in [true, false] {
            let rw = Rewritten::of(&network, &rows, last).unwrap();
            let ch = repeated(&network, &rw, &inputs, &rows, &wanted, most);
            println!("last {last}: noise {:?} rounding {:?} step 2^{}", ch.noise, ch.rounding, ch.rounded.network.input_step.ilog2());
            let net = &ch.rounded.network;
            let total = net.units.iter().map(|u| u.repeats).sum::<usize>();
            println!("  repeats {total} {:?}", net.units.iter().map(|u| u.repeats).collect::<Vec<_>>());
            // fit error of the rewritten float
            let sc = rw.scores(&rows);
            let mut fit = vec![0.0; sc.len()];
            for (i, row) in rows.iter().enumerate() { for (c, s) in network.scores(row).iter().enumerate() { fit[c] += (s - sc[c][i]).powi(2) / rows.len() as f64; } }
            println!("  fit rms {:?}", fit.iter().map(|f| f.sqrt()).collect::<Vec<_>>());
            let shared = net.shared_noise(&LAYERS);
            let own = IntegerLayers::own_noise(&LAYERS);
            let win = NetworkNoise::window(&LAYERS, WINDOW);
            let (mut a, mut b, mut w) = (0.0, 0.0, 0.0);
            for row in rows.iter().take(60) {
                let lv: Vec<i64> = inputs.levels_of(row).into_iter().map(i64::from).collect();
                let g = &net.gradients(&LAYERS, &lv)[0];
                for (u, g) in g.iter().enumerate() {
                    a += g.phase.powi(2) * shared[u] / 60.0; b += g.rotations * g.slope.powi(2) * own / 60.0; w += g.rotations * win / 60.0;
                }
            }
            let s = ch.rounded.scales[0];
            println!("  out0: shared {:.2e} own {:.2e} window {:.2e} rest {:.2e}; scale {s:.2}", a.sqrt() * s, b.sqrt() * s, w.sqrt() * s, NetworkNoise::score(&LAYERS, 0.0).sqrt() * s);
            println!("  sqrt own {:.2e} window {:.2e}", own.sqrt(), win.sqrt());
            for u in [0, 1, 2, net.units.len() - 1] {
                let t = &rw.units[u].table;
                println!("  unit {u}: period {:.2} slope {:.2} wnorm {:.1} out {:?} maxT {:.3} entries {}", t.period, t.slope, net.units[u].features.iter().map(|w| (*w as f64).powi(2)).sum::<f64>().sqrt(), net.outputs.iter().map(|o| o[u]).collect::<Vec<_>>(), t.values.iter().fold(0.0f64, |m, v| m.max(v.abs())), net.units[u].table.iter().map(|x| x.abs()).max().unwrap());
            }
        }
    }
}
