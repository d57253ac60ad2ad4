//! The conformance suite of stores: every law, and the broken stores that it must catch.
