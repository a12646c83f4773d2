//! Units against trees in the clear, and encrypted scores against both.

use super::*;
use blindscore_client::ClientKey;
use blindscore_protocol::{
    descriptor::{Answer, CheckedDescriptor, Inputs, Link, ModelDescriptor, Output, Sizes, Task},
    ids::ModelId,
    params::ParameterSet,
    random::reproducible,
    wire::{EvaluationKey, FORMAT_VERSION},
};
use std::sync::OnceLock;

const PARAMS: NetworkParams = NetworkParams::N704_K2;
const SET: ParameterSet = ParameterSet::Network(PARAMS);

/// Reproducible random numbers.
struct Random(std::vec::IntoIter<u64>);

impl Random {
    fn new(seed: u8) -> Self {
        Self(reproducible([seed; 16], 200_000).into_iter())
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.0.next().unwrap() % bound as u64) as usize
    }

    fn real(&mut self) -> f64 {
        self.0.next().unwrap() as i64 as f64 / 2f64.powi(63)
    }

    /// Grows a tree: any variable at any node, so that some branches are never taken.
    fn tree(
        &mut self,
        variables: &[ForestVariable],
        depth: usize,
        width: usize,
        output: Option<usize>,
    ) -> ForestTree {
        let mut nodes = Vec::new();
        self.grow(variables, depth, width, &mut nodes);
        ForestTree { nodes, output }
    }

    fn grow(
        &mut self,
        variables: &[ForestVariable],
        depth: usize,
        width: usize,
        nodes: &mut Vec<ForestNode>,
    ) {
        if depth == 0 || (depth < 3 && self.below(5) == 0) {
            // Probabilities, if there are several.
            let mut numbers: Vec<f64> = (0..width).map(|_| self.real().abs() + 0.01).collect();
            let sum: f64 = numbers.iter().sum();
            match width {
                1 => numbers[0] = self.real(),
                _ => numbers.iter_mut().for_each(|number| *number /= sum),
            }
            nodes.push(ForestNode::Leaf(numbers));
            return;
        }
        let variable = self.below(variables.len());
        let ForestVariable { cuts, flags } = variables[variable];
        let flags: Vec<usize> = (0..flags).filter(|_| self.below(2) == 0).collect();
        let cut = 1 + self.below((cuts + usize::from(!flags.is_empty())).max(1));
        let place = nodes.len();
        nodes.push(ForestNode::Leaf(Vec::new()));
        self.grow(variables, depth - 1, width, nodes);
        let second = nodes.len();
        self.grow(variables, depth - 1, width, nodes);
        nodes[place] = ForestNode::Split {
            variable,
            cut,
            flags,
            branches: [place + 1, second],
        };
    }

    /// Returns the bits of some positions.
    fn bits(&mut self, variables: &[ForestVariable]) -> Vec<i64> {
        let mut bits = Vec::new();
        for variable in variables {
            let position = self.below(variable.cuts + 1 + variable.flags);
            bits.extend((0..variable.cuts).map(|cut| i64::from(position <= variable.cuts && cut < position)));
            bits.extend((0..variable.flags).map(|flag| i64::from(position == variable.cuts + 1 + flag)));
        }
        bits
    }
}

fn variables() -> Vec<ForestVariable> {
    [(9, 0), (4, 1), (1, 0), (0, 6), (20, 1), (3, 0), (2, 2)]
        .map(|(cuts, flags)| ForestVariable { cuts, flags })
        .to_vec()
}

/// Returns an ensemble of three kinds of trees: of one score each, of probabilities, and both.
fn forest(seed: u8, trees: usize, depth: usize, scores: usize, shared: bool) -> Forest {
    let (mut random, variables) = (Random::new(seed), variables());
    let tree = |place: usize| match shared {
        true => random.tree(&variables, depth, scores, None),
        false => random.tree(&variables, depth, 1, Some(place % scores)),
    };
    let trees = (0..trees).map(tree).collect();
    Forest::new(variables, trees, vec![0.25; scores]).unwrap()
}

fn largest_difference(one: &[f64], other: &[f64]) -> f64 {
    let pairs = one.iter().zip(other);
    pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

#[test]
fn units_are_the_trees() {
    for (seed, depth, scores, shared) in [
        (1, 1, 1, false),
        (2, 2, 1, false),
        (3, 3, 2, false),
        (4, 4, 3, true),
        (5, 5, 2, true),
        (6, 6, 1, false),
        (7, 8, 1, false),
    ] {
        let forest = forest(seed, 12, depth, scores, shared);
        let cover = Cover::of(&PARAMS, &forest).unwrap();
        let mut random = Random::new(seed + 100);
        for _ in 0..400 {
            let bits = random.bits(forest.variables());
            for unit in &cover.units {
                let level = unit.level(&bits);
                assert!(
                    (0..unit.table.len() as i64).contains(&level),
                    "level {level} of {unit:?}"
                );
            }
            let (units, plain) = (cover.scores(&bits), forest.scores(&bits));
            assert!(
                largest_difference(&units, &plain) < 1e-9,
                "seed {seed}: {units:?}, not {plain:?}"
            );
            let far = largest_difference(&units, &cover.bases);
            assert!(
                far <= cover.half_range + 1e-9,
                "seed {seed}: {far} of {}",
                cover.half_range
            );
        }
        assert!(cover.units.iter().all(|unit| unit.is_safe(&PARAMS)));
    }
}

#[test]
fn values_hold_for_half_of_the_way_to_the_next_level() {
    const N: usize = 1024;
    let forest = forest(9, 12, 4, 3, true);
    let cover = Cover::of(&PARAMS, &forest).unwrap();
    let mut random = Random::new(90);
    for _ in 0..50 {
        let bits = random.bits(forest.variables());
        for unit in &cover.units {
            let (weights, offset) = unit.phase();
            let sum: i64 = weights.map(|(bit, weight)| weight * bits[bit]).sum();
            let position = offset.wrapping_add((sum as u64).wrapping_mul(ForestEngine::input_step()));
            let (values, expected) = (unit.values(N), unit.table[unit.level(&bits) as usize]);
            // Entry `i` is the value at `i + 1/2`, and a level is where two entries meet.
            let place = (position / ((1 << 63) / N as u64)) as usize;
            let half = N / (2 * unit.table.len().next_power_of_two().max(1));
            assert!(half >= N / 32, "{half}");
            for away in 0..half {
                assert_eq!(values[place + away], expected, "{unit:?}, {away} above");
                assert_eq!(values[place - 1 - away], expected, "{unit:?}, {away} below");
            }
        }
    }
}

/// Returns a tree of depth 3 whose decisions are about seven variables, and its forest.
fn all_different() -> Forest {
    let split = |variable, branches| ForestNode::Split {
        variable,
        cut: 1,
        flags: Vec::new(),
        branches,
    };
    let leaf = |value: u8| ForestNode::Leaf(vec![f64::from(value)]);
    let nodes = vec![
        split(0, [1, 8]),
        split(1, [2, 5]),
        split(2, [3, 4]),
        leaf(1),
        leaf(2),
        split(3, [6, 7]),
        leaf(3),
        leaf(4),
        split(4, [9, 12]),
        split(5, [10, 11]),
        leaf(5),
        leaf(6),
        split(6, [13, 14]),
        leaf(7),
        leaf(8),
    ];
    let tree = ForestTree {
        nodes,
        output: Some(0),
    };
    let variables = vec![ForestVariable { cuts: 1, flags: 0 }; 7];
    Forest::new(variables, vec![tree], vec![0.0]).unwrap()
}

#[test]
fn a_cover_is_as_small_as_it_can_be() {
    let forest = all_different();
    let cover = Cover::of(&PARAMS, &forest).unwrap();
    // Two subtrees of three bits and the root's: sixteen levels each.
    let levels: Vec<usize> = cover.units.iter().map(|unit| unit.table.len()).collect();
    assert_eq!(levels, [16, 16]);
    for row in 0..128 {
        let bits: Vec<i64> = (0..7).map(|bit| row >> bit & 1).collect();
        assert_eq!(cover.scores(&bits), forest.scores(&bits));
    }
    // The same tree twice has the same units, with twice the values.
    let twice = Forest::new(
        forest.variables().to_vec(),
        [forest.trees(), forest.trees()].concat(),
        vec![0.0],
    );
    let twice = Cover::of(&PARAMS, &twice.unwrap()).unwrap();
    assert_eq!(twice.units.len(), 2);
    assert_eq!(twice.half_range, 2.0 * cover.half_range);
}

/// Returns a tree that decides once about each of `count` variables, always to leave the path.
fn chain(count: usize) -> Forest {
    let mut nodes = Vec::new();
    for variable in 0..count {
        let place = nodes.len();
        nodes.push(ForestNode::Split {
            variable,
            cut: 1,
            flags: Vec::new(),
            branches: [place + 1, place + 2],
        });
        nodes.push(ForestNode::Leaf(vec![variable as f64]));
    }
    nodes.push(ForestNode::Leaf(vec![-1.0]));
    let tree = ForestTree {
        nodes,
        output: Some(0),
    };
    let variables = vec![ForestVariable { cuts: 1, flags: 0 }; count];
    Forest::new(variables, vec![tree], vec![0.0]).unwrap()
}

#[test]
fn paths_are_as_long_as_half_of_the_torus() {
    assert!(Cover::of(&PARAMS, &chain(15)).is_ok());
    let error = Cover::of(&PARAMS, &chain(16)).unwrap_err();
    assert!(
        matches!(
            error,
            ForestError::Path {
                tree: 0,
                variables: 16
            }
        ),
        "{error}"
    );
}

#[test]
fn malformed_trees_are_refused() {
    let good = all_different();
    let with = |place: usize, node: ForestNode| {
        let mut trees = good.trees().to_vec();
        trees[0].nodes[place] = node;
        Forest::new(good.variables().to_vec(), trees, vec![0.0])
            .unwrap_err()
            .to_string()
    };
    let split = |variable, cut, flags: &[usize], branches| ForestNode::Split {
        variable,
        cut,
        flags: flags.to_vec(),
        branches,
    };
    for (node, words) in [
        (split(7, 1, &[], [1, 8]), "a variable that is not there"),
        (split(0, 0, &[], [1, 8]), "a cut or flag that is not there"),
        (split(0, 3, &[], [1, 8]), "a cut or flag that is not there"),
        (split(0, 1, &[0], [1, 8]), "a cut or flag that is not there"),
        (split(0, 1, &[], [0, 8]), "a branch to no node of its own"),
        (split(0, 1, &[], [1, 1]), "a branch to no node of its own"),
        (split(0, 1, &[], [1, 99]), "a branch to no node of its own"),
        (split(0, 1, &[], [1, 9]), "a node that no branch leads to"),
        (ForestNode::Leaf(vec![0.0]), "a node that no branch leads to"),
    ] {
        let error = with(0, node);
        assert!(error.contains(words), "{words}: {error}");
    }
    for (leaf, words) in [
        (vec![], "another number of scores"),
        (vec![f64::NAN], "no finite number"),
    ] {
        let error = with(3, ForestNode::Leaf(leaf));
        assert!(error.contains(words), "{words}: {error}");
    }
    let constant = Forest::new(
        Vec::new(),
        vec![ForestTree {
            nodes: vec![ForestNode::Leaf(vec![1.0])],
            output: Some(0),
        }],
        vec![0.0],
    );
    assert_eq!(
        Cover::of(&PARAMS, &constant.unwrap()).unwrap_err(),
        ForestError::Constant
    );
}

#[test]
fn trees_have_a_depth_that_can_be_walked() {
    let deepest = chain(200);
    let mut nodes = deepest.trees()[0].nodes.clone();
    // One more decision instead of the last leaf.
    let place = nodes.len();
    nodes[place - 1] = ForestNode::Split {
        variable: 0,
        cut: 1,
        flags: Vec::new(),
        branches: [place, place + 1],
    };
    nodes.extend([ForestNode::Leaf(vec![1.0]), ForestNode::Leaf(vec![2.0])]);
    let tree = ForestTree {
        nodes,
        output: Some(0),
    };
    let error = Forest::new(deepest.variables().to_vec(), vec![tree], vec![0.0]).unwrap_err();
    assert_eq!(error.to_string(), "tree 0: is deeper than 200 levels");
}

struct Keys {
    client: ClientKey,
    key: NetworkKey,
}

fn keys() -> &'static Keys {
    static KEYS: OnceLock<Keys> = OnceLock::new();
    KEYS.get_or_init(|| {
        let (client, public) = ClientKey::generate(SET).unwrap();
        let EvaluationKey::Network(public) = EvaluationKey::from_blob(&public.to_blob().0).unwrap() else {
            panic!("not a network's")
        };
        Keys {
            client,
            key: NetworkKey::new(&public),
        }
    })
}

fn descriptor(forest: &Forest, cover: &Cover) -> CheckedDescriptor {
    let half_range = 2f64.powi(63) / cover.amplitude();
    let outputs = cover.bases.iter().enumerate();
    let descriptor = ModelDescriptor {
        name: "test".into(),
        id: ModelId::of(b"test"),
        title: String::new(),
        formats: vec![FORMAT_VERSION],
        parameter_set: PARAMS.name.into(),
        inputs: Inputs::uniform(forest.bits(), 0.0, 1.0, 2),
        input_step: ForestEngine::input_step(),
        outputs: outputs
            .map(|(index, base)| Output {
                label: index.to_string(),
                offset: *base,
                half_range,
            })
            .collect(),
        task: Task::Regression,
        classes: None,
        link: Link::Identity,
        members: Vec::new(),
        answer: Answer::Scores,
        fine_features: None,
        fine: None,
        sizes: Sizes::of(&SET, forest.bits(), cover.bases.len()),
        score_error: 0.0,
        accuracy: None,
        batch: None,
        version: None,
    };
    descriptor.try_into().unwrap()
}

/// Returns an encrypted score of a row of bits, beside the one in the clear.
fn encrypted(forest: &Forest, cover: &Cover, engine: &ForestEngine, bits: &[i64]) -> [Vec<f64>; 2] {
    let model = descriptor(forest, cover);
    let row: Vec<f64> = bits.iter().map(|&bit| bit as f64).collect();
    let blob = keys().client.encrypt(&model, &row).unwrap();
    let query = Query::from_blob(&blob, PARAMS.query_format(), row.len()).unwrap();
    let response = engine.score(&query, &keys().key).unwrap();
    let scores = keys()
        .client
        .decrypt(&model, query.id, &response.to_blob())
        .unwrap();
    [scores.scores, forest.scores(bits)]
}

#[test]
fn encrypted_scores_are_the_trees_with_the_predicted_noise() {
    let mut ratios = Vec::new();
    for (seed, trees, depth, scores, shared, rows) in [(21, 9, 3, 1, false, 24), (22, 4, 4, 3, true, 12)] {
        let forest = forest(seed, trees, depth, scores, shared);
        let cover = Cover::of(&PARAMS, &forest).unwrap();
        let engine = ForestEngine::new(PARAMS, forest.bits(), &cover);
        let predicted = score_error(&PARAMS, &cover);
        let mut random = Random::new(seed + 100);
        for _ in 0..rows {
            let bits = random.bits(forest.variables());
            let [scores, plain] = encrypted(&forest, &cover, &engine, &bits);
            let difference = largest_difference(&scores, &plain);
            assert!(
                difference < 7.0 * predicted,
                "{difference} where {predicted} is predicted"
            );
            // The first score of probabilities is the sum of all units, whose noise is the largest.
            ratios.push((scores[0] - plain[0]) / predicted);
        }
    }
    let ratio = (ratios.iter().map(|ratio| ratio * ratio).sum::<f64>() / ratios.len() as f64).sqrt();
    println!(
        "measured noise of scores: {ratio:.2} of the predicted one, {} rows",
        ratios.len()
    );
    // 36 samples: four deviations of an estimate.
    assert!((0.5..1.5).contains(&ratio), "{ratio}");
}

#[test]
fn every_leaf_of_every_level_is_found() {
    // Sixteen levels, the most; leaves are 1 to 8, so that the next one is far beyond the noise.
    let forest = all_different();
    let cover = Cover::of(&PARAMS, &forest).unwrap();
    let engine = ForestEngine::new(PARAMS, forest.bits(), &cover);
    for row in 0..128i64 {
        // Each leaf, on all paths through the other subtree.
        let bits: Vec<i64> = (0..7).map(|bit| row >> bit & 1).collect();
        let [scores, plain] = encrypted(&forest, &cover, &engine, &bits);
        assert_eq!(scores[0].round(), plain[0], "{row}");
    }
}
