//! Two other processes that append with sixteen writers each, while a test does something else.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use factum::{
    Append, EventId, Expected, NewEvent, Payload, Position, Query, Range, Read as ReadEvents, Store, StreamName, Version,
};
use factum_postgres::{Options, PostgresStore};
use tokio::task::JoinSet;

use crate::support::database;

const PROCESSES: usize = 2;
const WRITERS: usize = 16;

/// Tells a process that it is to append to the log of this name in the database at this URL, and how long to wait in between.
const DATABASE: &str = "FACTUM_WRITE_TO";
const LOG: &str = "FACTUM_WRITE_LOG";
const PAUSE: &str = "FACTUM_WRITE_PAUSE_MILLISECONDS";
const TEST: &str = "writers::what_two_processes_of_sixteen_writers_append_is_there_once_and_in_order";

/// What stands before what a process says was acknowledged; the test harness prints other things.
const ACKNOWLEDGED: &str = "acknowledged ";

/// The processes. They end with this one, whatever ends it.
pub(crate) struct Writers(Vec<(Child, ChildStdin)>);

impl Writers {
    pub(crate) fn start(url: &str, log: &str, pause: Duration) -> Self {
        let start = |_| {
            let mut command = Command::new(std::env::current_exe().unwrap());
            command.args(["--exact", TEST, "--nocapture"]).stdin(Stdio::piped()).stdout(Stdio::piped());
            command.env(DATABASE, url).env(LOG, log).env(PAUSE, pause.as_millis().to_string());
            let mut process = command.spawn().unwrap();
            let stdin = process.stdin.take().unwrap();
            (process, stdin)
        };
        Self((0..PROCESSES).map(start).collect())
    }

    /// Ends them; what was acknowledged.
    pub(crate) fn stop(self) -> BTreeMap<Position, EventId> {
        // They have until now: all stop at once.
        let processes: Vec<Child> = self.0.into_iter().map(|(process, _stdin)| process).collect();
        let mut acknowledged = BTreeMap::new();
        for process in processes {
            let output = process.wait_with_output().unwrap();
            assert!(output.status.success(), "a process that appended failed");
            for line in String::from_utf8(output.stdout).unwrap().lines() {
                // A line of the harness may stand before it.
                let Some((_, line)) = line.split_once(ACKNOWLEDGED) else { continue };
                let (position, id) = line.split_once(' ').unwrap();
                let before = acknowledged.insert(position.parse().map(Position::new).unwrap(), id.parse().unwrap());
                assert_eq!(before, None, "position {position} was given to two events");
            }
        }
        acknowledged
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_two_processes_of_sixteen_writers_append_is_there_once_and_in_order() {
    if let Ok(url) = std::env::var(DATABASE) {
        append_until_told(&url).await;
    }
    let url = database().await;
    let writers = Writers::start(&url, "main", Duration::ZERO);
    tokio::time::sleep(Duration::from_secs(5)).await;
    let acknowledged = tokio::task::block_in_place(|| writers.stop());
    let store = factum_postgres::open(&url).await.unwrap();
    assert!(100 < acknowledged.len(), "they appended no more than {} events", acknowledged.len());
    assert_eq!(stored(&store).await, acknowledged);
    assert_eq!(store.head().await.unwrap(), Position::new(acknowledged.len() as u64));
}

pub(crate) async fn stored(store: &PostgresStore) -> BTreeMap<Position, EventId> {
    let (mut events, mut rest) = (BTreeMap::new(), Some(Range::after(Position::START)));
    while let Some(range) = rest {
        let page = store.read(ReadEvents::new(Query::all()).range(range)).await.unwrap();
        events.extend(page.events.iter().map(|event| (event.position, event.id)));
        rest = page.rest;
    }
    events
}

/// What one of the processes does.
async fn append_until_told(url: &str) -> ! {
    let pause = Duration::from_millis(std::env::var(PAUSE).unwrap().parse().unwrap());
    let store = Options::default().log(std::env::var(LOG).unwrap()).open(url).await.unwrap();
    let over = Arc::new(AtomicBool::new(false));
    let mut writers = JoinSet::new();
    for number in 0..WRITERS {
        writers.spawn(append(store.clone(), number, pause, over.clone()));
    }
    // Until the other side is closed.
    tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await.unwrap().unwrap();
    over.store(true, Ordering::SeqCst);
    let acknowledged = writers.join_all().await.concat();
    let lines: String = acknowledged.iter().map(|(position, id)| format!("{ACKNOWLEDGED}{position} {id}\n")).collect();
    // Where nobody listens any more, there is nobody to tell.
    let _ = std::io::stdout().write_all(format!("\n{lines}").as_bytes());
    std::process::exit(0)
}

/// Every other event goes to a stream of the writer's own, on the version that it knows; the rest to streams of all.
async fn append(store: PostgresStore, number: usize, pause: Duration, over: Arc<AtomicBool>) -> Vec<(Position, EventId)> {
    let own: StreamName = format!("own-{}-{number}", std::process::id()).parse().unwrap();
    let (mut acknowledged, mut version) = (Vec::new(), Version::EMPTY);
    while !over.load(Ordering::SeqCst) {
        let is_own = acknowledged.len() % 2 == 0;
        let stream = if is_own { own.clone() } else { format!("account-{}", number % 5).parse().unwrap() };
        let data = Payload::json(r#"{"cents":1}"#);
        let event = NewEvent::new(stream, "AccountDeposited", data).unwrap();
        let event = NewEvent { tags: vec!["course:c1".parse().unwrap()], ..event };
        let id = event.id;
        let expected = if is_own { Expected::Exact(version) } else { Expected::Any };
        let append = Append::new(vec![event.clone()]).expect(event.stream, expected);
        let appended = store.append(append).await.unwrap();
        if is_own {
            version = appended.versions[0].1;
        }
        acknowledged.push((appended.positions.through, id));
        tokio::time::sleep(pause).await;
    }
    acknowledged
}
