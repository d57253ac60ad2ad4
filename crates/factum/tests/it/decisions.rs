//! Aggregates, boundaries, snapshots and the past, on a store in memory.
