//! PostgreSQL for tests: servers of the test's own, that end with it.

mod programs;
mod server;
mod cluster;
mod pooler;

pub use cluster::Cluster;
pub use pooler::Pooler;
pub use programs::PROGRAMS_VARIABLE;
pub use server::Server;
