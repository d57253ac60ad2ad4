//! Two processes run one projection, and one of them is stopped past its lease, and then continued.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use factum::{Log, ReadModels, Runner};
use factum_sqlite::SqliteDb;
use rustix::process::{Pid, Signal, kill_process};
use tokio_util::sync::CancellationToken;

use crate::balances::{Balances, expected, rows, store_with};

const EVENTS: u64 = 6_000;
const EVENTS_PER_SECOND: u32 = 1_500;
/// After so many, whoever is left finishes undisturbed.
const TAKEN_OVER: u32 = 10;
/// Tells the process that it is to run a projection of the store in this folder until it is killed.
const FOLDER: &str = "FACTUM_PROJECT_AS_ONE_OF_TWO";
const HOLDER: &str = "FACTUM_PROJECT_AS";
const TEST: &str = "leases::a_process_that_was_stopped_past_its_lease_applies_nothing_twice";
const LEASE: Duration = Duration::from_millis(600);
const PATIENCE: Duration = Duration::from_secs(120);

#[test]
fn a_process_that_was_stopped_past_its_lease_applies_nothing_twice() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        project(folder.as_ref());
    }
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        store_with(&folder.path().join("store"), EVENTS).await.close();
        let db = SqliteDb::open(folder.path().join("read.sqlite")).await.unwrap();
        register(folder.path(), &db).await;
        throttle(&db, Some(EVENTS_PER_SECOND)).await;
        let mut processes = ["one", "other"].map(|holder| start_one(folder.path(), holder));
        let mut taken_over = 0;
        while taken_over < TAKEN_OVER && checkpoint(&db).await < EVENTS {
            // Whoever holds it is stopped, in whatever it does, until the other one holds it and goes on.
            let Some(holder) = holder(&db).await else { continue };
            let stopped = &processes[usize::from(holder != "one")];
            signal(stopped, Signal::STOP);
            let reached = checkpoint(&db).await;
            // One that was stopped inside a transaction of SQLite's keeps the file locked: it has to go on before others can.
            let given_up = Instant::now() + LEASE * 3;
            while checkpoint(&db).await <= reached && Instant::now() < given_up {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            taken_over += u32::from(reached < checkpoint(&db).await);
            signal(stopped, Signal::CONT);
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
        throttle(&db, None).await;
        let finished = async {
            while checkpoint(&db).await < EVENTS {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, finished).await.expect("whoever is left finishes");
        for process in &mut processes {
            process.kill().unwrap();
            process.wait().unwrap();
        }
        assert_eq!(rows(&db).await, expected(EVENTS));
        assert!(0 < taken_over, "nobody took over, so nothing was tested");
        println!("taken over {taken_over} times");
    });
}

/// Has whoever holds it wait between its transactions, so that most stops meet it there, and not where it keeps the file locked.
async fn throttle(db: &SqliteDb, events_per_second: Option<u32>) {
    let models = ReadModels::new(db.clone());
    let model = models.list().await.unwrap()[0].name.clone();
    models.throttle(&model, events_per_second).await.unwrap();
}

async fn checkpoint(db: &SqliteDb) -> u64 {
    let models = ReadModels::new(db.clone()).list().await.unwrap();
    models.first().map_or(0, |model| model.checkpoint().get())
}

async fn holder(db: &SqliteDb) -> Option<String> {
    let models = ReadModels::new(db.clone()).list().await.unwrap();
    models.first()?.partitions.first()?.lease.clone().map(|(holder, _)| holder)
}

fn start_one(folder: &Path, holder: &str) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", TEST, "--nocapture"]).env(FOLDER, folder).env(HOLDER, holder).stdout(Stdio::null());
    command.spawn().unwrap()
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

/// Makes the read model, and applies nothing.
async fn register(folder: &Path, db: &SqliteDb) {
    let over = CancellationToken::new();
    over.cancel();
    runner(folder, db, "nobody").start(&over).await.unwrap().ended().await;
}

fn project(folder: &Path) -> ! {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let db = SqliteDb::open(folder.join("read.sqlite")).await.unwrap();
        let runner = runner(folder, &db, &std::env::var(HOLDER).unwrap());
        runner.start(&CancellationToken::new()).await.unwrap().ended().await;
    });
    std::process::exit(1)
}

fn runner(folder: &Path, db: &SqliteDb, holder: &str) -> Runner<Balances<1, 1>> {
    let store = factum_embedded::open_read_only(folder.join("store")).unwrap();
    Log::new(store).project(Balances::<1, 1>, db.clone()).batch(20).lease(LEASE).holder(holder)
}
