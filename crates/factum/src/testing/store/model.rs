//! Comparison with the store in memory, by random operations.
