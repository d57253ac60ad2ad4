//! Random schedules: members come, go, die and answer in any order, and a plain model says what must hold.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use factum::{Append, Delivery, Group, Log, Member, MemoryStore, NewEvent, Payload};
use tokio_util::sync::CancellationToken;

use super::settings;

const SEEDS: u64 = 100;
const STEPS: usize = 250;
const STREAMS: [&str; 4] = ["a", "b", "c", "d"];
const TIMEOUT: Duration = Duration::from_secs(2);
/// Runs the schedule of this seed alone.
const SEED: &str = "FACTUM_GROUP_SEED";

/// A random sequence: the same for a seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }
}

/// A member, and what it has in hand.
struct Joined {
    member: Member,
    in_hand: Vec<Delivery>,
}

struct World {
    random: Random,
    log: Log,
    group: Group,
    members: Vec<Joined>,
    joined: usize,
    /// Where the events are, by stream.
    events: BTreeMap<&'static str, Vec<u64>>,
    /// What was acknowledged or discarded.
    handled: BTreeSet<u64>,
}

impl World {
    async fn new(seed: u64) -> Self {
        let log = Log::new(MemoryStore::new());
        let group = log.group("mailer").unwrap();
        group.create(settings().partitions(3).member_timeout(TIMEOUT)).await.unwrap();
        let (members, events, handled) = (Vec::new(), BTreeMap::new(), BTreeSet::new());
        Self { random: Random(seed), log, group, members, joined: 0, events, handled }
    }

    async fn step(&mut self) -> Result<(), String> {
        match self.random.below(20) {
            0..4 => self.happen().await,
            4 if self.members.len() < 3 => self.join().await,
            5 => self.leave().await,
            6 => self.die(),
            7..12 => self.next().await?,
            12..15 => self.answer(|_| 0).await?,
            15 => self.answer(|random| 1 + random.below(2)).await?,
            16 => self.group.replay(None).await.map_err(|error| error.to_string())?,
            17 => self.discard().await?,
            18 => tokio::time::sleep(TIMEOUT / 3).await,
            _ => tokio::time::sleep(2 * TIMEOUT).await,
        }
        self.check_checkpoint().await
    }

    async fn happen(&mut self) {
        let stream = STREAMS[self.random.below(STREAMS.len())];
        let event = NewEvent::new(stream.parse().unwrap(), "Happened", Payload::json("{}")).unwrap();
        let appended = self.log.append(Append::new(vec![event])).await.unwrap();
        self.events.entry(stream).or_default().push(appended.positions.through.get());
    }

    async fn join(&mut self) {
        self.joined += 1;
        let member = self.group.join(&format!("member {}", self.joined), CancellationToken::new()).await.unwrap();
        self.members.push(Joined { member, in_hand: Vec::new() });
    }

    async fn leave(&mut self) {
        if let Some(joined) = self.take_member() {
            joined.member.leave().await.unwrap();
        }
    }

    /// It is not heard of again.
    fn die(&mut self) {
        drop(self.take_member());
    }

    fn take_member(&mut self) -> Option<Joined> {
        (!self.members.is_empty()).then(|| self.members.swap_remove(self.random.below(self.members.len())))
    }

    async fn next(&mut self) -> Result<(), String> {
        if self.members.is_empty() {
            return Ok(());
        }
        let place = self.random.below(self.members.len());
        let joined = &mut self.members[place];
        let Ok(delivery) = tokio::time::timeout(Duration::from_millis(20), joined.member.next()).await else { return Ok(()) };
        let delivery = delivery.map_err(|error| error.to_string())?.ok_or("it ended")?;
        joined.in_hand.push(delivery.clone());
        let (stream, position) = (delivery.event.stream.to_string(), delivery.event.position.get());
        let earlier = self.events[&stream[..]].iter().filter(|earlier| **earlier < position);
        match earlier.into_iter().find(|earlier| !self.handled.contains(earlier)) {
            Some(earlier) => Err(format!("{position} of {stream} was delivered before {earlier} was answered for")),
            None => Ok(()),
        }
    }

    /// Answers for something in hand: 0 handled, 1 to be tried again, 2 parked.
    async fn answer(&mut self, how: impl Fn(&mut Random) -> usize) -> Result<(), String> {
        let Some(place) = self.members.iter().position(|joined| !joined.in_hand.is_empty()) else { return Ok(()) };
        let how = how(&mut self.random);
        let joined = &mut self.members[place];
        let delivery = joined.in_hand.swap_remove(self.random.below(joined.in_hand.len()));
        let answered = match how {
            0 => joined.member.ack(&delivery).await,
            1 => joined.member.retry(&delivery, "again").await,
            _ => joined.member.park(&delivery, "no").await,
        };
        if how == 0 {
            self.handled.insert(delivery.event.position.get());
        }
        answered.map_err(|error| error.to_string())
    }

    /// Only the first of a stream, as a careful operator would.
    async fn discard(&mut self) -> Result<(), String> {
        let parked = self.group.status().await.map_err(|error| error.to_string())?.parked;
        if let Some(first) = parked.first() {
            self.group.discard(first.position).await.map_err(|error| error.to_string())?;
            self.handled.insert(first.position.get());
        }
        Ok(())
    }

    async fn check_checkpoint(&self) -> Result<(), String> {
        let status = self.group.status().await.map_err(|error| error.to_string())?;
        let is_parked = |position: u64| status.parked.iter().any(|parked| parked.position.get() == position);
        let passed = self.events.values().flatten().filter(|position| **position <= status.checkpoint().get());
        match passed.into_iter().find(|position| !self.handled.contains(position) && !is_parked(**position)) {
            Some(lost) => Err(format!("the checkpoint {} has passed {lost}, which nobody answered for", status.checkpoint())),
            None => Ok(()),
        }
    }

    /// One that handles everything comes to the end of it.
    async fn finish(mut self) -> Result<(), String> {
        self.members.clear();
        tokio::time::sleep(3 * TIMEOUT).await;
        self.join().await;
        let mut idle = 0;
        while idle < 60 {
            let before = self.handled.len();
            self.group.replay(None).await.map_err(|error| error.to_string())?;
            self.next().await?;
            self.answer(|_| 0).await?;
            idle = if before < self.handled.len() { 0 } else { idle + 1 };
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let parked = self.group.status().await.map_err(|error| error.to_string())?.parked;
        let lost = self.events.values().flatten().find(|position| !self.handled.contains(position));
        match (lost, &parked[..]) {
            (None, []) => Ok(()),
            _ => Err(format!("lost: {lost:?}, still parked: {parked:?}")),
        }
    }
}

async fn run(seed: u64) -> Result<(), String> {
    let mut world = World::new(seed).await;
    for _ in 0..STEPS {
        world.step().await?;
    }
    world.finish().await
}

#[tokio::test(start_paused = true)]
async fn whatever_members_do_each_event_is_answered_for_and_in_order() {
    let one = std::env::var(SEED).ok().and_then(|seed| seed.parse().ok());
    let seeds = one.map_or(1..SEEDS + 1, |seed: u64| seed..seed + 1);
    for seed in seeds {
        let outcome = run(seed).await;
        assert!(outcome.is_ok(), "{}\nagain: {SEED}={seed} cargo test -p factum --test it groups::random", outcome.unwrap_err());
    }
}
