//! Empty: building its dependency leaves `libfuzzer.a`.
