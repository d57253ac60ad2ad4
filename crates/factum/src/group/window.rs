//! The window of a member: what it was handed and has not answered for, in the order of each stream. It does no I/O.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use tokio::time::Instant;

use super::Delivery;
use crate::{Position, Range, RecordedEvent, StreamName};

/// What a member has in hand.
#[derive(Debug, Default)]
pub(crate) struct Window {
    lanes: HashMap<StreamName, Lane>,
    /// The streams whose first event may be delivered, in the order in which they came.
    ready: VecDeque<StreamName>,
    partitions: BTreeMap<u32, Outstanding>,
    events: usize,
}

/// What is left of a stream.
#[derive(Debug)]
struct Lane {
    partition: u32,
    events: VecDeque<RecordedEvent>,
    /// How often the first of them was delivered.
    attempts: u32,
    turn: Turn,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Turn {
    Ready,
    Delivered,
    Waiting(Instant),
}

/// What is left of a partition.
#[derive(Debug)]
struct Outstanding {
    positions: BTreeSet<Position>,
    /// Everything up to here was read.
    read: Position,
    /// What was marked last.
    marked: Position,
    /// Whether an event was answered for since.
    answered: bool,
}

/// A partition that nothing happens in is marked each time that so many positions were read: a restart need not read them again.
const READ_ON: u64 = 1_000;

impl Window {
    /// Takes a partition in, from its checkpoint on.
    pub(crate) fn gain(&mut self, partition: u32, checkpoint: Position) {
        let outstanding = Outstanding { positions: BTreeSet::new(), read: checkpoint, marked: checkpoint, answered: false };
        self.partitions.insert(partition, outstanding);
    }

    /// Gives a partition up, with all that is in hand of it.
    pub(crate) fn lose(&mut self, partition: u32) {
        self.partitions.remove(&partition);
        self.lanes.retain(|_, lane| lane.partition != partition);
        self.events = self.lanes.values().map(|lane| lane.events.len()).sum();
    }

    /// How many events are in hand.
    pub(crate) fn len(&self) -> usize {
        self.events
    }

    /// What to read next: where the partitions that are furthest behind stand, up to where the next ones do; and which they are.
    pub(crate) fn next_read(&self) -> Option<(Range, BTreeSet<u32>)> {
        let after = self.partitions.values().map(|partition| partition.read).min()?;
        let at = |partition: &Outstanding| partition.read == after;
        let through = self.partitions.values().filter(|partition| !at(partition)).map(|partition| partition.read).min();
        let behind = self.partitions.iter().filter(|(_, partition)| at(partition)).map(|(number, _)| *number);
        Some((Range { after, through: through.unwrap_or(Position::MAX) }, behind.collect()))
    }

    /// Everything of these partitions up to a position was read.
    pub(crate) fn read(&mut self, partitions: &BTreeSet<u32>, through: Position) {
        for partition in partitions {
            if let Some(partition) = self.partitions.get_mut(partition) {
                partition.read = partition.read.max(through);
            }
        }
    }

    /// Takes an event of a partition in.
    pub(crate) fn take(&mut self, partition: u32, event: RecordedEvent) {
        let Some(outstanding) = self.partitions.get_mut(&partition) else { return };
        outstanding.positions.insert(event.position);
        self.events += 1;
        let (stream, ready) = (event.stream.clone(), &mut self.ready);
        let lane = self.lanes.entry(stream.clone()).or_insert_with(|| {
            ready.push_back(stream);
            Lane { partition, events: VecDeque::new(), attempts: 0, turn: Turn::Ready }
        });
        lane.events.push_back(event);
    }

    /// The next event that may be delivered now: it is not delivered yet.
    pub(crate) fn ready(&mut self, now: Instant) -> Option<RecordedEvent> {
        self.wake(now);
        while let Some(stream) = self.ready.front() {
            let lane = self.lanes.get(stream).filter(|lane| lane.turn == Turn::Ready);
            if let Some(event) = lane.and_then(|lane| lane.events.front()) {
                return Some(event.clone());
            }
            self.ready.pop_front();
        }
        None
    }

    /// Delivers the event that is ready.
    pub(crate) fn deliver(&mut self, event: RecordedEvent) -> Delivery {
        let lane = self.lanes.get_mut(&event.stream).expect("what is ready is in its lane");
        lane.turn = Turn::Delivered;
        lane.attempts += 1;
        Delivery { event, attempt: lane.attempts, replayed: false }
    }

    /// When the next one that waits for another try may be delivered.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        let due = |lane: &Lane| if let Turn::Waiting(due) = lane.turn { Some(due) } else { None };
        self.lanes.values().filter_map(due).min()
    }

    fn wake(&mut self, now: Instant) {
        for (stream, lane) in &mut self.lanes {
            if matches!(lane.turn, Turn::Waiting(due) if due <= now) {
                lane.turn = Turn::Ready;
                self.ready.push_back(stream.clone());
            }
        }
    }

    /// Whether the event is the one of its stream whose turn it is.
    fn holds(&self, event: &RecordedEvent) -> bool {
        let first = self.lanes.get(&event.stream).and_then(|lane| lane.events.front());
        first.is_some_and(|first| first.position == event.position)
    }

    /// The event is handled, or parked. The stream goes on with its next one.
    pub(crate) fn done(&mut self, event: &RecordedEvent) {
        if !self.holds(event) {
            return;
        }
        let Some(lane) = self.lanes.get_mut(&event.stream) else { return };
        lane.events.pop_front();
        lane.attempts = 0;
        lane.turn = Turn::Ready;
        self.events -= 1;
        if let Some(partition) = self.partitions.get_mut(&lane.partition) {
            partition.positions.remove(&event.position);
            partition.answered = true;
        }
        if lane.events.is_empty() {
            self.lanes.remove(&event.stream);
        } else {
            self.ready.push_back(event.stream.clone());
        }
    }

    /// The event is to be delivered again, at that time.
    pub(crate) fn wait(&mut self, event: &RecordedEvent, due: Instant) {
        if self.holds(event)
            && let Some(lane) = self.lanes.get_mut(&event.stream)
        {
            lane.turn = Turn::Waiting(due);
        }
    }

    /// The partitions whose checkpoints can be marked: everything up to there is answered for. Those that only read on past what
    /// is not theirs are marked when that is worth it.
    pub(crate) fn to_mark(&self) -> Vec<(u32, Position)> {
        let checkpoint = |partition: &Outstanding| partition.positions.first().map_or(partition.read, |first| first.previous());
        let mut marks: Vec<_> = self.partitions.iter().map(|(number, partition)| (*number, checkpoint(partition))).collect();
        marks.retain(|(number, checkpoint)| {
            let Outstanding { marked, answered, .. } = self.partitions[number];
            marked < *checkpoint && (answered || marked.get() + READ_ON < checkpoint.get())
        });
        marks
    }

    pub(crate) fn marked(&mut self, partition: u32, checkpoint: Position) {
        if let Some(partition) = self.partitions.get_mut(&partition) {
            partition.marked = checkpoint;
            partition.answered = !partition.positions.is_empty();
        }
    }
}
