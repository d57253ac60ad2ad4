//! Any bytes, as what a segment is made of.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| factum_embedded::fuzz::frame(bytes));
