//! A process is killed while it appends, again and again: what it acknowledged is there, once and in order.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use factum::{Append, Expected, NewEvent, Payload, Position, Query, Range, Read, ReadStreams, Store, StreamName, Version};
use factum_embedded::simulation::Random;
use factum_embedded::{EmbeddedStore, Options};

const KILLS: usize = 200;
const WRITERS: usize = 8;
/// Tells the process that it is to append to the store in this folder until it is killed.
const FOLDER: &str = "FACTUM_APPEND_UNTIL_KILLED";
const TEST: &str = "kill::a_killed_process_has_lost_nothing_that_it_acknowledged";

#[test]
fn a_killed_process_has_lost_nothing_that_it_acknowledged() {
    if let Some(folder) = std::env::var_os(FOLDER) {
        append_until_killed(folder.as_ref());
    }
    let folder = tempfile::tempdir().expect("a folder can be made");
    let mut random = Random::new(1);
    let mut known = Known::default();
    let start = Instant::now();
    for _ in 0..KILLS {
        let acknowledged = kill_a_writer(folder.path(), &mut random);
        known.check(&open(folder.path()), &acknowledged);
    }
    let events = known.head.get();
    Known::default().check(&open(folder.path()), &[]);
    println!("{KILLS} kills, {events} events, {:.0?}", start.elapsed());
    assert!(KILLS as u64 <= events, "the processes were killed before they had done anything");
}

/// Small segments, so that some kills come upon a change of segments.
fn open(folder: &Path) -> EmbeddedStore {
    Options::default().segment_bytes(256 << 10).open(folder).expect("the store of a killed process can be opened")
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime can be built")
}

/// What a writer was told: its number, the version of its stream, and the position.
type Acknowledged = (usize, u64, u64);

/// Starts a process that appends, kills it some time later, and returns what it was told.
fn kill_a_writer(folder: &Path, random: &mut Random) -> Vec<Acknowledged> {
    let program = std::env::current_exe().expect("the test has a path");
    let mut child = Command::new(program)
        .args(["--exact", TEST, "--nocapture"])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .spawn()
        .expect("the test can be run again");
    let mut output = BufReader::new(child.stdout.take().expect("it is a pipe"));
    let mut acknowledged = Vec::new();
    // Most kills come while it appends, some while it opens.
    if !random.once_in(5) {
        acknowledged.extend(read_line(&mut output));
    }
    let reader = thread::spawn(move || std::iter::from_fn(|| read_line(&mut output)).collect::<Vec<_>>());
    thread::sleep(Duration::from_micros(random.below(40_000) as u64));
    kill(&mut child);
    acknowledged.extend(reader.join().expect("the reader does not panic"));
    acknowledged
}

fn kill(child: &mut Child) {
    child.kill().expect("a child can be killed");
    let status = child.wait().expect("a killed child ends");
    assert!(!status.success(), "it ended before it was killed: {status}");
}

/// The next acknowledgement; none at the end, where the last line may be in part.
fn read_line(output: &mut BufReader<ChildStdout>) -> Option<Acknowledged> {
    loop {
        let mut line = String::new();
        output.read_line(&mut line).expect("the pipe can be read");
        if !line.ends_with('\n') {
            return None;
        }
        // The test harness prints lines of its own.
        let Some(numbers) = line.trim_end().strip_prefix("acknowledged ") else { continue };
        let numbers: Vec<u64> = numbers.split(' ').map(|number| number.parse().expect("a number")).collect();
        return Some((numbers[0] as usize, numbers[1], numbers[2]));
    }
}

fn stream(writer: usize) -> StreamName {
    format!("writer-{writer}").parse().expect("a name")
}

fn append_until_killed(folder: &Path) -> ! {
    let store = open(folder);
    runtime().block_on(async {
        let writers: Vec<_> = (0..WRITERS).map(|writer| tokio::spawn(write(store.clone(), writer))).collect();
        for writer in writers {
            writer.await.expect("a writer appends until it is killed");
        }
    });
    unreachable!("writers append until they are killed")
}

async fn write(store: EmbeddedStore, writer: usize) {
    let read = ReadStreams { prefix: stream(writer).to_string(), limit: 1, ..ReadStreams::default() };
    let page = store.streams(read).await.expect("streams can be read");
    let mut version = page.streams.first().map_or(0, |stream| stream.version.get());
    loop {
        let payload = Payload::json((version + 1).to_string());
        let event = NewEvent::new(stream(writer), "Written", payload).expect("a name");
        let append = Append::new(vec![event]).expect(stream(writer), Expected::Exact(Version::new(version)));
        let appended = store.append(append).await.expect("an append succeeds");
        version += 1;
        // One write, so that lines of several writers do not mix.
        let line = format!("acknowledged {writer} {version} {}\n", appended.positions.through);
        std::io::stdout().lock().write_all(line.as_bytes()).expect("the parent reads");
    }
}

/// What is known to be in the store.
#[derive(Default)]
struct Known {
    head: Position,
    versions: HashMap<StreamName, u64>,
}

impl Known {
    /// Reads on, and checks that each stream goes on without a gap and that all that was acknowledged is where it was.
    fn check(&mut self, store: &EmbeddedStore, acknowledged: &[Acknowledged]) {
        let mut expected: HashMap<_, _> =
            acknowledged.iter().map(|&(writer, version, at)| (at, (stream(writer), version))).collect();
        let mut read = Read::new(Query::all()).range(Range::after(self.head)).limit(10_000);
        loop {
            let page = runtime().block_on(store.read(read.clone())).expect("the store can be read");
            for event in page.events {
                assert_eq!(event.position, self.head.next(), "positions have no gap");
                self.head = event.position;
                let version = self.versions.entry(event.stream.clone()).or_default();
                *version += 1;
                assert_eq!(event.version, Version::new(*version), "{}", event.stream);
                assert_eq!(event.payload.data, version.to_string().as_bytes(), "{}", event.stream);
                if let Some(appended) = expected.remove(&event.position.get()) {
                    assert_eq!(appended, (event.stream, *version));
                }
            }
            match page.rest {
                Some(rest) => read.range = rest,
                None => break,
            }
        }
        assert!(expected.is_empty(), "acknowledged and lost: {expected:?}");
        store.close();
    }
}
