//! Links the program with the libFuzzer that `cargo xtask fuzz` has built.

use std::env;

fn main() {
    println!("cargo:rerun-if-env-changed=LIBFUZZER_DIR");
    let Ok(folder) = env::var("LIBFUZZER_DIR") else {
        return;
    };
    let apple = env::var("CARGO_CFG_TARGET_VENDOR").is_ok_and(|vendor| vendor == "apple");
    println!("cargo:rustc-link-search=native={folder}");
    println!("cargo:rustc-link-lib=static=fuzzer");
    println!("cargo:rustc-link-lib={}", if apple { "c++" } else { "stdc++" });
}
