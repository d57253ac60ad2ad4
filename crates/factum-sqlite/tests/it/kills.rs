//! A process is killed while it fills a read model, again and again: each event is in the tables once, and in order.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use factum::testing::survives_kills;
use factum::{Log, Running};
use factum_sqlite::SqliteDb;
use tokio_util::sync::CancellationToken;

use crate::balances::{Balances, expected, rows, store_with};

const KILLS: u32 = 1_000;
const EVENTS: u64 = 100_000;
/// Tells the process that it is to fill a read model of the store in this folder until it is killed.
const FOLDER: &str = "FACTUM_PROJECT_UNTIL_KILLED";
/// How long one may take for what takes a second.
const PATIENCE: Duration = Duration::from_secs(120);

#[test]
fn a_thousand_kills_leave_the_tables_of_an_undisturbed_run() {
    kill_a_thousand_times::<1>("kills::a_thousand_kills_leave_the_tables_of_an_undisturbed_run");
}

#[test]
fn a_thousand_kills_leave_the_tables_of_an_undisturbed_run_in_partitions() {
    kill_a_thousand_times::<4>("kills::a_thousand_kills_leave_the_tables_of_an_undisturbed_run_in_partitions");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tables_are_the_same_wherever_the_database_is_never_heard_of_again() {
    let deposit = |n: u64| factum::Draft::from(crate::balances::AccountEvent::Deposited { cents: n as i64 });
    let events = (1..=6).map(|n| deposit(n).to(format!("account-{}", n % 2).parse().unwrap()));
    survives_kills(|| Balances::<1, 2>, async || SqliteDb::temporary().await.unwrap(), events, rows).await;
}

fn kill_a_thousand_times<const PARTITIONS: u32>(test: &str) {
    if let Some(folder) = std::env::var_os(FOLDER) {
        project_until_killed::<PARTITIONS>(folder.as_ref());
    }
    let folder = tempfile::tempdir().unwrap();
    runtime().block_on(store_with(&folder.path().join("store"), EVENTS)).close();
    let expected = expected(EVENTS);
    let start = Instant::now();
    let (mut kills, mut wholes, mut random) = (0, 0, 1_u64);
    while kills < KILLS {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let mut child = start_one(test, folder.path());
        std::thread::sleep(Duration::from_micros(5_000 + (random >> 33) % 45_000));
        kills += u32::from(kill(&mut child));
        if is_whole(folder.path()) {
            wholes += 1;
            check_and_delete(folder.path(), &expected);
        }
    }
    // What the last kill left comes to the same end.
    let mut last = start_one(test, folder.path());
    assert!(last.wait().unwrap().success());
    check_and_delete(folder.path(), &expected);
    println!("{kills} kills, {} whole runs, {:.0?}", wholes + 1, start.elapsed());
}

fn start_one(test: &str, folder: &Path) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture"]).env(FOLDER, folder).stdout(Stdio::null());
    command.spawn().unwrap()
}

/// Kills it with SIGKILL; whether it lived.
fn kill(child: &mut Child) -> bool {
    child.kill().unwrap();
    !child.wait().unwrap().success()
}

/// Whether the last process got to the end, which it says in a file.
fn is_whole(folder: &Path) -> bool {
    folder.join("whole").exists()
}

fn check_and_delete(folder: &Path, expected: &[crate::balances::Row]) {
    let found = runtime().block_on(async { rows(&SqliteDb::open(folder.join("read.sqlite")).await.unwrap()).await });
    let differing = found.iter().zip(expected).find(|(found, expected)| found != expected);
    assert_eq!((differing, found.len()), (None, expected.len()));
    for file in ["read.sqlite", "read.sqlite-wal", "read.sqlite-shm", "whole"] {
        let _ = std::fs::remove_file(folder.join(file));
    }
}

fn project_until_killed<const PARTITIONS: u32>(folder: &Path) -> ! {
    runtime().block_on(async {
        let store = factum_embedded::open_read_only(folder.join("store")).unwrap();
        let db = SqliteDb::open(folder.join("read.sqlite")).await.unwrap();
        let shutdown = CancellationToken::new();
        let log = Log::new(store);
        let runner = log.project(Balances::<1, PARTITIONS>, db).batch(100).holder("the same, started again");
        let running: Running<_> = runner.start(&shutdown).await.unwrap();
        running.wait_for(log.head().await.unwrap(), PATIENCE).await.unwrap();
        shutdown.cancel();
        running.ended().await;
        std::fs::write(folder.join("whole"), "").unwrap();
    });
    std::process::exit(0)
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}
