//! A decision: load, decide, append, and again on a conflict.
