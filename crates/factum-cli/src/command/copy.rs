//! `factum copy`: the same log in another place, whatever keeps it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use factum::{AnyStore, Append, Clock, NewEvent, Position, Query, Range, Read, RecordedEvent, Store, Timestamp};
use serde::Serialize;

use crate::args;
use crate::command::Context;
use crate::exit::{Exit, Failure};
use crate::target::{Opened, Target};

/// What a copy did.
#[derive(Serialize)]
pub(crate) struct Copied {
    events: u64,
    copied: u64,
    copied_before: u64,
    consumers: u64,
    verified: bool,
}

/// The time of the event that is copied: the copy has the same.
#[derive(Clone)]
struct Replayed(Arc<AtomicI64>);

impl Clock for Replayed {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst))
    }
}

/// Copies, and prints what.
pub(crate) async fn run(args: args::Copy, mut context: Context<'_>) -> Result<(), Failure> {
    let (source, target) = (Target::at(&args.from, args.from_log.as_deref())?, Target::at(&args.to, args.to_log.as_deref())?);
    let copied = copy(&source, &target, &context).await?;
    context.output.record(&copied)
}

/// Copies what of one store is not in another one yet, and compares all of it.
pub(crate) async fn copy(source: &Target, target: &Target, context: &Context<'_>) -> Result<Copied, Failure> {
    let source = source.reader().await?;
    let clock = Replayed(Arc::new(AtomicI64::new(i64::MIN)));
    let target = target.writer_by(clock.clone()).await?;
    let through = source.store().head().await?;
    let before = check_prefix(&source.store(), &target.store()).await?;
    let copy = Copy { source: source.store(), target: target.store(), clock, through };
    copy.events(before, context).await?;
    let consumers = copy_marks(&source, &target).await?;
    copy.compare(context).await?;
    target.close().await;
    let (events, copied_before) = (through.get(), before.get());
    Ok(Copied { events, copied: events - copied_before, copied_before, consumers, verified: true })
}

/// How much of the log is copied already; what is there must be a part of it.
async fn check_prefix(source: &AnyStore, target: &AnyStore) -> Result<Position, Failure> {
    let there = target.head().await?;
    let last = Range { after: there.previous(), through: there };
    let read = |store: AnyStore| async move { store.read(Read::new(Query::all()).range(last).limit(1)).await };
    if there != Position::START && read(source.clone()).await?.events != read(target.clone()).await?.events {
        let message = format!("the target has {there} events already, and they are not those of the source");
        return Err(Failure::new(Exit::Conflict, message).hint("copy to a store that is empty, or that this copy was begun in"));
    }
    Ok(there)
}

struct Copy {
    source: AnyStore,
    target: AnyStore,
    clock: Replayed,
    /// What is recorded later is for another run.
    through: Position,
}

impl Copy {
    /// Appends what comes after a position: the events of one time together.
    async fn events(&self, after: Position, context: &Context<'_>) -> Result<(), Failure> {
        let mut progress = context.console.progress(Some(self.through.get()));
        let mut range = Some(Range { after, through: self.through });
        while let Some(part) = range {
            let page = self.source.read(Read::new(Query::all()).range(part)).await?;
            for events in page.events.chunk_by(|one, next| one.recorded_at == next.recorded_at) {
                self.append(events).await?;
            }
            range = page.rest;
            let done = page.events.last().map_or(self.through, |last| last.position);
            progress.show(done.get(), "events", done.get());
        }
        Ok(())
    }

    async fn append(&self, events: &[RecordedEvent]) -> Result<(), Failure> {
        let (first, last) = (&events[0], &events[events.len() - 1]);
        self.clock.0.store(first.recorded_at.as_micros(), Ordering::SeqCst);
        let after = first.position.previous();
        // Nobody else may write to it meanwhile: each event is to have its position.
        let append = Append::new(events.iter().map(new).collect()).condition(Query::all(), after);
        let appended = self.target.append(append).await?;
        if appended.positions != (Range { after, through: last.position }) {
            let message = format!("the events after {after} came to other positions");
            return Err(Failure::failed(message).hint("copy to a store of its own"));
        }
        Ok(())
    }

    /// Reads both, from the start, and compares all that there is.
    async fn compare(&self, context: &Context<'_>) -> Result<(), Failure> {
        let mut progress = context.console.progress(Some(self.through.get()));
        let mut range = Range { after: Position::START, through: self.through };
        while !range.is_empty() {
            let read = Read::new(Query::all()).range(range);
            let (one, other) = (self.source.read(read.clone()).await?, self.target.read(read).await?);
            let same = one.events.iter().zip(&other.events).take_while(|(one, other)| one == other).count();
            // Pages may end differently, where they are full.
            if same == 0 || same < one.events.len().min(other.events.len()) {
                let at = one.events.get(same).map_or(range.after.next(), |event| event.position);
                return Err(Failure::failed(format!("the copy differs at position {at}")).hint("copy to an empty store"));
            }
            range.after = one.events[same - 1].position;
            progress.show(range.after.get(), "events compared", range.after.get());
        }
        Ok(())
    }
}

/// Marks what each consumer has handled, where the copy does not know it yet; how many there are.
async fn copy_marks(source: &Opened, target: &Opened) -> Result<u64, Failure> {
    let marks = source.consumers().await?;
    for (consumer, through) in &marks {
        if target.store().consumed(consumer.clone()).await? < *through {
            target.store().append(Append::default().consumed(consumer.clone(), *through)).await?;
        }
    }
    Ok(marks.len() as u64)
}

fn new(event: &RecordedEvent) -> NewEvent {
    let RecordedEvent { id, stream, event_type, schema, tags, metadata, payload, .. } = event.clone();
    NewEvent { id, stream, event_type, schema, tags, metadata, payload }
}
