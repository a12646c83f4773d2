//! Fuzz targets for everything that reads bytes from outside: one [`Target`] per reader.
//!
//! Whatever the input, the code under test returns a value or an error. It doesn't panic, it ends
//! soon, and it allocates no more than the target's limit. `cargo xtask fuzz` runs the targets
//! under libFuzzer, which looks for inputs that reach new code. Inputs that broke something are
//! kept in `seeds`, with which every later run starts.

mod answers;
mod blobs;
mod descriptor;
mod edit;
mod http;
mod inference;
mod model;
mod onnx;
mod program;
mod rows;
mod samples;
mod server;
mod settings;
mod table;
mod trees;

/// Fuzz target for one reader of bytes from outside.
pub struct Target {
    /// Name of the target.
    pub name: &'static str,
    /// Limit in bytes on allocations beyond those that [`Target::prepare`] leaves.
    pub memory: usize,
    /// Setup, run once before the first input.
    pub prepare: fn(),
    /// Reads one input. Panics if a check fails.
    pub run: fn(&[u8]),
}

const MIB: usize = 1 << 20;

/// Targets that run in libFuzzer. The npm package has a script of its own (`npm.mjs`).
pub const TARGETS: &[Target] = &[
    // A network's key has up to 15 MB, its coefficients 23 MB.
    Target {
        name: "blobs",
        memory: 128 * MIB,
        prepare: samples::prepare,
        run: blobs::run,
    },
    // A query of 16,384 features, and a response of 1,000 scores.
    Target {
        name: "descriptor",
        memory: 64 * MIB,
        prepare: samples::prepare,
        run: descriptor::run,
    },
    Target {
        name: "onnx",
        memory: 512 * MIB,
        prepare: onnx::prepare,
        run: onnx::run,
    },
    Target {
        name: "model",
        memory: 256 * MIB,
        prepare: || {},
        run: model::run,
    },
    // A file of 20 MB has trees of many times that.
    Target {
        name: "trees",
        memory: 256 * MIB,
        prepare: || {},
        run: trees::run,
    },
    Target {
        name: "table",
        memory: 64 * MIB,
        prepare: samples::prepare,
        run: table::run,
    },
    Target {
        name: "tokens",
        memory: 16 * MIB,
        prepare: || {},
        run: settings::tokens,
    },
    Target {
        name: "counts",
        memory: 16 * MIB,
        prepare: settings::prepare_counts,
        run: settings::counts,
    },
    Target {
        name: "shared",
        memory: 16 * MIB,
        prepare: || {},
        run: settings::shared,
    },
    Target {
        name: "config",
        memory: 16 * MIB,
        prepare: || {},
        run: settings::config,
    },
    Target {
        name: "inference",
        memory: 16 * MIB,
        prepare: || {},
        run: inference::run,
    },
    // Memory that the documentation promises for a server with the options of `cargo xtask fuzz`,
    // except for what is mapped.
    Target {
        name: "http",
        memory: server::MEMORY,
        prepare: server::prepare,
        run: http::run,
    },
    Target {
        name: "rows",
        memory: server::MEMORY,
        prepare: server::prepare,
        run: rows::run,
    },
    Target {
        name: "answers",
        memory: server::MEMORY,
        prepare: answers::prepare,
        run: answers::run,
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// The seeds include inputs that broke something once.
    #[test]
    fn seeds_break_nothing() {
        let seeds = concat!(env!("CARGO_MANIFEST_DIR"), "/seeds");
        for name in [
            "blobs",
            "descriptor",
            "onnx",
            "model",
            "trees",
            "table",
            "tokens",
            "inference",
        ] {
            let target = TARGETS.iter().find(|target| target.name == name).unwrap();
            for entry in fs::read_dir(format!("{seeds}/{name}")).unwrap() {
                (target.run)(&fs::read(entry.unwrap().path()).unwrap());
            }
        }
    }
}
