//! Tests of the steps, against values worked out by hand or by scikit-learn.

use super::*;
use blindscore_protocol::encoding::{Branch, Decision, Function, Norm, Side, Slots as Of, Split, Words};
use proptest::prelude::*;

fn column(name: &str, kind: ColumnKind) -> Column {
    Column {
        name: Some(name.to_owned()),
        kind,
        single: false,
    }
}

fn slots(of: &[usize]) -> Of {
    of.iter().copied().collect()
}

fn texts(texts: &[&str]) -> Categories {
    Categories::Texts(texts.iter().map(|&text| text.to_owned()).collect())
}

/// Returns an encoder of numeric columns `a`, `b`, and a text `t`, whose features are all results.
fn encoder(steps: Vec<Step>) -> Encoder {
    let columns = vec![
        column("a", ColumnKind::Number),
        column("b", ColumnKind::Number),
        column("t", ColumnKind::Category),
    ];
    let results: usize = steps.iter().map(Step::results).sum();
    let encoding = Encoding {
        features: (3..3 + results).collect(),
        columns,
        steps,
    };
    Encoder::new(&Inputs {
        encoding: Some(encoding),
        ..Inputs::uniform(results, 0.0, 1.0, 2)
    })
}

fn run(steps: Vec<Step>, a: f64, b: f64, t: &str) -> Result<Vec<f64>, String> {
    let number = |x: f64| {
        if x.is_nan() {
            Cell::Missing
        } else {
            Cell::Number(x)
        }
    };
    let text = if t.is_empty() {
        Cell::Missing
    } else {
        Cell::Text(t.into())
    };
    let encoded = encoder(steps).encode(&[number(a), number(b), text]);
    encoded
        .map(|features| features.to_vec())
        .map_err(|error| error.to_string())
}

#[test]
fn every_step_gives_what_it_says() {
    let both = || slots(&[0, 1]);
    for (step, a, b, expected) in [
        (
            Step::Impute {
                of: both(),
                values: vec![7.0, 8.0],
            },
            f64::NAN,
            2.0,
            &[7.0, 2.0][..],
        ),
        (Step::Missing { of: both() }, f64::NAN, 2.0, &[1.0, 0.0]),
        (
            Step::Affine {
                of: both(),
                scale: vec![2.0, 3.0],
                offset: vec![1.0, -1.0],
            },
            5.0,
            2.0,
            &[11.0, 5.0],
        ),
        (
            Step::Sums {
                of: both(),
                weights: vec![vec![1.0, 1.0], vec![2.0, -1.0]],
                offset: vec![0.5, 0.0],
            },
            3.0,
            4.0,
            &[7.5, 2.0],
        ),
        (
            Step::Products {
                of: vec![slots(&[0, 1]), slots(&[0, 0]), slots(&[1])],
            },
            3.0,
            4.0,
            &[12.0, 9.0, 4.0],
        ),
        (
            Step::Clip {
                of: both(),
                min: 0.0,
                max: 1.0,
            },
            -3.0,
            4.0,
            &[0.0, 1.0],
        ),
        (
            Step::Apply {
                of: both(),
                function: Function::Sign,
            },
            -3.0,
            0.0,
            &[-1.0, 0.0],
        ),
        (
            Step::Power {
                of: both(),
                exponents: vec![2.0, 0.5],
            },
            -3.0,
            4.0,
            &[9.0, 2.0],
        ),
        (
            Step::Piecewise {
                of: 0,
                x: vec![0.0, 1.0, 3.0],
                y: vec![0.0, 10.0, 20.0],
            },
            2.0,
            0.0,
            &[15.0],
        ),
        (
            Step::Normalise {
                of: both(),
                norm: Norm::L2,
            },
            3.0,
            -4.0,
            &[0.6, -0.8],
        ),
        (
            Step::Normalise {
                of: both(),
                norm: Norm::L1,
            },
            0.0,
            0.0,
            &[0.0, 0.0],
        ),
    ] {
        assert_eq!(
            run(vec![step.clone()], a, b, "x"),
            Ok(expected.to_vec()),
            "{}",
            step.name()
        );
    }
}

#[test]
fn numbers_on_an_edge_are_in_the_bin_that_the_encoding_names() {
    let bins = |equal, missing| Step::Bins {
        of: 0,
        edges: vec![1.0, 2.0, 3.0],
        equal,
        missing,
    };
    for (value, above, below) in [(0.5, 0.0, 0.0), (1.0, 1.0, 0.0), (2.5, 2.0, 2.0), (3.0, 3.0, 2.0)] {
        assert_eq!(
            run(vec![bins(Side::Above, None)], value, 0.0, "x"),
            Ok(vec![above])
        );
        assert_eq!(
            run(vec![bins(Side::Below, None)], value, 0.0, "x"),
            Ok(vec![below])
        );
    }
    assert_eq!(
        run(vec![bins(Side::Above, Some(9.0))], f64::NAN, 0.0, "x"),
        Ok(vec![9.0])
    );
    let error = run(vec![bins(Side::Above, None)], f64::NAN, 0.0, "x").unwrap_err();
    assert_eq!(
        error,
        "column \"a\": is empty, and the model has no value for that"
    );
}

#[test]
fn a_thermometer_has_a_bit_for_each_edge_below() {
    let step = |missing| Step::Thermometer {
        of: 0,
        edges: vec![1.0, 2.0, 3.0],
        missing,
    };
    let above = 2f64.next_up();
    for (value, bits) in [
        (0.5, [0.0, 0.0, 0.0]),
        (2.0, [1.0, 0.0, 0.0]),
        (above, [1.0, 1.0, 0.0]),
        (9.0, [1.0, 1.0, 1.0]),
    ] {
        assert_eq!(
            run(vec![step(false)], value, 0.0, "x"),
            Ok(bits.to_vec()),
            "{value}"
        );
    }
    assert_eq!(run(vec![step(true)], f64::NAN, 0.0, "x"), Ok(vec![0.0; 3]));
    let error = run(vec![step(false)], f64::NAN, 0.0, "x").unwrap_err();
    assert!(
        error.contains("is empty, and the model has no value for that"),
        "{error}"
    );
}

#[test]
fn a_tree_leads_to_one_leaf() {
    // a <= 1 ? (b <= 5 ? leaf 2 : leaf 0) : leaf 1; a missing `a` goes on to `b`, a missing `b` to
    // leaf 0.
    let decision = |of, threshold, branches, missing| Decision {
        of,
        threshold,
        branches,
        missing,
    };
    let step = || Step::Leaves {
        decisions: vec![
            decision(0, 1.0, [Branch::Decision(1), Branch::Leaf(1)], false),
            decision(1, 5.0, [Branch::Leaf(2), Branch::Leaf(0)], true),
        ],
    };
    let nan = f64::NAN;
    for (a, b, leaf) in [
        (1.0, 5.0, 2),
        (1f64.next_up(), 5.0, 1),
        (1.0, 5f64.next_up(), 0),
        (nan, 4.0, 2),
        (0.0, nan, 0),
        (nan, nan, 0),
    ] {
        let mut leaves = vec![0.0; 3];
        leaves[leaf] = 1.0;
        assert_eq!(run(vec![step()], a, b, "x"), Ok(leaves), "{a}, {b}");
    }
}

#[test]
fn unknown_categories_are_refused_or_ignored_as_the_encoding_says() {
    let one_hot = |unknown| Step::OneHot {
        of: 2,
        categories: texts(&["red", "green"]),
        unknown,
    };
    let ignored = || vec![one_hot(Unknown::Value(0.0))];
    assert_eq!(run(ignored(), 0.0, 0.0, "green"), Ok(vec![0.0, 1.0]));
    assert_eq!(run(ignored(), 0.0, 0.0, "Green"), Ok(vec![0.0, 0.0]));
    assert_eq!(run(ignored(), 0.0, 0.0, ""), Ok(vec![0.0, 0.0]));
    let refused = || vec![one_hot(Unknown::Refuse)];
    assert_eq!(run(refused(), 0.0, 0.0, "red"), Ok(vec![1.0, 0.0]));
    let error = run(refused(), 0.0, 0.0, "blue").unwrap_err();
    assert_eq!(
        error,
        r#"column "t": "blue" is none of the model's categories: "red", "green""#
    );
    let error = run(refused(), 0.0, 0.0, "").unwrap_err();
    assert!(error.contains("\"t\": is empty"), "{error}");
    let lookup = || Step::Lookup {
        of: 0,
        categories: Categories::Numbers(vec![3.0, -1.0, 0.0]),
        values: vec![30.0, 10.0, 0.5],
        unknown: Unknown::Refuse,
    };
    assert_eq!(run(vec![lookup()], -0.0, 0.0, "x"), Ok(vec![0.5]));
    assert_eq!(run(vec![lookup()], 3.0, 0.0, "x"), Ok(vec![30.0]));
    assert!(
        run(vec![lookup()], 2.0, 0.0, "x")
            .unwrap_err()
            .contains("2 is none")
    );
}

#[test]
fn a_power_transform_is_that_of_yeo_and_johnson() {
    // scipy.stats.yeojohnson
    for (x, lambda, expected) in [
        (2.0, 0.0, 1.0986122886681098),
        (2.0, 0.5, 1.4641016151377544),
        (-2.0, 2.0, -1.0986122886681098),
        (-2.0, 0.5, -2.797434948471088),
        (3.0, 1.0, 3.0),
        (-3.0, 1.0, -3.0),
    ] {
        let step = Step::YeoJohnson {
            of: slots(&[0]),
            lambdas: vec![lambda],
        };
        let found = run(vec![step], x, 0.0, "x").unwrap()[0];
        assert!((found - expected).abs() < 1e-12, "{x}, {lambda}: {found}");
    }
}

fn counted(text: &str, words: &Words, vocabulary: &[&str]) -> Vec<f64> {
    let step = Step::Counts {
        of: 0,
        words: words.clone(),
        vocabulary: vocabulary.iter().map(|&word| word.to_owned()).collect(),
        binary: false,
    };
    let encoding = Encoding {
        columns: vec![column("text", ColumnKind::Text)],
        steps: vec![step],
        features: (1..=vocabulary.len()).collect(),
    };
    let encoder = Encoder::new(&Inputs {
        encoding: Some(encoding),
        ..Inputs::uniform(vocabulary.len(), 0.0, 9.0, 10)
    });
    encoder.encode(&[Cell::Text(text.into())]).unwrap().to_vec()
}

#[test]
fn words_are_those_of_scikit_learn() {
    let words = Words {
        lowercase: true,
        split: Split::Words(2),
        ngrams: [1, 2],
        stop: Vec::new(),
    };
    // CountVectorizer(ngram_range=(1, 2)): single letters are no words, so "never bad" are
    // neighbours.
    let vocabulary = ["never", "bad", "never bad", "größe", "a_1", "don", "bad größe"];
    assert_eq!(
        counted("NEVER a bad, Größe! a_1 don't", &words, &vocabulary),
        [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]
    );
    let stopping = Words {
        stop: vec!["bad".to_owned()],
        ..words.clone()
    };
    assert_eq!(
        counted(
            "never bad größe never",
            &stopping,
            &["bad", "never größe", "never"]
        ),
        [0.0, 1.0, 2.0]
    );
    // CountVectorizer(analyzer="char", ngram_range=(2, 2))
    let characters = Words {
        split: Split::Characters,
        ngrams: [2, 2],
        ..words
    };
    assert_eq!(
        counted("a  b\n b", &characters, &["a ", " b", "b ", "b\n"]),
        [1.0, 2.0, 1.0, 0.0]
    );
    assert_eq!(counted("", &characters, &["a "]), [0.0]);
}

#[test]
fn messages_show_the_start_of_a_text() {
    let long = "x".repeat(100_000);
    let error = Cell::parse(&column("c", ColumnKind::Number), &long).unwrap_err();
    assert!(error.len() < 100, "{} bytes", error.len());
    let one_hot = Step::OneHot {
        of: 2,
        categories: Categories::Texts(vec![long.clone()]),
        unknown: Unknown::Refuse,
    };
    let error = run(vec![one_hot], 0.0, 0.0, &(long + "y")).unwrap_err();
    assert!(error.len() < 200, "{} bytes", error.len());
}

#[test]
fn cells_are_of_their_columns_kind() {
    let parse = |kind, text: &'static str| Cell::parse(&column("c", kind), text);
    assert_eq!(parse(ColumnKind::Number, " 1e1 "), Ok(Cell::Number(10.0)));
    assert_eq!(parse(ColumnKind::Number, ""), Ok(Cell::Missing));
    assert_eq!(parse(ColumnKind::Integer, "NaN"), Ok(Cell::Missing));
    assert_eq!(parse(ColumnKind::Flag, "True"), Ok(Cell::Number(1.0)));
    assert_eq!(parse(ColumnKind::Flag, "0.0"), Ok(Cell::Number(0.0)));
    assert_eq!(parse(ColumnKind::Category, ""), Ok(Cell::Text("".into())));
    assert_eq!(parse(ColumnKind::Category, " n/a"), Ok(Cell::Text(" n/a".into())));
    assert_eq!(parse(ColumnKind::Text, ""), Ok(Cell::Text("".into())));
    for (kind, text, words) in [
        (ColumnKind::Number, "x", "\"x\" is not a number"),
        (ColumnKind::Number, "inf", "\"inf\" is not a number"),
        (
            ColumnKind::Number,
            "1,5",
            "\"1,5\" is not a number: write 1.5 with a decimal point",
        ),
        (ColumnKind::Flag, "2", "\"2\" is neither true nor false"),
    ] {
        assert_eq!(parse(kind, text), Err(words.to_owned()));
    }
    let whole = Encoder::new(&Inputs {
        encoding: Some(Encoding {
            columns: vec![column("n", ColumnKind::Integer)],
            steps: Vec::new(),
            features: slots(&[0]),
        }),
        ..Inputs::uniform(1, 0.0, 9.0, 10)
    });
    for (cell, words) in [
        (Cell::Number(1.5), "1.5 is not a whole number"),
        (Cell::Number(f64::INFINITY), "inf is not a finite number"),
        (Cell::Text("1".into()), "is text"),
        (Cell::Missing, "is empty"),
    ] {
        let error = whole.encode(&[cell]).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
    assert!(
        whole
            .encode(&[])
            .unwrap_err()
            .to_string()
            .contains("0 values, the model takes 1")
    );
}

#[test]
fn numbers_are_rounded_where_the_original_rounds_them() {
    let encoder = |single| {
        Encoder::new(&Inputs {
            encoding: Some(Encoding {
                columns: vec![Column {
                    single,
                    ..column("a", ColumnKind::Number)
                }],
                steps: vec![Step::Bins {
                    of: 0,
                    edges: vec![f64::from(0.1f32)],
                    equal: Side::Above,
                    missing: None,
                }],
                features: slots(&[1]),
            }),
            ..Inputs::uniform(1, 0.0, 1.0, 2)
        })
    };
    // 0.1 in single precision is above 0.1 in double precision.
    assert_eq!(encoder(true).encode(&[Cell::Number(0.1)]).unwrap()[0], 1.0);
    assert_eq!(encoder(false).encode(&[Cell::Number(0.1)]).unwrap()[0], 0.0);
}

#[test]
fn results_that_are_no_numbers_are_refused_with_the_features_name() {
    let log = Step::Apply {
        of: slots(&[0]),
        function: Function::Log,
    };
    let error = run(vec![log], -1.0, 0.0, "x").unwrap_err();
    assert_eq!(error, "log(a) is not a finite number for this record");
}

proptest! {
    #[test]
    fn no_text_panics(text in "\\PC*", least in 0u32..4, lowercase: bool, characters: bool) {
        let words = Words {
            lowercase,
            split: if characters { Split::Characters } else { Split::Words(least) },
            ngrams: [1, 3],
            stop: vec!["a".to_owned()],
        };
        counted(&text, &words, &["a", "b c"]);
    }
}

#[test]
fn missing_and_empty_categories_are_those_of_the_model() {
    let encode = |categories: &[&str], unknown, cell: Cell<'_>| {
        let texts = categories.iter().map(|&text| text.to_owned()).collect();
        let step = Step::OneHot {
            of: 0,
            categories: Categories::Texts(texts),
            unknown,
        };
        let encoder = Encoder::of(&Encoding {
            columns: vec![column("job", ColumnKind::Category)],
            features: (1..=categories.len()).collect(),
            steps: vec![step],
        });
        encoder.encode(&[cell]).map(|features| features.to_vec())
    };
    let (empty, missing) = (|| Cell::Text("".into()), || Cell::Missing);
    // A missing cell is the category `nan`, and so is an empty one without a category of its own.
    assert_eq!(
        encode(&["a", "nan"], Unknown::Refuse, missing()),
        Ok(vec![0.0, 1.0])
    );
    assert_eq!(
        encode(&["a", "nan"], Unknown::Refuse, empty()),
        Ok(vec![0.0, 1.0])
    );
    assert_eq!(encode(&["", "nan"], Unknown::Refuse, empty()), Ok(vec![1.0, 0.0]));
    assert_eq!(
        encode(&["", "nan"], Unknown::Refuse, missing()),
        Ok(vec![0.0, 1.0])
    );
    assert_eq!(encode(&["", "a"], Unknown::Refuse, empty()), Ok(vec![1.0, 0.0]));
    assert_eq!(encode(&["a"], Unknown::Value(0.0), empty()), Ok(vec![0.0]));
    for cell in [empty(), missing()] {
        let error = encode(&["a", "b"], Unknown::Refuse, cell)
            .unwrap_err()
            .to_string();
        assert_eq!(
            error,
            "column \"job\": is empty, and the model has no value for that"
        );
    }
}

#[test]
fn words_are_those_of_python() {
    // Python's re.findall(r"\w\w+", text): vowel signs are no letters.
    let words = Words {
        lowercase: true,
        split: Split::Words(2),
        ngrams: [1, 1],
        stop: vec!["und".to_owned()],
    };
    let vocabulary = ["कमल", "कम", "कमला", "बाहर", "हर", "größe", "x²"];
    let step = Step::Counts {
        of: 0,
        words,
        vocabulary: vocabulary.map(str::to_owned).to_vec(),
        binary: false,
    };
    let encoder = Encoder::of(&Encoding {
        columns: vec![column("text", ColumnKind::Text)],
        features: (1..=vocabulary.len()).collect(),
        steps: vec![step],
    });
    let counts = |text: &'static str| encoder.encode(&[Cell::Text(text.into())]).unwrap().to_vec();
    assert_eq!(counts("कमला बाहर"), [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0]);
    assert_eq!(counts("Größe und x² und"), [0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0]);
}
