//! A repository: the aggregates of one kind.
