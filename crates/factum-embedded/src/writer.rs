//! The writer: one thread that takes what waits, checks it, writes it as one batch and makes it durable with one sync.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

use factum::{AppendError, Appended, Clock, Position, Range, StoreError, StoreErrorKind, StreamName, Timestamp, Version};
use tokio::sync::oneshot;

use crate::admission::{Admission, Verdict};
use crate::error::io_error;
use crate::format::{FrameHeader, Record};
use crate::head::{Head, HeadFile};
use crate::index::{Active, Resume, Source, TermMap, reading, writing};
use crate::indexer::IndexWork;
use crate::log::Log;
use crate::queue::{Draft, Gathering, Prepared, Queue, Request, Taken};
use crate::tail::{LastFrame, Tail};

/// A batch takes no more appends after this many bytes.
const BATCH_BYTES: usize = 4 << 20;
/// After so long without an append, the last ones get their witness.
const WITNESS_AFTER: Duration = Duration::from_millis(50);

/// All that the thread owns.
pub(crate) struct Writer {
    pub(crate) log: Arc<Log>,
    pub(crate) queue: Arc<Queue>,
    pub(crate) tail: Tail,
    pub(crate) head_file: HeadFile,
    pub(crate) index_work: IndexWork,
    pub(crate) clock: Arc<dyn Clock>,
    /// The position of the last event recorded, durable or not.
    pub(crate) last: Position,
    /// The time of the last event, µs since 1970.
    pub(crate) time_us: i64,
    pub(crate) segment_bytes: u64,
    pub(crate) index_events: u32,
    pub(crate) pace: Pace,
    /// A write failed: what is on disk is unknown until the store is opened again.
    pub(crate) is_poisoned: bool,
}

type Answer = Result<Appended, AppendError>;

/// Appends that become durable together.
#[derive(Default)]
struct Batch {
    bytes: Vec<u8>,
    last_frame: Option<LastFrame>,
    /// What consumers have handled: in the index only once it is durable, since it is read without a position.
    marks: BTreeMap<String, u64>,
    /// Answered when the batch is durable.
    answers: Vec<(oneshot::Sender<Answer>, Answer)>,
}

impl Writer {
    pub(crate) fn run(mut self) {
        // However this thread ends, nobody waits for it.
        let _ending = AbandonOnDrop(Arc::clone(&self.queue));
        loop {
            let wants_witness = !self.is_poisoned && self.tail.wants_witness();
            match self.queue.take(wants_witness.then_some(WITNESS_AFTER), self.pace.gathering()) {
                Taken::Requests(requests) => {
                    self.pace.taken(requests.len());
                    self.serve(requests);
                }
                Taken::Idle => self.witness(),
                Taken::Closed => break,
            }
        }
        self.close();
    }

    fn serve(&mut self, requests: Vec<Request>) {
        let mut requests = requests.into_iter().peekable();
        while requests.peek().is_some() {
            let mut bytes = 0;
            let mut batch = Vec::new();
            while let Some(request) = requests.next_if(|_| bytes < BATCH_BYTES) {
                bytes += FrameHeader::BYTES + request.draft.records.len();
                batch.push(request);
            }
            self.turn(batch, bytes as u64);
        }
    }

    /// Serves some appends, whose frames take this many bytes, with one sync.
    fn turn(&mut self, requests: Vec<Request>, bytes: u64) {
        if let Err(error) = self.make_room(bytes) {
            return requests.into_iter().for_each(|request| drop(request.answer.send(Err(error.clone().into()))));
        }
        let mut batch = Batch::default();
        for request in requests {
            let verdict = match self.judge(&request, &batch) {
                Verdict::Later => {
                    self.commit(std::mem::take(&mut batch));
                    self.judge(&request, &batch)
                }
                verdict => verdict,
            };
            let answer = match verdict {
                Verdict::Record if self.is_poisoned => Err(poisoned().into()),
                Verdict::Record => Ok(self.record(&request.draft, &mut batch)),
                // The refusal may rest on what was not made durable.
                Verdict::Refuse(_) if self.is_poisoned => Err(poisoned().into()),
                Verdict::Refuse(error) => Err(error),
                Verdict::Repeat(appended) => Ok(appended),
                // What it waited for failed to become durable.
                Verdict::Later => Err(poisoned().into()),
            };
            batch.answers.push((request.answer, answer));
        }
        self.commit(batch);
        self.freeze(self.index_events);
    }

    fn judge(&self, request: &Request, batch: &Batch) -> Verdict {
        match Admission::new(&self.log, self.last, Some(&batch.marks)) {
            Ok(admission) => admission.judge(request),
            Err(error) => Verdict::Refuse(error.into()),
        }
    }

    /// Makes room for a batch, in the next segment where this one is full.
    fn make_room(&mut self, bytes: u64) -> Result<(), StoreError> {
        if self.is_poisoned {
            return Err(poisoned());
        }
        let is_full = self.segment_bytes < self.tail.end + bytes && 0 < self.tail.frame;
        let made = if is_full { self.rotate() } else { Ok(()) }.and_then(|()| self.tail.make_room(bytes));
        made.map_err(|error| {
            let error = io_error("cannot make room for the append", error);
            if error.kind() != StoreErrorKind::Full {
                self.is_poisoned = true;
            }
            error
        })
    }

    fn rotate(&mut self) -> io::Result<()> {
        self.tail.seal()?;
        self.tail.segment.publish(self.tail.end);
        let segment = self.tail.begin_next(self.last.next().get(), self.clock.now().as_micros())?;
        self.log.add_segment(segment);
        Ok(())
    }

    /// Adds an append to a batch and to the index; nobody sees it before it is published.
    fn record(&mut self, draft: &Draft, batch: &mut Batch) -> Appended {
        let first = self.last.next();
        if draft.events.is_empty() && draft.consumed.is_none() {
            let positions = Range { after: self.last, through: self.last };
            return Appended { positions, versions: Vec::new(), recorded_at: self.recorded_at() };
        }
        if !draft.events.is_empty() {
            self.time_us = self.time_us.max(self.clock.now().as_micros());
        }
        let (event_versions, versions) = self.versions(&draft.events);
        let frame = self.frame(draft, batch, first, &event_versions);
        let sources = self.log.index.sources();
        let mut active = writing(sources.active());
        for (prepared, (version, offset)) in draft.events.iter().zip(event_versions.into_iter().zip(frame.offsets)) {
            active.push(&prepared.terms, version, offset);
        }
        if let Some(consumed) = &draft.consumed {
            batch.marks.insert(consumed.consumer.to_string(), consumed.through.get());
        }
        let resume = Resume {
            segment: self.tail.segment.header.number,
            end: self.tail.end + batch.bytes.len() as u64,
            frame: frame.last.offset,
            checksum: frame.last.checksum,
            time_us: self.time_us,
        };
        active.set_resume(resume);
        batch.last_frame = Some(frame.last);
        let after = self.last;
        self.last = Position::new(after.get() + draft.events.len() as u64);
        let recorded_at = self.recorded_at();
        Appended { positions: Range { after, through: self.last }, versions, recorded_at }
    }

    /// The time of the last event recorded, if there is one.
    fn recorded_at(&self) -> Option<Timestamp> {
        (Position::START < self.last).then(|| Timestamp::from_micros(self.time_us))
    }

    /// The version of each event, and of each stream after them.
    fn versions(&self, events: &[Prepared]) -> (Vec<u64>, Vec<(StreamName, Version)>) {
        let sources = self.log.index.sources();
        let mut streams: Vec<(StreamName, Version)> = Vec::new();
        let mut known = TermMap::default();
        let mut each = Vec::with_capacity(events.len());
        for Prepared { stream, terms } in events {
            let n = *known.entry(terms.stream).or_insert_with(|| {
                streams.push((stream.clone(), Version::new(sources.version(terms.stream))));
                streams.len() - 1
            });
            streams[n].1 = streams[n].1.next();
            each.push(streams[n].1.get());
        }
        (each, streams)
    }

    /// Adds the frame of an append to a batch.
    fn frame(&self, draft: &Draft, batch: &mut Batch, first: Position, versions: &[u64]) -> WrittenFrame {
        let salt = self.tail.segment.header.salt;
        let start = batch.bytes.len();
        batch.bytes.extend_from_slice(&[0; FrameHeader::BYTES]);
        batch.bytes.extend_from_slice(&draft.records);
        let mut body_checksum = salt;
        let mut offsets = Vec::with_capacity(versions.len());
        let mut at = start + FrameHeader::BYTES;
        let mark = draft.consumed.as_ref().map(|consumed| consumed.through.get());
        for (version, position) in versions.iter().copied().chain(mark).zip(first.get()..) {
            let record = &mut batch.bytes[at..];
            let checksum = Record::seal(record, salt, position, version, self.time_us);
            body_checksum = crc32c::crc32c_append(body_checksum, &checksum.to_le_bytes());
            offsets.push(self.tail.end + at as u64);
            at += Record::encoded_len(record);
        }
        let mut header = FrameHeader {
            checksum: 0,
            body_len: draft.records.len() as u32,
            events: versions.len() as u16,
            flags: FrameHeader::flags(mark.is_some()),
            first_position: first.get(),
            synced_to: self.tail.synced_to,
            body_checksum,
            previous: batch.last_frame.map_or(self.tail.checksum, |last| last.checksum),
        };
        header.encode(&mut batch.bytes[start..], salt);
        WrittenFrame { last: LastFrame { offset: self.tail.end + start as u64, checksum: header.checksum }, offsets }
    }

    /// Makes a batch durable, publishes it and answers its callers.
    fn commit(&mut self, batch: Batch) {
        let Batch { bytes, last_frame, marks, answers } = batch;
        let began = Instant::now();
        let written = last_frame.map_or(Ok(()), |last| self.tail.write(&bytes, last));
        self.pace.written(began.elapsed());
        if let Err(error) = written {
            self.is_poisoned = true;
            let unknown = unknown_outcome(error);
            return answers.into_iter().for_each(|(answer, result)| {
                // A refusal may rest on what was not made durable, so nothing is certain.
                let certain = matches!(result, Err(AppendError::Invalid(_)));
                let _ = answer.send(if certain { result } else { Err(unknown.clone().into()) });
            });
        }
        if last_frame.is_some() {
            let sources = self.log.index.sources();
            marks.iter().for_each(|(consumer, through)| writing(sources.active()).add_mark(consumer, *through));
            self.publish();
        }
        for (answer, result) in answers {
            // A caller that is gone does not want to know.
            let _ = answer.send(result);
        }
    }

    fn publish(&self) {
        self.tail.segment.publish(self.tail.end);
        self.write_head();
        self.log.publish(self.last);
    }

    pub(crate) fn write_head(&self) {
        let segment = self.tail.segment.header.number;
        self.head_file.write(Head { log_id: self.log.id, segment, end: self.tail.end, position: self.last.get() });
    }

    /// Hands the newest index to the indexer if it has this many events. Everything in it is published.
    fn freeze(&mut self, least: u32) {
        let sources = self.log.index.sources();
        let frozen = sources.active();
        let (events, resume) = (reading(frozen).events(), reading(frozen).resume());
        if self.is_poisoned || events < least.max(1) {
            return;
        }
        let next = Active::new(self.last.next().get(), self.log.index.seed, resume);
        self.log.index.change(|sources| sources.actives.push(Arc::new(RwLock::new(next))));
        self.index_work.flush(Arc::clone(frozen));
    }

    /// Says that everything so far was durable, so that damage to it cannot be taken for a torn write.
    fn witness(&mut self) {
        if self.is_poisoned || !self.tail.wants_witness() {
            return;
        }
        let salt = self.tail.segment.header.salt;
        let mut bytes = [0; FrameHeader::BYTES];
        let mut header = FrameHeader {
            checksum: 0,
            body_len: 0,
            events: 0,
            flags: FrameHeader::flags(false),
            first_position: self.last.next().get(),
            synced_to: self.tail.synced_to,
            body_checksum: salt,
            previous: self.tail.checksum,
        };
        header.encode(&mut bytes, salt);
        let last = LastFrame { offset: self.tail.end, checksum: header.checksum };
        if self.tail.write_witness(&bytes, last).is_err() {
            self.is_poisoned = true;
            return;
        }
        let sources = self.log.index.sources();
        let mut active = writing(sources.active());
        let resume = Resume { end: self.tail.end, frame: last.offset, checksum: last.checksum, ..active.resume() };
        active.set_resume(Resume { segment: self.tail.segment.header.number, ..resume });
    }

    /// Leaves the store so that it opens at once.
    fn close(mut self) {
        self.witness();
        if !self.is_poisoned {
            // Without the room made ahead, the file is the log and nothing else.
            match self.tail.seal() {
                Ok(()) => self.publish(),
                Err(_) => self.is_poisoned = true,
            }
        }
        self.freeze(1);
        self.index_work.finish();
    }
}

/// How many appends come at a time, and how long a batch takes to become durable.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    last: usize,
    before: usize,
    write: Duration,
}

impl Pace {
    /// The writer waits at most this part of what a batch took: what it can lose by waiting in vain.
    const PART: u32 = 8;
    /// And never longer than this.
    const MOST: Duration = Duration::from_millis(1);

    fn taken(&mut self, appends: usize) {
        self.before = std::mem::replace(&mut self.last, appends);
    }

    fn written(&mut self, took: Duration) {
        self.write = took;
    }

    /// As many as came lately, since they may come again.
    fn gathering(&self) -> Gathering {
        Gathering { appends: self.last.max(self.before), moment: (self.write / Self::PART).min(Self::MOST) }
    }
}

/// What is known of a frame once it is encoded.
struct WrittenFrame {
    last: LastFrame,
    /// Where each event's record is in the segment, in bytes; the mark's last.
    offsets: Vec<u64>,
}

struct AbandonOnDrop(Arc<Queue>);

impl Drop for AbandonOnDrop {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

fn poisoned() -> StoreError {
    let message = "a write to the log failed, so nothing more is recorded; open the store again, which finds out what is on disk";
    StoreError::new(StoreErrorKind::Closed, message)
}

fn unknown_outcome(error: io::Error) -> StoreError {
    let message = "a write to the log failed; open the store again and repeat the append with the same event ids";
    StoreError::new(StoreErrorKind::UnknownOutcome, message).caused_by(error)
}
