//! What the tests share.

use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use factum::{Append, NewEvent, Payload, Store};
use factum_postgres::Options;
use factum_postgres::testing::Server;

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
    static BUSY: Once = Once::new();
    BUSY.call_once(|| {
        let busy = || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let store = Options::default().log(format!("busy-{}", std::process::id())).open(&url()).await.unwrap();
                loop {
                    let streams = ["a", "b", "account-1", "order-1", "s"];
                    let event = |stream: &str| {
                        let event = NewEvent::new(stream.parse().unwrap(), "Happened", Payload::json("{}")).unwrap();
                        NewEvent { tags: vec!["course:c1".parse().unwrap()], ..event }
                    };
                    store.append(Append::new(streams.map(event).into())).await.unwrap();
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            });
        };
        std::thread::spawn(busy);
    });
}
