//! Projections, tested: from given events to tables, and through every crash.

mod killed;

use std::fmt::Debug;
use std::time::Duration;

use crate::{Append, Draft, Log, MemoryStore, NewEvent, Projection, Running};
use killed::{Killed, Plan};

/// Applies these events, which happened in this order, to a read model of the projection in `db`.
///
/// # Panics
/// Where one of them cannot be stored, or not be applied.
pub async fn project<P: Projection>(projection: P, db: P::Db, events: impl IntoIterator<Item: Into<Draft>>) {
    let log = Log::new(MemoryStore::new());
    record(&log, events).await;
    finish(log.project(projection, db).start(&Default::default()).await.expect("the projection starts"), &log).await;
}

/// What a projection's tables are does not depend on where it was killed: run twice, killed anywhere, the same tables.
///
/// The projection is run on these events once, undisturbed; and then once for each operation on its database, killed before it,
/// and once more, killed right after it, each time started again and run to the end. `db` opens an empty database, and `dump`
/// reads what is to be the same: all that the projection writes.
///
/// # Panics
/// Where the tables differ, with the operation at which it was killed.
pub async fn survives_kills<P: Projection, T: PartialEq + Debug>(
    projection: impl Fn() -> P,
    db: impl AsyncFn() -> P::Db,
    events: impl IntoIterator<Item: Into<Draft>>,
    dump: impl AsyncFn(&P::Db) -> T,
) {
    let log = Log::new(MemoryStore::new());
    record(&log, events).await;
    let undisturbed = db().await;
    let plan = Plan::never();
    finish(start(&log, projection(), &undisturbed, &plan).await.expect("the projection starts"), &log).await;
    let expected = dump(&undisturbed).await;
    // Some of them are looks at what to do, so their number differs from run to run: some more are tried.
    for operation in 0..plan.operations() {
        for plan in [Plan::before(operation), Plan::after(operation)] {
            let db = db().await;
            if let Some(Some(running)) = plan.until_killed(start(&log, projection(), &db, &plan)).await {
                let head = log.head().await.expect("the store is read");
                let _ = plan.until_killed(running.wait_for(head, PATIENCE)).await;
                running.kill().await;
            }
            finish(start(&log, projection(), &db, &Plan::never()).await.expect("it starts again"), &log).await;
            assert_eq!(dump(&db).await, expected, "killed {plan:?}: the tables are not those of an undisturbed run");
        }
    }
}

/// Long enough for anything but an error.
const PATIENCE: Duration = Duration::from_secs(30);
/// So that several transactions are needed.
const BATCH: usize = 3;

async fn start<P: Projection>(log: &Log, projection: P, db: &P::Db, plan: &Plan) -> Option<Running<Killed<P>>> {
    let killed = plan.on(db.clone());
    // By the same name, so that the lease of the one that was killed is no other's.
    let runner = log.project(Killed(projection), killed).batch(BATCH).holder("the same");
    runner.start(&Default::default()).await.ok()
}

async fn finish<P: Projection>(running: Running<P>, log: &Log) {
    let head = log.head().await.expect("the store is read");
    if let Err(error) = running.wait_for(head, PATIENCE).await {
        panic!("the projection does not get to the end: {error}");
    }
    running.kill().await;
}

async fn record(log: &Log, events: impl IntoIterator<Item: Into<Draft>>) {
    for draft in events {
        let event: Result<NewEvent, _> = draft.into().into_new_event();
        let event = event.expect("the event can be stored");
        log.append(Append::new(vec![event])).await.expect("the event is recorded");
    }
}
