//! Any bytes, as an index run.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| factum_embedded::fuzz::index(bytes));
