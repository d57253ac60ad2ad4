//! A clock that a test sets.
