//! A member of a group: it is handed events, and answers for each.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::state::{GroupEvent, GroupState};
use super::window::Window;
use super::{CHANGES_MAX, Delivery, Group, GroupError, GroupSettings};
use crate::{Append, AppendError, Expected, Position, Query, Range, Read, RecordedEvent, Scope, Store, partition};

/// A member of a [`Group`]. It is alive for as long as [`next`](Member::next) is called now and then.
#[derive(Debug)]
pub struct Member {
    group: Group,
    name: String,
    shutdown: CancellationToken,
    state: GroupState,
    settings: GroupSettings,
    window: Window,
    /// The partitions of this member, in the generation that they are counted in.
    own: (u64, BTreeSet<u32>),
    /// Parked events that were delivered again, and not yet answered for.
    replaying: BTreeSet<Position>,
    /// The last number of its heartbeat.
    beat: Position,
    beat_at: Instant,
    look_at: Instant,
    flush_at: Instant,
    /// The last that was heard of each other member, and when.
    others: HashMap<String, (Position, Instant)>,
}

/// How long an acknowledgement waits for others before it is recorded.
const FLUSH: Duration = Duration::from_millis(200);
/// How often it is looked for what is asked of the group.
const LOOK: Duration = Duration::from_millis(500);
/// The longest name of a member, in bytes.
const NAME_BYTES_MAX: usize = 100;

impl Member {
    pub(super) async fn join(group: Group, name: &str, shutdown: CancellationToken) -> Result<Self, GroupError> {
        crate::name::check("a member's name", name, NAME_BYTES_MAX)?;
        let now = Instant::now();
        let state = group.state().await?;
        let settings = state.settings.clone().ok_or_else(|| GroupError::NotFound(group.name.clone()))?;
        let beat = group.log.store().consumed(group.heartbeat(name)?).await?;
        let mut member = Self {
            group,
            name: name.to_owned(),
            shutdown,
            state,
            settings,
            window: Window::default(),
            own: (0, BTreeSet::new()),
            replaying: BTreeSet::new(),
            beat,
            beat_at: now,
            look_at: now,
            flush_at: now,
            others: HashMap::new(),
        };
        member.enter().await?;
        Ok(member)
    }

    /// The next event to handle, once there is one; `None` when the shutdown token is cancelled.
    ///
    /// Events of one stream come in order, each when the one before it is answered for. Dropping the future loses nothing.
    ///
    /// # Errors
    /// [`GroupError`] where the group is removed, or the store failed; it can be called again.
    pub async fn next(&mut self) -> Result<Option<Delivery>, GroupError> {
        let shutdown = self.shutdown.clone();
        match shutdown.run_until_cancelled(self.advance()).await {
            Some(delivery) => delivery.map(Some),
            None => Ok(None),
        }
    }

    /// The event is handled.
    ///
    /// # Errors
    /// [`GroupError`] where the store failed.
    pub async fn ack(&mut self, delivery: &Delivery) -> Result<(), GroupError> {
        let position = delivery.event.position;
        if delivery.replayed {
            self.change(|_| Some(GroupEvent::Settled { position: position.get() })).await?;
            self.replaying.remove(&position);
        } else {
            self.window.done(&delivery.event);
        }
        Ok(())
    }

    /// The event is to be delivered again, after a while; after the last try it is parked.
    ///
    /// # Errors
    /// As [`Member::ack`].
    pub async fn retry(&mut self, delivery: &Delivery, error: &str) -> Result<(), GroupError> {
        match self.settings.backoff.after(delivery.attempt) {
            Some(wait) if !delivery.replayed => {
                self.window.wait(&delivery.event, Instant::now() + wait);
                Ok(())
            }
            _ => self.park(delivery, error).await,
        }
    }

    /// The event is set aside.
    ///
    /// # Errors
    /// As [`Member::ack`].
    pub async fn park(&mut self, delivery: &Delivery, error: &str) -> Result<(), GroupError> {
        let (event, known) = (&delivery.event, self.state.parked.get(&delivery.event.position).map_or(0, |parked| parked.tries));
        let tries = if delivery.replayed { known + 1 } else { delivery.attempt };
        self.set_aside(event, error, tries).await?;
        self.replaying.remove(&event.position);
        Ok(())
    }

    /// Records what is answered for, and gives the rest back at once.
    ///
    /// # Errors
    /// [`GroupError`] where the store failed; the rest is then given back after a time.
    pub async fn leave(mut self) -> Result<(), GroupError> {
        self.flush().await?;
        let name = self.name.clone();
        let left = |state: &GroupState| state.members.contains(&name).then(|| GroupEvent::Left { member: name.clone() });
        self.group.change(self.state, |state| Ok(left(state))).await.map(drop)
    }

    async fn advance(&mut self) -> Result<Delivery, GroupError> {
        loop {
            self.attend().await?;
            if let Some(delivery) = self.replay().await? {
                return Ok(delivery);
            }
            if let Some(event) = self.window.ready(Instant::now()) {
                // Nothing is changed before an await: whoever drops the future loses nothing.
                if self.state.parked.contains_key(&event.position) {
                    self.window.done(&event);
                } else if self.settings.park_stream && self.state.is_parked_behind(&event.stream, event.position) {
                    self.set_aside(&event, "", 0).await?;
                } else {
                    return Ok(self.window.deliver(event));
                }
                continue;
            }
            if !self.read_on().await? {
                self.wait().await;
            }
        }
    }

    /// Does what is due beside handing out: heartbeats, checkpoints, and looks at the group.
    pub(super) async fn attend(&mut self) -> Result<(), GroupError> {
        let now = Instant::now();
        if self.beat_at <= now {
            self.heartbeat().await?;
            self.beat_at = now + self.settings.member_timeout / 3;
            self.expire_others().await?;
        }
        if self.look_at <= now {
            self.group.read_on(&mut self.state).await?;
            self.enter().await?;
            self.look_at = now + LOOK;
        }
        if self.flush_at <= now {
            self.flush().await?;
            self.flush_at = now + FLUSH;
        }
        Ok(())
    }

    async fn wait(&self) {
        let due = [Some(self.beat_at), Some(self.look_at), Some(self.flush_at), self.window.next_due()];
        let due = due.into_iter().flatten().min().unwrap_or(self.look_at);
        let changed = async {
            match self.next_read() {
                Some((range, _)) => self.group.log.store().changed(range.after).await,
                // It has all that it may have in hand.
                None => std::future::pending().await,
            }
        };
        let _ = tokio::time::timeout_at(due, changed).await;
    }

    fn next_read(&self) -> Option<(Range, BTreeSet<u32>)> {
        self.window.next_read().filter(|_| self.window.len() < self.settings.in_flight)
    }

    /// Takes a page in; whether it got further.
    async fn read_on(&mut self) -> Result<bool, GroupError> {
        let Some((range, partitions)) = self.next_read() else { return Ok(false) };
        let limit = self.settings.in_flight - self.window.len();
        let read = Read::new(self.settings.query.clone()).range(range).limit(limit);
        let page = self.group.log.store().read(read).await?;
        let through = page.through(range);
        for event in page.events.into_iter().filter(|event| is_selected(&self.settings.query, event)) {
            let partition = partition::of(event.stream.as_str(), self.settings.partitions);
            if partitions.contains(&partition) {
                self.window.take(partition, event);
            }
        }
        self.window.read(&partitions, through);
        Ok(range.after < through)
    }

    /// A parked event that is to be delivered again, of a partition of its own; those of a stream one after the other.
    async fn replay(&mut self) -> Result<Option<Delivery>, GroupError> {
        let busy = |stream| self.replaying.iter().any(|at| self.state.parked.get(at).is_some_and(|other| other.stream == stream));
        let asked = self.state.replayed.iter().filter_map(|at| self.state.parked.get(at));
        let next = asked.filter(|parked| !self.replaying.contains(&parked.position) && !busy(parked.stream.clone()));
        let own = |stream: &str| self.own.1.contains(&partition::of(stream, self.settings.partitions));
        let Some(position) = next.filter(|parked| own(parked.stream.as_str())).map(|parked| parked.position).next() else {
            return Ok(None);
        };
        let one = Range { after: position.previous(), through: position };
        let page = self.group.log.store().read(Read::new(Query::all()).range(one).limit(1)).await?;
        self.replaying.insert(position);
        Ok(page.events.into_iter().next().map(|event| Delivery { event, attempt: 1, replayed: true }))
    }

    async fn set_aside(&mut self, event: &RecordedEvent, error: &str, tries: u32) -> Result<(), GroupError> {
        let (position, stream, error) = (event.position.get(), event.stream.to_string(), error.to_owned());
        let parked = GroupEvent::Parked { position, stream, error, tries };
        let (name, number) = (self.name.clone(), partition::of(event.stream.as_str(), self.settings.partitions));
        // Where another has it now, it is for that one to say.
        self.change(|state| state.partitions_of(&name).contains(&number).then(|| parked.clone())).await?;
        self.window.done(event);
        Ok(())
    }

    /// Records an event on the group as it is, and goes by what it has become.
    async fn change(&mut self, decide: impl Fn(&GroupState) -> Option<GroupEvent>) -> Result<(), GroupError> {
        self.state = self.group.change(self.state.clone(), |state| Ok(decide(state))).await?;
        self.enter().await
    }

    /// Goes by the group's state: takes part if it does not, and takes up and gives up partitions.
    async fn enter(&mut self) -> Result<(), GroupError> {
        let Some(settings) = self.state.settings.clone() else { return Err(GroupError::NotFound(self.group.name.clone())) };
        self.settings = settings;
        if self.own.0 == 0 || !self.state.members.contains(&self.name) {
            self.take_part().await?;
        }
        let (generation, partitions) = (self.state.generation, self.state.partitions_of(&self.name));
        let kept: BTreeSet<u32> =
            if generation == self.own.0 { self.own.1.intersection(&partitions).copied().collect() } else { BTreeSet::new() };
        for lost in self.own.1.difference(&kept) {
            self.window.lose(*lost);
        }
        self.own = (generation, kept.clone());
        for gained in partitions.difference(&kept) {
            let checkpoint = self.group.checkpoint(&self.state, *gained).await?;
            self.window.gain(*gained, checkpoint);
            self.own.1.insert(*gained);
        }
        Ok(())
    }

    /// Joins, also in the place of one of the same name from before.
    async fn take_part(&mut self) -> Result<(), GroupError> {
        let name = self.name.clone();
        if self.own.0 == 0 {
            let from_before =
                |state: &GroupState| state.members.contains(&name).then(|| GroupEvent::Left { member: name.clone() });
            self.state = self.group.change(self.state.clone(), |state| Ok(from_before(state))).await?;
        }
        let joined = |state: &GroupState| (!state.members.contains(&name)).then(|| GroupEvent::Joined { member: name.clone() });
        self.state = self.group.change(self.state.clone(), |state| Ok(joined(state))).await?;
        Ok(())
    }

    /// Marks the checkpoints of its partitions, of those that are its own still.
    async fn flush(&mut self) -> Result<(), GroupError> {
        for _ in 0..CHANGES_MAX {
            let Some((partition, checkpoint)) = self.window.to_mark().into_iter().next() else { return Ok(()) };
            let mark = self.group.mark(self.state.generation, partition)?;
            let expected = Expected::Exact(self.state.version);
            let append = Append::default().expect(self.group.stream.clone(), expected).consumed(mark, checkpoint);
            match self.group.log.append(append).await {
                Ok(_) | Err(AppendError::AlreadyConsumed { .. }) => self.window.marked(partition, checkpoint),
                Err(AppendError::Conflict(_)) => {
                    // The group has changed: another may have the partition now.
                    self.group.read_on(&mut self.state).await?;
                    self.enter().await?;
                }
                Err(AppendError::Store(error)) => return Err(error.into()),
                Err(refused) => return Err(GroupError::Refused(refused)),
            }
        }
        Ok(())
    }

    async fn heartbeat(&mut self) -> Result<(), GroupError> {
        let append = Append::default().consumed(self.group.heartbeat(&self.name)?, self.beat.next());
        match self.group.log.append(append).await {
            Ok(_) => self.beat = self.beat.next(),
            Err(AppendError::AlreadyConsumed { through, .. }) => self.beat = through,
            Err(AppendError::Store(error)) => return Err(error.into()),
            Err(refused) => return Err(GroupError::Refused(refused)),
        }
        Ok(())
    }

    /// Has members leave that nothing was heard of for too long, by this member's own clock.
    async fn expire_others(&mut self) -> Result<(), GroupError> {
        let now = Instant::now();
        let others: Vec<String> = self.state.members.iter().filter(|other| **other != self.name).cloned().collect();
        for other in others {
            let beat = self.group.log.store().consumed(self.group.heartbeat(&other)?).await?;
            let (last, since) = *self.others.entry(other.clone()).or_insert((beat, now));
            if last != beat {
                self.others.insert(other, (beat, now));
            } else if self.settings.member_timeout < now.duration_since(since) {
                let gone =
                    |state: &GroupState| state.members.contains(&other).then(|| GroupEvent::Left { member: other.clone() });
                self.change(gone).await?;
                self.others.remove(&other);
            }
        }
        Ok(())
    }
}

/// Whether an event is one for members: those of the system's own streams are, where the query names them.
fn is_selected(query: &Query, event: &RecordedEvent) -> bool {
    let named = |scope: &Scope| match scope {
        Scope::Stream(stream, _) => stream.is_system(),
        Scope::Category(category) => category.as_str().starts_with('$'),
        _ => false,
    };
    !event.stream.is_system() || query.selectors.iter().any(|selector| named(&selector.scope))
}
