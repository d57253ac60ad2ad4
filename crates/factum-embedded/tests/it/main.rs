//! The store on local disk at its boundary.

mod backups;
mod contract;
mod derived;
mod fixture;
mod folders;
mod read_only;
mod support;
