//! The binary `factum`, run as its users run it.

mod factum;

mod rules;
mod append;
mod read;
mod terminal;
mod copy;
mod trace;
mod state;
mod postgres;
mod projection;
mod group;
mod import;
mod export;
mod keep;
mod refusals;
