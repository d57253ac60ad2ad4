//! The program is killed again and again, anywhere: it does the same as if it had never been.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use factum::testing::ManualClock;
use factum::{Log, Query, Read};
use factum_embedded::{EmbeddedStore, Options};
use factum_orders::{Fulfilment, PAYMENT_TIME};
use tokio_util::sync::CancellationToken;

use crate::common::{journal, place, runtime, send};

mod common;

const KILLS: u32 = 1_000;
const ORDERS: usize = 120;
/// Tells the process that it is to fulfil the orders in this folder until it is killed.
const FOLDER: &str = "FACTUM_FULFIL_UNTIL_KILLED";
const TEST: &str = "a_thousand_kills_leave_the_events_and_the_commands_of_an_undisturbed_run";
const PATIENCE: Duration = Duration::from_secs(60);

/// What was done: the events of each stream with their ids, and the ids of all commands that were sent.
#[derive(Debug, PartialEq)]
struct Done {
    events: BTreeMap<String, Vec<String>>,
    commands: BTreeSet<String>,
}

#[test]
fn a_thousand_kills_leave_the_events_and_the_commands_of_an_undisturbed_run() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        fulfil_until_killed(folder.as_ref());
    }
    let folder = tempfile::tempdir().unwrap();
    let (prepared, run) = (folder.path().join("prepared"), folder.path().join("run"));
    runtime().block_on(prepare(&prepared));
    let begin = || {
        let _ = std::fs::remove_dir_all(&run);
        copy(&prepared, &run.join("store"));
    };
    begin();
    assert!(start_one(&run).wait().unwrap().success());
    let expected = runtime().block_on(done(&run));
    // A third is overdue, and so is a tenth that was paid too late.
    assert_eq!(expected.commands.len(), ORDERS + ORDERS / 10);
    begin();
    let (start, mut kills, mut wholes, mut random) = (Instant::now(), 0, 0, 1_u64);
    while kills < KILLS {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let mut child = start_one(&run);
        std::thread::sleep(Duration::from_micros(4_000 + (random >> 33) % 36_000));
        child.kill().unwrap();
        kills += u32::from(!child.wait().unwrap().success());
        if run.join("whole").exists() {
            wholes += 1;
            assert_eq!(runtime().block_on(done(&run)), expected);
            begin();
        }
    }
    // What the last kill left comes to the same end.
    assert!(start_one(&run).wait().unwrap().success());
    assert_eq!(runtime().block_on(done(&run)), expected);
    println!("{kills} kills, {} whole runs, {:.0?}", wholes + 1, start.elapsed());
}

async fn prepare(folder: &Path) {
    let clock = clock();
    let store = Options::default().clock(clock.clone()).open(folder).unwrap();
    let ids: Vec<String> = (0..ORDERS).map(|number| number.to_string()).collect();
    place(&Log::new(store.clone()).repository(), &ids, &clock).await;
    store.close();
}

fn clock() -> ManualClock {
    ManualClock::new("2026-11-23T09:30:00Z".parse().unwrap())
}

fn start_one(run: &Path) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", TEST, "--nocapture"]).env(FOLDER, run).stdout(Stdio::null());
    command.spawn().unwrap()
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

fn fulfil_until_killed(run: &Path) -> ! {
    runtime().block_on(async {
        let clock = clock();
        clock.advance(4 * PAYMENT_TIME);
        let store = open(run, &clock);
        let (log, shutdown) = (Log::new(store.clone()), CancellationToken::new());
        let (sent, orders) = (journal(run.join("sent")), log.clone());
        let handler = move |dispatch| send(dispatch, sent.clone(), orders.clone());
        let fulfilment = log.process::<Fulfilment, _, _>(handler).clock(clock).member("fulfilment");
        let running = fulfilment.start(&shutdown).await.unwrap();
        let begun = Instant::now();
        while events(&store).await.values().flatten().filter(|event| event.starts_with("FulfilmentCompleted")).count() < ORDERS {
            assert!(begun.elapsed() < PATIENCE, "{:?}", running.status());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        shutdown.cancel();
        running.ended().await.unwrap();
        store.close();
        File::create(run.join("whole")).unwrap();
    });
    std::process::exit(0)
}

fn open(run: &Path, clock: &ManualClock) -> EmbeddedStore {
    let begun = Instant::now();
    loop {
        // The one that was killed may hold its lock for a moment more.
        match Options::default().clock(clock.clone()).open(run.join("store")) {
            Ok(store) => return store,
            Err(error) => assert!(begun.elapsed() < PATIENCE, "{error}"),
        }
    }
}

async fn done(run: &Path) -> Done {
    let events = events(&factum_embedded::open_read_only(run.join("store")).unwrap()).await;
    let sent = std::fs::read_to_string(run.join("sent")).unwrap();
    Done { events, commands: sent.lines().map(str::to_owned).collect() }
}

/// The events of orders and of their fulfilments.
async fn events(store: &EmbeddedStore) -> BTreeMap<String, Vec<String>> {
    let mut events = BTreeMap::<String, Vec<String>>::new();
    let log = Log::new(store.clone());
    let mut pages = log.read(Read::new(Query::all()));
    while let Some(page) = pages.next().await.unwrap() {
        for event in page.events.iter().filter(|event| !event.stream.is_system()) {
            let text = format!("{} {} {}", event.event_type, event.id, String::from_utf8_lossy(&event.payload.data));
            events.entry(event.stream.to_string()).or_default().push(text);
        }
    }
    events
}
