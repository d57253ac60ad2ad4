//! A snapshot: cached state at a version.
