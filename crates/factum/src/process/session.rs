//! A session of a reactor: from what the store says to the first thing that is not as it was read.

use std::time::Duration;

use super::failed::{Failed, caught};
use super::instance::Instance;
use super::instances::Instances;
use super::journal::{Entry, Journal};
use super::reactor::{Halt, Reactor};
use super::runner::ProcessError;
use super::timers::{TimerChange, Timers, changes};
use super::turn::{Turn, check, recorded};
use crate::{
    Activity, AnyStore, AppendError, Category, EventId, NewEvent, Position, Process, Range, Read, RecordedEvent, Selector, Store,
    StreamName, Timestamp, TypedEvent, Version, aggregate,
};

/// Events read at a time.
const PAGE: usize = 1_000;
/// How long it sleeps at most while a timer is set: clocks are set, and machines sleep.
const STEP: Duration = Duration::from_secs(1);
/// The most instances in quarantine: where so many fail, it is not they that are to blame.
pub(crate) const QUARANTINED_MAX: usize = 1_000;
/// The timers are written down after this many own events, or twice as many as there are timers, if that is more.
const CHECKPOINT_EVENTS: usize = 1_000;

pub(crate) struct Session<'a, P> {
    reactor: &'a Reactor,
    pub(crate) journal: Journal,
    pub(crate) timers: Timers,
    /// The timers are those of all own events up to here.
    timers_through: Position,
    /// Own events since the timers were written down.
    since: usize,
    pub(crate) instances: Instances<P>,
    pub(crate) turn: Turn,
    /// What the store says is handled.
    pub(crate) mark: Position,
    /// What is.
    pub(crate) handled: Position,
    /// What of a stream that is let go is handled.
    pub(crate) advancing: Option<(StreamName, Position)>,
    /// Whether each instance has a turn of its own, until a batch is through.
    careful: bool,
    head: Position,
    waiting_since: Option<Timestamp>,
    /// What the store said was handled, where it got as far as to read inputs.
    pub(crate) began: Option<Position>,
}

impl<'a, P: Process> Session<'a, P> {
    pub(crate) fn new(reactor: &'a Reactor, careful: bool) -> Self {
        Self {
            reactor,
            journal: Journal::default(),
            timers: Timers::default(),
            timers_through: Position::START,
            since: 0,
            instances: Instances::new(reactor.log.store().clone()),
            turn: Turn::default(),
            mark: Position::START,
            handled: Position::START,
            advancing: None,
            careful,
            head: Position::START,
            waiting_since: None,
            began: None,
        }
    }

    pub(crate) fn store(&self) -> &'a AnyStore {
        self.reactor.log.store()
    }

    /// Until something halts it.
    pub(crate) async fn run(&mut self) -> Halt {
        match self.begin().await {
            Ok(()) => match self.follow().await {
                Ok(never) => match never {},
                Err(halt) => halt,
            },
            Err(halt) => halt,
        }
    }

    async fn begin(&mut self) -> Result<(), Halt> {
        let Reactor { names, after, .. } = self.reactor;
        self.mark = self.store().consumed(names.consumer.clone()).await?;
        self.handled = if self.mark == Position::START { *after } else { self.mark };
        let began = self.mark;
        self.journal = Journal::read(self.store(), &names.journal).await?;
        self.timers = std::mem::take(&mut self.journal.timers);
        self.timers_through = self.journal.timers_through;
        self.read_own_events().await?;
        for held in self.journal.holds.streams(|_| true) {
            self.timers.remove_all(&held);
        }
        for released in self.journal.holds.streams(|hold| hold.released) {
            self.catch_up(&released).await?;
        }
        self.began = Some(began);
        Ok(())
    }

    /// Reads the own events that the timers do not know of yet.
    async fn read_own_events(&mut self) -> Result<(), Halt> {
        let category = Category::new(P::CATEGORY).map_err(Failed::here)?;
        let mut range = Range::after(self.timers_through);
        loop {
            let page = self.store().read(Read::new(Selector::category(category.clone()).into()).range(range)).await?;
            let through = page.through(range);
            for event in &page.events {
                self.own_event(event)?;
            }
            self.timers_through = self.timers_through.max(through);
            match page.rest {
                Some(rest) => range = rest,
                None => return Ok(()),
            }
        }
    }

    /// Reads, handles and waits, for ever: catching up and following are one loop.
    async fn follow(&mut self) -> Result<std::convert::Infallible, Halt> {
        loop {
            // Before the read: what happens after it happens after this time.
            let now = self.reactor.clock.now();
            let range = Range::after(self.handled);
            let page = self.store().read(Read::new(self.reactor.query.clone()).range(range).limit(PAGE)).await?;
            self.head = page.head;
            let through = page.through(range);
            if self.handled < through {
                self.pass(page.events, through).await?;
                self.show();
            } else if self.timers.next_due().is_some_and(|due| due <= now) {
                self.wake_all(now).await?;
                self.record().await?;
            } else {
                self.show();
                let _ = tokio::time::timeout(self.until_next_timer(now), self.store().changed(self.handled)).await;
            }
            self.write_timers_down().await?;
        }
    }

    fn until_next_timer(&self, now: Timestamp) -> Duration {
        let micros = self.timers.next_due().map_or(i64::MAX, |due| due.as_micros().saturating_sub(now.as_micros()));
        Duration::from_micros(micros.try_into().unwrap_or_default()).min(STEP)
    }

    async fn pass(&mut self, events: Vec<RecordedEvent>, through: Position) -> Result<(), Halt> {
        let last = events.last().map(|event| event.recorded_at);
        for event in events {
            let position = event.position;
            self.waiting_since = Some(event.recorded_at);
            self.take(event).await?;
            self.handled = position;
            if self.turn.is_full() || self.careful && self.turn.has_events() {
                self.record().await?;
            }
        }
        self.handled = through;
        self.timers_through = self.timers_through.max(through);
        self.waiting_since = last.filter(|_| through < self.head);
        self.careful = false;
        if self.turn.has_events() || !self.journal.holds.streams(|hold| hold.caught_up).is_empty() {
            self.record().await?;
        }
        Ok(())
    }

    async fn take(&mut self, event: RecordedEvent) -> Result<(), Halt> {
        if event.stream == self.reactor.names.journal {
            self.journal_entry(&event).await
        } else if StreamName::category_of(&event.stream) == P::CATEGORY {
            if self.timers_through < event.position {
                self.timers_through = event.position;
                self.own_event(&event)?;
            }
            Ok(())
        } else if event.stream.is_system() {
            Ok(())
        } else {
            self.input(event).await
        }
    }

    /// Somebody asks for something, or another that runs this process wrote something down.
    async fn journal_entry(&mut self, event: &RecordedEvent) -> Result<(), Halt> {
        if event.version <= self.journal.version {
            return Ok(());
        }
        self.journal.apply(event)?;
        match event.decode::<Entry>().map_err(Failed::here)? {
            Some(Entry::Released { held, .. }) => {
                let held = StreamName::new(held).map_err(Failed::here)?;
                self.catch_up(&held).await
            }
            // Rare enough to read everything again.
            _ => Err(Halt::Lost),
        }
    }

    /// An own event, in the order of positions: what it says of timers.
    fn own_event(&mut self, event: &RecordedEvent) -> Result<(), Halt> {
        self.since += 1;
        if self.journal.holds.waits(&event.stream) || self.instances.has(&event.stream, event.version) {
            return Ok(());
        }
        self.instances.forget(&event.stream);
        match changes::<P>(event) {
            Ok(changes) => changes.iter().for_each(|change| self.timers.apply(&event.stream, change)),
            Err(failed) => self.hold(&event.stream, None, failed)?,
        }
        Ok(())
    }

    async fn input(&mut self, event: RecordedEvent) -> Result<(), Halt> {
        // What was to go off before this happened does so, however late it is.
        let before = event.recorded_at.earlier(Duration::from_micros(1)).min(self.reactor.clock.now());
        if self.turn.next_due().is_some_and(|due| due <= before) {
            self.record().await?;
        }
        self.wake_all(before).await?;
        self.turn.inputs += 1;
        if self.journal.holds.waits(&event.stream) {
            return Ok(());
        }
        let (source, position) = (event.stream.clone(), event.position);
        match addressed::<P>(event) {
            Ok(Some((stream, input))) if !self.journal.holds.waits(&stream) => self.react(stream, &input).await,
            Ok(_) => Ok(()),
            Err(failed) => self.hold(&source, Some(position), failed),
        }
    }

    pub(crate) async fn react(&mut self, stream: StreamName, input: &TypedEvent<P::Inputs>) -> Result<(), Halt> {
        let reacted = match self.instance(&stream).await {
            Ok(instance) => (instance.version, instance.react(&stream, input)),
            Err(failed) => (Version::EMPTY, Err(failed)),
        };
        self.take_up(stream, reacted, Some(input.position)).await
    }

    /// The instance of a stream. The index has the timers of those that are known here.
    pub(crate) async fn instance(&mut self, stream: &StreamName) -> Result<&mut Instance<P>, Failed> {
        if self.instances.known(stream).is_none() {
            self.instances.load(stream).await?;
            self.index(stream);
        }
        self.instances.get(stream)
    }

    /// Puts what happens to an instance that was at a version into the turn; or the instance, in quarantine.
    async fn take_up(
        &mut self,
        stream: StreamName,
        (before, decided): (Version, Result<Vec<NewEvent>, Failed>),
        input: Option<Position>,
    ) -> Result<(), Halt> {
        match decided.and_then(|events| check(&events).map(|()| events)) {
            Ok(events) => {
                if !self.turn.has_room_for(&events) {
                    self.record().await?;
                }
                self.turn.expect_timers(&events.iter().flat_map(|event| self.set_by(event)).collect::<Vec<_>>());
                self.turn.add(stream, before, events);
                Ok(())
            }
            Err(failed) => self.hold(&stream, input, failed),
        }
    }

    /// When the timers go off that an event sets which is not recorded yet.
    fn set_by(&self, event: &NewEvent) -> Vec<Timestamp> {
        let recorded = RecordedEvent::record(event.clone(), Position::START, Version::EMPTY, self.reactor.clock.now());
        let changes = changes::<P>(&recorded).unwrap_or_default().into_iter();
        changes.filter_map(|change| if let TimerChange::Set(_, timer) = change { Some(timer.due) } else { None }).collect()
    }

    /// Wakes those whose time has come by then.
    async fn wake_all(&mut self, by: Timestamp) -> Result<(), Halt> {
        while let Some((stream, name, id)) = self.timers.take_due(by) {
            self.wake(stream, &name, id).await?;
        }
        Ok(())
    }

    async fn wake(&mut self, stream: StreamName, name: &str, id: EventId) -> Result<(), Halt> {
        if self.journal.holds.waits(&stream) {
            return Ok(());
        }
        if self.turn.writes_to(&stream) {
            // What that says of its timers is known once it is recorded.
            self.record().await?;
        }
        let woken = match self.instance(&stream).await {
            Ok(instance) => (instance.version, instance.wake(&stream, name, id)),
            Err(failed) => (Version::EMPTY, Err(failed)),
        };
        match woken {
            // The index was behind.
            (_, Ok(events)) if events.is_empty() => self.index(&stream),
            woken => self.take_up(stream, woken, None).await?,
        }
        if self.careful { self.record().await } else { Ok(()) }
    }

    /// Puts the timers of an instance into the index, as the instance has them.
    pub(crate) fn index(&mut self, stream: &StreamName) {
        self.timers.remove_all(stream);
        if let Some(instance) = self.instances.known(stream) {
            instance.timers.iter().for_each(|(name, timer)| self.timers.set(stream, name, timer.due, timer.id));
        }
    }

    /// Puts an instance, or a stream of inputs, into quarantine: because of this input, or of something else.
    pub(crate) fn hold(&mut self, stream: &StreamName, input: Option<Position>, why: Failed) -> Result<(), Halt> {
        let Failed::Here(error) = why else { return Err(why.into()) };
        self.instances.forget(stream);
        let (held, through, error) = match (&self.advancing, input) {
            // What waited waits on; whatever it is for, others of its inputs are handled.
            (Some((held, _)), Some(input)) if held != stream => (held.clone(), input.previous(), format!("{stream}: {error}")),
            (_, Some(input)) => (stream.clone(), input.previous(), error),
            (Some((held, through)), None) if held == stream => (held.clone(), *through, error),
            (_, None) => (stream.clone(), self.handled, error),
        };
        if QUARANTINED_MAX <= self.journal.holds.len() {
            return Err(Halt::Ended(ProcessError::Quarantined { stream: held, error }));
        }
        self.timers.remove_all(&held);
        let failed = input.unwrap_or_default().get();
        let entry = Entry::Held { held: held.to_string(), through: through.get(), failed, error };
        self.journal.holds.apply(&entry, self.reactor.clock.now())?;
        self.turn.entries.push(entry);
        Ok(())
    }

    /// Records the turn, with how far everything is: all of it or nothing.
    pub(crate) async fn record(&mut self) -> Result<(), Halt> {
        let moved = self.mark < self.handled;
        let mut turn = std::mem::take(&mut self.turn);
        let caught_up = self.journal.holds.streams(|hold| moved && hold.caught_up);
        turn.entries.extend(caught_up.into_iter().map(|stream| Entry::Closed { held: stream.to_string() }));
        if let Some((stream, through)) = &self.advancing {
            turn.entries.push(Entry::Advanced { held: stream.to_string(), through: through.get() });
        }
        if !moved && !turn.has_events() {
            return Ok(());
        }
        let Reactor { names, log, .. } = self.reactor;
        // An instance that was just read may have been through inputs that another has handled since.
        if std::mem::take(&mut self.instances.loaded) && self.store().consumed(names.consumer.clone()).await? != self.mark {
            return Err(Halt::Lost);
        }
        let append = turn.append(names, self.journal.version, moved.then_some(self.handled))?;
        let appended = match log.append(append.clone()).await {
            Ok(appended) => appended,
            Err(AppendError::Store(error)) => return Err(error.into()),
            Err(AppendError::Invalid(invalid)) => return Err(Halt::Ended(ProcessError::Refused(invalid))),
            Err(_another_was_there) => return Err(Halt::Lost),
        };
        self.mark = if moved { self.handled } else { self.mark };
        for event in recorded(append, &appended).ok_or(Halt::Lost)? {
            self.settle(&event)?;
        }
        self.instances.tidy();
        // Where a store is always ready, others have their turn, and a shutdown too.
        tokio::task::yield_now().await;
        Ok(())
    }

    /// Goes by what is recorded now.
    fn settle(&mut self, event: &RecordedEvent) -> Result<(), Halt> {
        if event.stream == self.reactor.names.journal {
            return Ok(self.journal.apply(event)?);
        }
        let Some(instance) = self.instances.known(&event.stream) else { return Ok(()) };
        match changes::<P>(event) {
            Ok(changes) => {
                for change in changes {
                    self.timers.apply(&event.stream, &change);
                    instance.change(change);
                }
                Ok(())
            }
            Err(failed) => self.hold(&event.stream, None, failed),
        }
    }

    /// Writes the timers down now and then, so that a start need not read all own events.
    async fn write_timers_down(&mut self) -> Result<(), Halt> {
        if self.since + self.journal.since < CHECKPOINT_EVENTS.max(2 * self.timers.len()) {
            return Ok(());
        }
        self.record().await?;
        let through = self.timers_through;
        for entry in self.journal.checkpoint(&self.timers, through) {
            self.turn.entries.push(entry);
            self.record().await?;
        }
        (self.since, self.journal.since) = (0, 0);
        Ok(())
    }

    fn show(&self) {
        self.reactor.status.send_modify(|status| {
            let following = self.head <= self.handled;
            status.activity = if following { Activity::Following } else { Activity::CatchingUp };
            status.handled = self.handled;
            status.head = self.head.max(self.handled);
            status.waiting_since = self.waiting_since;
            status.timers = self.timers.len();
            status.next_timer = self.timers.next_due();
            status.quarantined = self.journal.holds.quarantined();
        });
    }

    /// What of the inputs is in this range.
    pub(crate) fn inputs_in(&self, range: Range) -> Read {
        Read::new(self.reactor.inputs.clone()).range(range)
    }
}

/// The stream of the instance that an input concerns; `None` where it concerns none.
pub(crate) type Addressed<P> = Option<(StreamName, TypedEvent<<P as Process>::Inputs>)>;

pub(crate) fn addressed<P: Process>(event: RecordedEvent) -> Result<Addressed<P>, Failed> {
    let Some(input) = caught("reading the input", || TypedEvent::of(event))?.map_err(Failed::here)? else { return Ok(None) };
    let Some(id) = caught("instance", || P::instance(&input))? else { return Ok(None) };
    Ok(Some((aggregate::stream::<P>(&id).map_err(Failed::here)?, input)))
}
