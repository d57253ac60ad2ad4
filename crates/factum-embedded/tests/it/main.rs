//! The store on local disk at its boundary.

mod backups;
mod contract;
mod crash;
mod derived;
mod faults;
mod fixture;
mod folders;
mod kill;
mod read_only;
mod support;
