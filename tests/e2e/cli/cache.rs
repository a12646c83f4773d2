//! The cache of descriptors.

use super::toy::{PREDICT, check, classes, models, serve, write_rows};
use blindscore_tests::{Program, Recorder};
use std::{
    fs::{self, DirEntry},
    path::PathBuf,
};

/// Returns the files of the program's cache.
fn cached(program: &Program) -> Vec<PathBuf> {
    let folder = program.home().join("cache/blindscore/descriptors");
    let entries = fs::read_dir(folder).into_iter().flatten();
    entries.flatten().map(|entry: DirEntry| entry.path()).collect()
}

#[test]
fn an_unchanged_descriptor_is_not_fetched_again() {
    let toy = classes();
    let server = serve(&toy, &[]);
    let wire = Recorder::before(server.url());
    let program = Program::new(wire.url());
    let conditional = || {
        let sent = String::from_utf8_lossy(&wire.sent()).to_ascii_lowercase();
        sent.matches("if-none-match: \"").count()
    };
    write_rows(&program.home().join("rows.csv"));
    let made = program.run(&["keygen", "--model", "toy"]).expect_success();
    assert_eq!(conditional(), 0);
    let [file] = &cached(&program)[..] else {
        panic!("{:?}", cached(&program))
    };
    let kept = fs::read(file).expect("the cache");
    program.run(&PREDICT).expect_success();
    assert_eq!(conditional(), 1);
    check(&program.home().join("scores.csv"), &toy);
    assert_eq!(fs::read(file).expect("the cache"), kept);

    // What is not a descriptor is fetched anew, and so is what can't be read.
    for content in [&b"nothing"[..], &kept[..kept.len() / 2], b""] {
        fs::write(file, content).expect("written");
        program.run(&PREDICT).expect_success();
        assert_eq!(conditional(), 1);
        assert_eq!(fs::read(file).expect("the cache"), kept);
    }
    fs::remove_file(file).expect("removed");
    fs::create_dir(file).expect("made");
    program.run(&PREDICT).expect_success();
    check(&program.home().join("scores.csv"), &toy);
    fs::remove_dir(file).expect("removed");

    // Nor is one that can't be used, whatever the server says of it.
    program.run(&PREDICT).expect_success();
    let other = String::from_utf8_lossy(&kept).replace("\"softmax\"", "\"isotonic\"");
    fs::write(file, other).expect("written");
    program.run(&PREDICT).expect_success();
    assert_eq!(conditional(), 1);
    assert_eq!(fs::read(file).expect("the cache"), kept);

    program.run(&["forget", "--model", "toy"]).expect_success();
    assert!(cached(&program).is_empty());
    assert!(made.stdout.contains("secret key: "));
}

#[test]
fn a_changed_descriptor_replaces_the_one_before() {
    let before = classes();
    let server = serve(&before, &[]);
    let program = Program::new(server.url());
    write_rows(&program.home().join("rows.csv"));
    program.run(&["keygen", "--model", "toy"]).expect_success();
    let kept = fs::read(&cached(&program)[0]).expect("the cache");
    let after = models("identity", &[1.0, 0.0, 0.0], "[\"value\"]");
    let file = "toy.safetensors";
    fs::copy(after.path().join(file), before.path().join(file)).expect("copied");
    let changed = (0..100).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(100));
        let ended = program.run(&PREDICT);
        // The model may change between the descriptor and the rows: that run is refused, the next
        // isn't.
        if !ended.success {
            ended.expect_failure("model_changed");
            return false;
        }
        fs::read(&cached(&program)[0]).expect("the cache") != kept
    });
    assert!(changed);
    let scores = fs::read_to_string(program.home().join("scores.csv")).expect("scores");
    assert!(scores.starts_with("who,predicted_value"), "{scores}");
    assert_eq!(cached(&program).len(), 1);
}
