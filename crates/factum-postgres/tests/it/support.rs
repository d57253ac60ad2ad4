//! What the tests share.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use factum_postgres::testing::Server;

use crate::writers::Writers;

/// The database of these tests.
pub(crate) fn url() -> String {
    Server::shared().url()
}

/// A database of a test's own.
pub(crate) async fn database() -> String {
    static MADE: AtomicU32 = AtomicU32::new(0);
    let name = format!("test-{}", MADE.fetch_add(1, Ordering::Relaxed));
    Server::shared().create_database(&name).await
}

/// Keeps another log of the database busy, with names and ids that others have too, for as long as the process lives.
pub(crate) fn busy_log() {
    static BUSY: OnceLock<Writers> = OnceLock::new();
    BUSY.get_or_init(|| Writers::start(&url(), &format!("busy-{}", std::process::id()), Duration::from_millis(100)));
}
