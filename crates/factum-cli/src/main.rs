//! The binary `factum`.

fn main() {}
