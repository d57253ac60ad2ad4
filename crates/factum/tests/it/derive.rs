//! `#[derive(Event)]`: what it makes, and what it says when it cannot.
