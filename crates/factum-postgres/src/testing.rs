//! PostgreSQL for tests: servers of the test's own, that end with it.

mod programs;
mod server;
mod cluster;

pub use cluster::Cluster;
pub use programs::PROGRAMS_VARIABLE;
pub use server::Server;
