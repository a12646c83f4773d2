//! Only its dependency counts: building it leaves `libfuzzer.a`.
