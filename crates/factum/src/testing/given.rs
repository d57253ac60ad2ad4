//! Given-when-then on pure decisions.
