//! As `kills`, on PostgreSQL, while two other processes of sixteen writers append to the same log.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use factum::testing::ManualClock;
use factum::{Append, Log, NewEvent, Payload, Query, Read, Selector, Store, Timestamp};
use factum_orders::{Fulfilment, PAYMENT_TIME};
use factum_postgres::testing::Server;
use factum_postgres::{Options, PostgresStore};
use tokio_util::sync::CancellationToken;

use crate::common::{journal, place, runtime, send};

mod common;

const KILLS: u32 = 300;
const ORDERS: usize = 60;
/// The commands of a round of orders: each is shipped or cancelled, and some are paid back.
const COMMANDS: usize = ORDERS + ORDERS / 10;
const PROCESSES: usize = 2;
const WRITERS: usize = 16;
const TEST: &str = "hundreds_of_kills_beside_other_writers_leave_what_an_undisturbed_run_does";
/// What a process is told: where the database is; which round of orders it is to fulfil, or none where it is to write; and where
/// to say what it sends.
const DATABASE: &str = "FACTUM_FULFIL_ON";
const ROUND: &str = "FACTUM_FULFIL_ROUND";
const SENT: &str = "FACTUM_FULFIL_SENT";
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn hundreds_of_kills_beside_other_writers_leave_what_an_undisturbed_run_does() {
    if let Ok(url) = std::env::var(DATABASE) {
        match std::env::var(ROUND) {
            Ok(round) => runtime().block_on(fulfil(&url, round.parse().unwrap())),
            Err(_) => runtime().block_on(write(&url)),
        }
        std::process::exit(0);
    }
    let (runtime, folder) = (runtime(), tempfile::tempdir().unwrap());
    let (url, sent) = (Server::shared().url(), folder.path().join("sent"));
    let fulfil = |round: usize| start(&url, Some((round, &sent)));
    runtime.block_on(place_round(&url, 0));
    assert!(fulfil(0).wait().unwrap().success());
    let expected = runtime.block_on(done(&url, 0));
    assert_eq!((expected.len(), commands(&sent)), (2 * ORDERS, COMMANDS));

    let writers: Vec<(Child, ChildStdin)> = (0..PROCESSES).map(|_| start_writer(&url)).collect();
    let (begun, mut kills, mut round, mut random) = (Instant::now(), 0, 1, 1_u64);
    runtime.block_on(place_round(&url, round));
    while kills < KILLS {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let mut child = fulfil(round);
        std::thread::sleep(Duration::from_micros(20_000 + (random >> 33) % 130_000));
        child.kill().unwrap();
        let whole = child.wait().unwrap().success();
        kills += u32::from(!whole);
        if whole {
            assert_eq!((runtime.block_on(done(&url, round)), commands(&sent)), (expected.clone(), COMMANDS * (round + 1)));
            round += 1;
            runtime.block_on(place_round(&url, round));
        }
    }
    // What the last kill left comes to the same end.
    assert!(fulfil(round).wait().unwrap().success());
    assert_eq!((runtime.block_on(done(&url, round)), commands(&sent)), (expected, COMMANDS * (round + 1)));
    for (mut writer, stdin) in writers {
        drop(stdin);
        assert!(writer.wait().unwrap().success());
    }
    println!("{kills} kills, {round} rounds, {:.0?}", begun.elapsed());
}

fn start(url: &str, fulfil: Option<(usize, &Path)>) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", TEST, "--nocapture"]).env(DATABASE, url).stdin(Stdio::piped()).stdout(Stdio::null());
    if let Some((round, sent)) = fulfil {
        command.env(ROUND, round.to_string()).env(SENT, sent);
    }
    command.spawn().unwrap()
}

/// It ends when its input does.
fn start_writer(url: &str) -> (Child, ChildStdin) {
    let mut writer = start(url, None);
    let stdin = writer.stdin.take().unwrap();
    (writer, stdin)
}

/// When a round of orders begins.
fn clock(round: usize) -> ManualClock {
    let first: Timestamp = "2026-11-23T09:30:00Z".parse().unwrap();
    let clock = ManualClock::new(first);
    clock.advance(8 * PAYMENT_TIME * round as u32);
    clock
}

async fn open(url: &str, clock: &ManualClock) -> PostgresStore {
    Options::default().clock(clock.clone()).open(url).await.unwrap()
}

async fn place_round(url: &str, round: usize) {
    let clock = clock(round);
    let store = open(url, &clock).await;
    let ids: Vec<String> = (0..ORDERS).map(|number| format!("{round}-{number}")).collect();
    place(&Log::new(store.clone()).repository(), &ids, &clock).await;
    store.close().await;
}

/// Fulfils all orders up to those of a round.
async fn fulfil(url: &str, round: usize) {
    let clock = clock(round);
    clock.advance(4 * PAYMENT_TIME);
    let store = open(url, &clock).await;
    let (log, shutdown) = (Log::new(store.clone()), CancellationToken::new());
    let (sent, orders) = (journal(std::env::var(SENT).unwrap()), log.clone());
    let handler = move |dispatch| send(dispatch, sent.clone(), orders.clone());
    let running = log.process::<Fulfilment, _, _>(handler).clock(clock).member("fulfilment").start(&shutdown).await.unwrap();
    let begun = Instant::now();
    let completed = Selector::default().event_type("FulfilmentCompleted".parse().unwrap()).into();
    while count(&store, &completed).await < ORDERS * (round + 1) {
        assert!(begun.elapsed() < PATIENCE, "{:?}", running.status());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    shutdown.cancel();
    running.ended().await.unwrap();
    store.close().await;
}

/// Appends with all writers until the input ends.
async fn write(url: &str) {
    let (store, over) = (open(url, &clock(0)).await, Arc::new(AtomicBool::new(false)));
    let write = |number: usize| {
        let (store, over) = (store.clone(), over.clone());
        let event = move || NewEvent::new(format!("other-{number}").parse().unwrap(), "Other", Payload::json("{}")).unwrap();
        async move {
            while !over.load(Ordering::Relaxed) {
                store.append(Append::new(vec![event()])).await.unwrap();
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    };
    let writers: tokio::task::JoinSet<()> = (0..WRITERS).map(write).collect();
    tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await.unwrap().unwrap();
    over.store(true, Ordering::Relaxed);
    writers.join_all().await;
    store.close().await;
}

/// How many commands were sent; one that was sent again counts once.
fn commands(sent: &Path) -> usize {
    std::fs::read_to_string(sent).unwrap().lines().collect::<BTreeSet<_>>().len()
}

async fn count(store: &PostgresStore, query: &Query) -> usize {
    let (log, mut count) = (Log::new(store.clone()), 0);
    let mut pages = log.read(Read::new(query.clone()));
    while let Some(page) = pages.next().await.unwrap() {
        count += page.events.len();
    }
    count
}

/// The types of the events of a round's orders, and of their fulfilments, by their streams.
async fn done(url: &str, round: usize) -> BTreeMap<String, Vec<String>> {
    let store = factum_postgres::open(url).await.unwrap();
    let mut events = BTreeMap::<String, Vec<String>>::new();
    let log = Log::new(store.clone());
    let mut pages = log.read(Read::new(Query::all()));
    while let Some(page) = pages.next().await.unwrap() {
        for event in &page.events {
            let Some((category, order)) = event.stream.as_str().split_once(&format!("-{round}-")) else { continue };
            events.entry(format!("{category}-{order}")).or_default().push(event.event_type.to_string());
        }
    }
    store.close().await;
    events
}
