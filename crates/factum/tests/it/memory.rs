//! The store in memory against the laws.
