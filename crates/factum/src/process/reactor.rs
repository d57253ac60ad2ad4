//! The reactor: inputs become events of the process, in one append with the mark that says how far the inputs are handled.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::timers::{Timer, TimerEvent, Timers};
use super::troubled::{TroubleEvent, Troubles};
use super::{Effect, Process};
use crate::{
    Append, AppendError, ConsumerName, Draft, EventId, Expected, Log, Metadata, NewEvent, Page, Position, Query, Range, Read,
    RecordedEvent, Repository, Store, StoreError, StoreErrorKind, StreamName, Timestamp, TypedEvent, Version,
};

/// How many inputs one append handles at most.
const INPUTS_MAX: usize = 200;
/// The most events of an append; the inputs that lead to more wait for the next one.
const EVENTS_MAX: usize = 2_000;
/// How many instances are remembered between inputs.
const INSTANCES_MAX: usize = 10_000;
/// Inputs that concern nobody are marked as handled each time that so many positions were read.
const READ_ON: u64 = 1_000;

/// What a process reacts by.
pub(crate) struct Reactor<P: Process> {
    pub(crate) log: Log,
    repository: Repository<P>,
    query: Query,
    consumer: ConsumerName,
    pub(crate) timers: Timers,
    pub(crate) troubles: Troubles,
    instances: HashMap<StreamName, (P, Version)>,
    /// Every input up to here is handled, and that is recorded.
    marked: Position,
    /// Every input up to here is handled.
    pub(crate) position: Position,
}

/// An append that is being put together.
struct Reaction<P> {
    events: Vec<NewEvent>,
    expected: HashMap<StreamName, Version>,
    /// The instances, as they will be.
    after: HashMap<StreamName, (P, Version)>,
}

impl<P> Reaction<P> {
    fn new() -> Self {
        Self { events: Vec::new(), expected: HashMap::new(), after: HashMap::new() }
    }
}

/// What became of a timer.
pub(crate) enum Outcome {
    /// It went off.
    Recorded,
    /// Another was there first: everything is read again.
    Lost,
    /// It is for later.
    Waits,
}

impl<P: Process> Reactor<P> {
    pub(crate) async fn load(log: &Log) -> Result<Self, StoreError> {
        use crate::EventSet;
        let invalid = |error: crate::NameError| StoreError::new(StoreErrorKind::Invalid, error.to_string());
        let consumer = ConsumerName::new(format!("$process-{}", P::CATEGORY)).map_err(invalid)?;
        let timers = StreamName::new(format!("$timers-{}", P::CATEGORY)).map_err(invalid)?;
        let troubles = StreamName::new(format!("$process-{}", P::CATEGORY)).map_err(invalid)?;
        let marked = log.consumed(consumer.clone()).await?;
        Ok(Self {
            log: log.clone(),
            repository: log.repository(),
            query: P::Inputs::query().map_err(invalid)?,
            consumer,
            timers: Timers::load(log, timers).await?,
            troubles: Troubles::load(log, troubles).await?,
            instances: HashMap::new(),
            marked,
            position: marked,
        })
    }

    /// Reads everything again that another may have changed.
    pub(crate) async fn reload(&mut self) -> Result<(), StoreError> {
        self.instances.clear();
        self.timers.read_on(&self.log).await?;
        self.troubles.read_on(&self.log).await?;
        self.marked = self.log.consumed(self.consumer.clone()).await?;
        self.position = self.marked;
        Ok(())
    }

    /// Handles the next inputs, if there are any; whether it got further.
    pub(crate) async fn react(&mut self) -> Result<(bool, Page), StoreError> {
        let range = Range::after(self.position);
        let page = self.log.store().read(Read::new(self.query.clone()).range(range).limit(INPUTS_MAX)).await?;
        let mut through = page.through(range);
        let mut reaction = Reaction::new();
        for input in &page.events {
            self.handle(input, &mut reaction).await?;
            if EVENTS_MAX <= reaction.events.len() {
                through = input.position;
                break;
            }
        }
        let nothing = reaction.events.is_empty();
        if through == self.position || (nothing && through.get() < self.marked.get() + READ_ON) {
            let further = self.position < through;
            self.position = through;
            return Ok((further, page));
        }
        if self.record(reaction, Some(through)).await? {
            (self.position, self.marked) = (through, through);
        } else {
            self.reload().await?;
        }
        Ok((true, page))
    }

    /// What an input leads to: events of its instance, or that it is set aside.
    async fn handle(&mut self, input: &RecordedEvent, reaction: &mut Reaction<P>) -> Result<(), StoreError> {
        let (instance, outcome) = self.reacted(input, reaction).await?;
        let Some(instance) = instance else { return Ok(()) };
        if let Err(error) = outcome {
            let (position, key) = (input.position.get(), input.id.numbered(usize::MAX));
            let aside = TroubleEvent::SetAside { instance: instance.clone(), position, error };
            reaction.events.extend(aside.to_new_event(&self.troubles.stream, key));
            // Later inputs of it in this append wait too.
            self.troubles.instances.entry(instance).or_default().inputs.push(input.position);
        }
        Ok(())
    }

    /// The instance that an input concerns, and whether it is in the reaction now, or why not.
    async fn reacted(
        &mut self,
        input: &RecordedEvent,
        reaction: &mut Reaction<P>,
    ) -> Result<(Option<String>, Result<(), String>), StoreError> {
        let typed = match TypedEvent::<P::Inputs>::of(input.clone()) {
            Ok(Some(typed)) => typed,
            Ok(None) => return Ok((None, Ok(()))),
            Err(error) => return Ok((Some(input.stream.to_string()), Err(text(&error)))),
        };
        let unnamed = |error: &dyn std::fmt::Display| (Some(input.stream.to_string()), Err(error.to_string()));
        let id = match guarded(|| P::instance(&typed)) {
            Ok(Some(id)) => id,
            Ok(None) => return Ok((None, Ok(()))),
            Err(panic) => return Ok(unnamed(&panic)),
        };
        let stream = match Repository::<P>::stream(&id) {
            Ok(stream) => stream,
            Err(error) => return Ok(unnamed(&error)),
        };
        let instance = Some(stream.to_string());
        if self.troubles.instances.contains_key(stream.as_str()) {
            return Ok((instance, Err(String::new())));
        }
        let state = match self.instance(&id, &stream, reaction).await? {
            Ok(state) => state,
            Err(error) => return Ok((instance, Err(error))),
        };
        let of = Origin { id: &id, stream: &stream, key: input.id, at: input.recorded_at, cause: Some(input) };
        let reacted = guarded(|| state.0.react(&typed));
        let added = reacted.and_then(|events| self.add(&of, state, &events, reaction));
        Ok((instance, added))
    }

    /// The state of an instance, as the reaction leaves it, or as it is stored.
    async fn instance(
        &mut self,
        id: &P::Id,
        stream: &StreamName,
        reaction: &Reaction<P>,
    ) -> Result<Result<(P, Version), String>, StoreError> {
        if let Some(known) = reaction.after.get(stream).or_else(|| self.instances.get(stream)) {
            return Ok(Ok(known.clone()));
        }
        match self.repository.load(id).await {
            Ok(loaded) => Ok(Ok((loaded.state, loaded.version))),
            Err(crate::LoadError::Store(error)) => Err(error),
            Err(error) => Ok(Err(error.to_string())),
        }
    }

    /// Puts events of an instance into the reaction, with the timers that they set.
    fn add(
        &self,
        of: &Origin<'_, P>,
        (mut state, version): (P, Version),
        events: &[P::Event],
        reaction: &mut Reaction<P>,
    ) -> Result<(), String> {
        if events.is_empty() {
            return Ok(());
        }
        let mut written = Vec::new();
        let mut next = version;
        for (number, event) in events.iter().enumerate() {
            let draft = Draft::of::<P>(of.id, event).metadata(of.cause.map(Metadata::caused_by).unwrap_or_default());
            let new = draft.into_new_event().map_err(|error| error.to_string())?;
            let key = of.key.numbered(number);
            let id = of.id.to_string();
            for (timer, effect) in guarded(|| P::effects(&id, event))?.iter().enumerate() {
                let timer = self.timer(of, effect).map(|event| event.to_new_event(&self.timers.stream, key.numbered(timer)));
                written.extend(timer.transpose().map_err(|error| error.to_string())?);
            }
            guarded(|| state.apply(event))?;
            next = next.next();
            written.push(NewEvent { id: key, ..new });
        }
        reaction.expected.entry(of.stream.clone()).or_insert(version);
        reaction.after.insert(of.stream.clone(), (state, next));
        reaction.events.extend(written);
        Ok(())
    }

    fn timer(&self, of: &Origin<'_, P>, effect: &Effect<P::Command>) -> Option<TimerEvent> {
        let stream = of.stream.to_string();
        let set = |timer: &str, due: Timestamp| TimerEvent::Set {
            stream: stream.clone(),
            timer: timer.to_owned(),
            due: due.as_micros(),
        };
        match effect {
            Effect::Send(_) => None,
            Effect::WakeAfter(timer, after) => Some(set(timer, of.at.later(*after))),
            Effect::WakeAt(timer, at) => Some(set(timer, *at)),
            Effect::Cancel(timer) => Some(TimerEvent::Cancelled { stream, timer: (*timer).to_owned() }),
        }
    }

    /// Lets a timer go off: what the instance makes of it, and that it did, are one append.
    pub(crate) async fn fire(&mut self, timer: &Timer) -> Result<Outcome, StoreError>
    where
        P::Id: std::str::FromStr,
    {
        let id = timer
            .stream
            .strip_prefix(P::CATEGORY)
            .and_then(|rest| rest.strip_prefix('-'))
            .and_then(|id| id.parse::<P::Id>().ok());
        let key = EventId::from(uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, format!("{timer:?}").as_bytes()));
        let mut reaction = Reaction::new();
        let failed = match (id, StreamName::new(timer.stream.clone())) {
            (Some(id), Ok(stream)) if !self.troubles.instances.contains_key(&timer.stream) => {
                self.instances.remove(&stream);
                match self.instance(&id, &stream, &reaction).await? {
                    Ok(state) => {
                        // What may have cancelled it is in the state, or moves the version that is expected of it.
                        self.timers.read_on(&self.log).await?;
                        if !self.timers.is_set(timer) {
                            return Ok(Outcome::Lost);
                        }
                        let of = Origin { id: &id, stream: &stream, key, at: timer.due, cause: None };
                        let woken = guarded(|| state.0.wake(&timer.name));
                        reaction.expected.insert(stream.clone(), state.1);
                        woken.and_then(|events| self.add(&of, state, &events, &mut reaction)).err()
                    }
                    Err(error) => Some(error),
                }
            }
            // It waits for the instance, which is in trouble.
            (Some(_), Ok(_)) => return Ok(Outcome::Waits),
            _ => Some("the name of its stream has no id of its type".to_owned()),
        };
        let fired = TimerEvent::Fired { stream: timer.stream.clone(), timer: timer.name.clone(), due: timer.due.as_micros() };
        reaction.events.extend(fired.to_new_event(&self.timers.stream, key.numbered(usize::MAX)));
        if let Some(error) = failed {
            let message = format!("timer {} of {} cannot go off: {error}", timer.name, timer.stream);
            return Err(StoreError::new(StoreErrorKind::Invalid, message));
        }
        Ok(if self.record(reaction, None).await? { Outcome::Recorded } else { Outcome::Lost })
    }

    /// Handles the first input of an instance that was in trouble and is to go on; whether there was one.
    pub(crate) async fn handle_released(&mut self) -> Result<bool, StoreError> {
        let Some((instance, position)) = self.troubles.next_released() else { return Ok(false) };
        let one = Range { after: position.previous(), through: position };
        let page = self.log.store().read(Read::new(Query::all()).range(one).limit(1)).await?;
        let Some(input) = page.events.first() else { return Ok(false) };
        let mut reaction = Reaction::new();
        // As if it were in no trouble.
        let troubled = self.troubles.instances.remove(&instance);
        let (_, outcome) = self.reacted(input, &mut reaction).await?;
        self.troubles.instances.extend(troubled.map(|troubled| (instance.clone(), troubled)));
        let event = match outcome {
            Ok(()) => TroubleEvent::Handled { instance, position: position.get() },
            Err(error) => TroubleEvent::SetAside { instance, position: position.get(), error },
        };
        reaction.events.extend(event.to_new_event(&self.troubles.stream, EventId::new()));
        reaction.expected.insert(self.troubles.stream.clone(), self.troubles.version);
        if !self.record(reaction, None).await? {
            self.reload().await?;
        }
        self.troubles.read_on(&self.log).await?;
        Ok(true)
    }

    /// Records it all, or nothing, where another was there first; which of them.
    async fn record(&mut self, reaction: Reaction<P>, through: Option<Position>) -> Result<bool, StoreError> {
        let Reaction { events, expected, after } = reaction;
        let mut append = Append::new(events);
        append.expected = expected.into_iter().map(|(stream, version)| (stream, Expected::Exact(version))).collect();
        if let Some(through) = through {
            append = append.consumed(self.consumer.clone(), through);
        }
        match self.log.append(append).await {
            Ok(_) => {
                if INSTANCES_MAX < self.instances.len() + after.len() {
                    self.instances.clear();
                }
                self.instances.extend(after);
                self.timers.read_on(&self.log).await?;
                self.troubles.read_on(&self.log).await?;
                Ok(true)
            }
            Err(AppendError::Store(error)) => Err(error),
            Err(AppendError::Conflict(_) | AppendError::AlreadyConsumed { .. } | AppendError::IdTaken { .. }) => Ok(false),
            Err(refused) => Err(StoreError::new(StoreErrorKind::Invalid, refused.to_string())),
        }
    }
}

/// Where events of an instance come from.
struct Origin<'a, P: Process> {
    id: &'a P::Id,
    stream: &'a StreamName,
    /// What their ids follow from.
    key: EventId,
    /// When it happened: timers count from here.
    at: Timestamp,
    cause: Option<&'a RecordedEvent>,
}

/// Calls what is the process's own; a panic in it is its failure.
fn guarded<T>(call: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(call)).map_err(|panic| format!("it panicked: {}", crate::projection::failure::message(&*panic)))
}

fn text(error: &crate::CodecError) -> String {
    let source = std::error::Error::source(error).map(|source| format!(": {source}")).unwrap_or_default();
    format!("{error}{source}")
}
