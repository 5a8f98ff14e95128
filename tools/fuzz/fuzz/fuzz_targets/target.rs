//! The target that this program is called after.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| paybell_fuzz::run(env!("CARGO_BIN_NAME"), input));
