//! The past: state as of a version, a position or a time.
