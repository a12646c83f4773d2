#!/bin/sh
# rustc for the crates of this workspace (cargo's RUSTC_WORKSPACE_WRAPPER): the libraries that are fuzzed get what libFuzzer sees branches
# and comparisons by. What they depend on is shared with the ordinary build.
case " $* " in
*" --crate-name blindscore_protocol "* | *" --crate-name blindscore_client "* | *" --crate-name blindscore_engine "* | \
    *" --crate-name blindscore_import "* | *" --crate-name blindscore_server "*)
    exec "$@" -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
        -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
        -Cllvm-args=-sanitizer-coverage-trace-compares
    ;;
*) exec "$@" ;;
esac
