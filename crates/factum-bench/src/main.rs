//! Factum beside its peers.

fn main() {}
