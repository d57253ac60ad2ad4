//! The primary of a cluster fails, in all ways that it can, under writers, projections and a subscription on a standby: what was
//! acknowledged is what is stored is what is projected.

mod copies;

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use factum::{Append, EventId, Expected, Log, NewEvent, Payload, Position, Query, Range, Read, Store, StreamName, Version};
use factum_postgres::testing::Cluster;
use factum_postgres::{Options, PgDb, PostgresStore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::copies::{Copies, rows};

const WRITERS: usize = 16;

/// How long a writer waits between two events: fewer of them are to be projected then, and none less waits for a failover.
const PAUSE: Duration = Duration::from_millis(100);

/// How long a writer, or a projection, waits for a server: longer than any failover takes.
const PATIENCE: Duration = Duration::from_secs(180);

/// How a primary fails.
#[derive(Debug, Clone, Copy)]
enum Failure {
    Killed,
    StoppedAtOnce,
    AgentKilled,
    Paused,
}

const FAILURES: [Failure; 10] = [
    Failure::Killed,
    Failure::StoppedAtOnce,
    Failure::AgentKilled,
    Failure::Killed,
    Failure::Paused,
    Failure::StoppedAtOnce,
    Failure::Killed,
    Failure::AgentKilled,
    Failure::Paused,
    Failure::Killed,
];

/// What was acknowledged: each event with its position.
type Acknowledged = Vec<(Position, EventId)>;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_was_acknowledged_is_stored_and_projected_once_whatever_becomes_of_the_primary() {
    let cluster = Cluster::start().await;
    let stores = [open(&cluster, false).await, open(&cluster, false).await];
    let acknowledgements = Arc::new(Acknowledgements::default());
    let mut writers = JoinSet::new();
    for number in 0..WRITERS {
        writers.spawn(write(stores[number % 2].clone(), number, acknowledgements.clone()));
    }
    let shutdown = CancellationToken::new();
    let db = PgDb::open(&cluster.url()).await.unwrap();
    let logs = [stores[0].clone(), stores[1].clone(), open(&cluster, true).await, open(&cluster, true).await].map(Log::new);
    let mut projections = Vec::new();
    for (number, log) in logs.iter().enumerate() {
        projections.push(log.project(Copies::new(number), db.clone()).start(&shutdown).await.unwrap());
    }
    let last = Arc::new(OnceLock::new());
    let follower = tokio::spawn(follow(open(&cluster, true).await, last.clone()));

    for failure in FAILURES {
        let primary = cluster.whole().await;
        let stall = fail(&cluster, primary, failure, &acknowledgements).await;
        let next = cluster.whole().await;
        tell(&format!("{failure:?}: server {primary} was the primary, and {next} is; nothing was acknowledged for {stall:.1?}"));
    }

    acknowledgements.end();
    let mut acknowledged: Acknowledged = writers.join_all().await.into_iter().flatten().collect();
    acknowledged.sort_unstable();
    let stored = read_all(&stores[0]).await;
    assert!(acknowledged == stored, "{} events were acknowledged, and {} are stored", acknowledged.len(), stored.len());
    last.set(stores[0].head().await.unwrap()).unwrap();
    let followed = tokio::time::timeout(PATIENCE, follower).await.unwrap().unwrap();
    let differing = followed.iter().zip(&stored).find(|(followed, stored)| followed != stored);
    assert_eq!((differing, followed.len()), (None, stored.len()), "a standby showed them");
    let rows_of = |(position, id): &(Position, EventId)| (position.get().cast_signed(), id.to_string(), 1);
    let stored: Vec<_> = stored.iter().map(rows_of).collect();
    for (number, projection) in projections.iter().enumerate() {
        projection.wait_for(stores[0].head().await.unwrap(), PATIENCE).await.unwrap();
        let projected = rows(&db, number).await;
        let differing = projected.iter().zip(&stored).find(|(projected, stored)| projected != stored);
        assert_eq!((differing, projected.len()), (None, stored.len()), "projection {number}");
    }
    tell(&format!("{} events were acknowledged, stored, projected four times and shown by standbys", stored.len()));
    shutdown.cancel();
}

/// Prints it also where the output of tests that pass is not shown.
fn tell(what: &str) {
    let _ = writeln!(std::io::stderr(), "{what}");
}

async fn open(cluster: &Cluster, standbys: bool) -> PostgresStore {
    Options::default().standbys(standbys).patience(PATIENCE).open(&cluster.url()).await.unwrap()
}

/// Appends until it is over, each event on the version that the one before it left.
async fn write(store: PostgresStore, number: usize, acknowledgements: Arc<Acknowledgements>) -> Acknowledged {
    let stream: StreamName = format!("writer-{number}").parse().unwrap();
    let mut acknowledged = Vec::new();
    while !acknowledgements.are_over() {
        let event = NewEvent::new(stream.clone(), "Happened", Payload::json("{}")).unwrap();
        let (id, version) = (event.id, Version::new(acknowledged.len() as u64));
        let append = Append::new(vec![event]).expect(stream.clone(), Expected::Exact(version));
        acknowledged.push((store.append(append).await.unwrap().positions.through, id));
        acknowledgements.note();
        tokio::time::sleep(PAUSE).await;
    }
    acknowledged
}

/// Reads what a standby shows, up to the last event: its position is known once all are written.
async fn follow(store: PostgresStore, last: Arc<OnceLock<Position>>) -> Acknowledged {
    let (mut events, mut after) = (Vec::new(), Position::START);
    loop {
        let range = Range::after(after);
        let page = store.read(Read::new(Query::all()).range(range)).await.unwrap();
        events.extend(page.events.iter().map(|event| (event.position, event.id)));
        after = page.through(range);
        if last.get().is_some_and(|last| after >= *last) {
            return events;
        }
        if page.rest.is_none() {
            let _ = tokio::time::timeout(Duration::from_secs(1), store.changed(after)).await;
        }
    }
}

async fn read_all(store: &PostgresStore) -> Acknowledged {
    let (mut events, mut rest) = (Vec::new(), Some(Range::after(Position::START)));
    while let Some(range) = rest {
        let page = store.read(Read::new(Query::all()).range(range)).await.unwrap();
        events.extend(page.events.iter().map(|event| (event.position, event.id)));
        rest = page.rest;
    }
    events
}

/// Has the primary fail, waits until one is there again, and mends the failed one; how long nothing was acknowledged at most.
async fn fail(cluster: &Cluster, primary: usize, failure: Failure, acknowledgements: &Acknowledgements) -> Duration {
    acknowledgements.go_on().await;
    acknowledgements.longest_stall();
    match failure {
        Failure::Killed => cluster.kill(primary),
        Failure::StoppedAtOnce => cluster.stop_immediately(primary),
        Failure::AgentKilled => cluster.kill_agent(primary),
        Failure::Paused => cluster.pause(primary),
    }
    if matches!(failure, Failure::AgentKilled | Failure::Paused) {
        // It may not know that it is the primary no longer.
        cluster.primary_but(primary).await;
    }
    acknowledgements.go_on().await;
    let stall = acknowledgements.longest_stall();
    match failure {
        Failure::Killed | Failure::StoppedAtOnce => {}
        Failure::AgentKilled => cluster.start_agent(primary),
        Failure::Paused => cluster.resume(primary),
    }
    stall
}

/// When something was acknowledged.
struct Acknowledgements {
    noted: Mutex<Noted>,
    over: AtomicBool,
}

struct Noted {
    count: usize,
    last: Instant,
    longest: Duration,
}

impl Default for Acknowledgements {
    fn default() -> Self {
        let noted = Noted { count: 0, last: Instant::now(), longest: Duration::ZERO };
        Self { noted: Mutex::new(noted), over: AtomicBool::new(false) }
    }
}

impl Acknowledgements {
    fn note(&self) {
        let mut noted = self.noted.lock().unwrap();
        noted.count += 1;
        noted.longest = noted.longest.max(noted.last.elapsed());
        noted.last = Instant::now();
    }

    /// The longest time between two, since this was asked last.
    fn longest_stall(&self) -> Duration {
        std::mem::take(&mut self.noted.lock().unwrap().longest)
    }

    /// Waits for some more, of each writer as it were.
    async fn go_on(&self) {
        let (enough, started) = (self.count() + 2 * WRITERS, Instant::now());
        while self.count() < enough {
            assert!(started.elapsed() < PATIENCE, "nothing is acknowledged any more");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn count(&self) -> usize {
        self.noted.lock().unwrap().count
    }

    fn end(&self) {
        self.over.store(true, Ordering::SeqCst);
    }

    fn are_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }
}
