//! A process is killed while it fills a read model, again and again: each event is in the tables once, and in order.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use factum::{Log, ReadModels};
use factum_postgres::PgDb;
use tokio_util::sync::CancellationToken;

use crate::balances::{Balances, check_rows, deposit, rows};
use crate::support::database;
use crate::writers::Writers;

const KILLS: u32 = 100;
const EVENTS: u64 = 5_000;
/// Tells the process that it is to fill a read model in this database until it is killed.
const DATABASE: &str = "FACTUM_PROJECT_UNTIL_KILLED";
/// How long one may take for what takes a second.
const PATIENCE: Duration = Duration::from_secs(120);

#[test]
fn many_kills_leave_the_tables_of_an_undisturbed_run() {
    kill_many_times::<1>("kills::many_kills_leave_the_tables_of_an_undisturbed_run");
}

#[test]
fn many_kills_leave_the_tables_of_an_undisturbed_run_in_partitions() {
    kill_many_times::<4>("kills::many_kills_leave_the_tables_of_an_undisturbed_run_in_partitions");
}

fn kill_many_times<const PARTITIONS: u32>(test: &str) {
    if let Ok(url) = std::env::var(DATABASE) {
        project_until_killed::<PARTITIONS>(&url);
    }
    let runtime = runtime();
    let url = runtime.block_on(async {
        let url = database().await;
        deposit(&factum_postgres::open(&url).await.unwrap(), 1..=EVENTS).await;
        url
    });
    let writers = Writers::start(&url, "main", Duration::from_millis(200));
    let (start, mut kills, mut wholes, mut random) = (Instant::now(), 0, 0, 1_u64);
    while kills < KILLS {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let mut child = start_one(test, &url);
        std::thread::sleep(Duration::from_micros(20_000 + (random >> 33) % 80_000));
        child.kill().unwrap();
        let whole = child.wait().unwrap().success();
        kills += u32::from(!whole);
        if whole {
            wholes += 1;
            runtime.block_on(check_and_drop(&url));
        }
    }
    // What the last kill left comes to the same end.
    let appended = writers.stop().len();
    assert!(start_one(test, &url).wait().unwrap().success());
    runtime.block_on(check_and_drop(&url));
    println!("two processes of sixteen writers appended {appended} events in between");
    println!("{kills} kills, {} whole runs, {:.0?}", wholes + 1, start.elapsed());
}

fn start_one(test: &str, url: &str) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture"]).env(DATABASE, url).stdout(Stdio::null());
    command.spawn().unwrap()
}

async fn check_and_drop(url: &str) {
    let db = PgDb::open(url).await.unwrap();
    let models = ReadModels::new(db.clone()).list().await.unwrap();
    // Its parts may be at different positions, where others append on.
    let store = factum_postgres::open(url).await.unwrap();
    check_rows(&rows(&db).await, &store, models[0].checkpoint()).await;
    for model in models {
        sqlx::query(sqlx::AssertSqlSafe(format!("DROP SCHEMA \"{}\" CASCADE", model.name))).execute(db.pool()).await.unwrap();
    }
    sqlx::query("DROP SCHEMA factum_read CASCADE").execute(db.pool()).await.unwrap();
}

fn project_until_killed<const PARTITIONS: u32>(url: &str) -> ! {
    runtime().block_on(async {
        let log = Log::new(factum_postgres::open(url).await.unwrap());
        let db = PgDb::open(url).await.unwrap();
        let shutdown = CancellationToken::new();
        let runner = log.project(Balances::<1, PARTITIONS>, db).batch(100).holder("the same, started again");
        let running = runner.start(&shutdown).await.unwrap();
        running.wait_for(log.head().await.unwrap(), PATIENCE).await.unwrap();
        shutdown.cancel();
        running.ended().await;
    });
    std::process::exit(0)
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}
