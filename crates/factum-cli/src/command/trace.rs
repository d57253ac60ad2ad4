//! `factum trace`: what led to an event, and what it led to.

use std::collections::HashMap;

use factum::{AnyStore, EventId, Position, Query, Range, Read, RecordedEvent, Scope, Selector, Store, limits};

use crate::args::{self, Format};
use crate::command::Context;
use crate::exit::Failure;
use crate::table::printable;

/// Prints the tree around an event, or of a conversation.
pub(crate) async fn run(args: args::Trace, mut context: Context<'_>) -> Result<(), Failure> {
    let store = context.target.reader().await?.store();
    let trace = Trace { store, limit: args.limit as usize };
    let marked = match args.id.parse::<EventId>() {
        Ok(id) => trace.event(id).await?,
        Err(_) => None,
    };
    let id = marked.as_ref().map(|event| event.id);
    let events = match marked {
        Some(event) => trace.around(event).await?,
        None => trace.select(Selector::from(Scope::Correlation(args.id.clone())).into(), trace.limit).await?,
    };
    if events.is_empty() {
        let hint = "an event's id and its correlation id stand in `factum read --format ndjson`";
        return Err(Failure::not_found(format!("no event has the id {0}, and none the correlation id {0}", args.id)).hint(hint));
    }
    let count = events.len();
    print(events, id, &mut context)?;
    if trace.limit <= count {
        context.console.note(&format!("there may be more than these {count} events: raise --limit"));
    }
    Ok(())
}

/// Where events are looked up, and how many there may be.
struct Trace {
    store: AnyStore,
    limit: usize,
}

impl Trace {
    /// The events that a query selects, up to a number.
    async fn select(&self, query: Query, limit: usize) -> Result<Vec<RecordedEvent>, Failure> {
        let (mut selected, mut range) = (Vec::new(), Range::ALL);
        while selected.len() < limit {
            let read = Read::new(query.clone()).range(range).limit(limit - selected.len());
            let page = self.store.read(read).await?;
            selected.extend(page.events);
            match page.rest {
                Some(rest) => range = rest,
                None => break,
            }
        }
        Ok(selected)
    }

    async fn event(&self, id: EventId) -> Result<Option<RecordedEvent>, Failure> {
        Ok(self.select(Selector::from(Scope::Event(id)).into(), 1).await?.pop())
    }

    /// The event, its causes up to the root, and all of its effects.
    async fn around(&self, event: RecordedEvent) -> Result<Vec<RecordedEvent>, Failure> {
        let mut events = vec![event];
        while let Some(cause) = self.cause(&events[events.len() - 1]).await? {
            if events.len() == self.limit {
                break;
            }
            events.push(cause);
        }
        let mut last = vec![events[0].clone()];
        while !last.is_empty() && events.len() < self.limit {
            last = self.effects(&last, self.limit - events.len()).await?;
            events.extend(last.iter().cloned());
        }
        Ok(events)
    }

    /// The direct cause. It was recorded before its effect: an id that points forward would lead in a circle.
    async fn cause(&self, effect: &RecordedEvent) -> Result<Option<RecordedEvent>, Failure> {
        let Some(id) = effect.metadata.causation_id else { return Ok(None) };
        Ok(self.event(id).await?.filter(|cause| cause.position < effect.position))
    }

    /// The direct effects of several events, each recorded after its cause.
    async fn effects(&self, causes: &[RecordedEvent], limit: usize) -> Result<Vec<RecordedEvent>, Failure> {
        let recorded: HashMap<EventId, Position> = causes.iter().map(|cause| (cause.id, cause.position)).collect();
        let mut effects = Vec::new();
        for causes in causes.chunks(limits::SELECTORS_MAX) {
            let caused = causes.iter().fold(Query::none(), |query, cause| query.or(Scope::CausedBy(cause.id).into()));
            effects.extend(self.select(caused, limit - effects.len()).await?);
        }
        let cause = |effect: &RecordedEvent| effect.metadata.causation_id.and_then(|cause| recorded.get(&cause).copied());
        effects.retain(|effect| cause(effect).is_some_and(|cause| cause < effect.position));
        Ok(effects)
    }
}

/// Prints the events as a forest: each below its cause.
fn print(mut events: Vec<RecordedEvent>, marked: Option<EventId>, context: &mut Context<'_>) -> Result<(), Failure> {
    events.sort_by_key(|event| event.position);
    events.dedup_by_key(|event| event.position);
    let lines = forest(&events);
    if context.output.format() == Format::Table {
        for (branch, event) in lines {
            let mark = if Some(event.id) == marked { "▸" } else { " " };
            let RecordedEvent { event_type, stream, version, recorded_at, id, .. } = event;
            let actor = event.metadata.actor.as_ref().map(|actor| format!("  by {}", printable(actor))).unwrap_or_default();
            context.output.text(&format!("{mark} {branch}{event_type}  {stream} {version}  {recorded_at}  {id}{actor}\n"))?;
        }
        return context.output.flush();
    }
    for (_, event) in lines {
        context.output.events(std::slice::from_ref(event))?;
    }
    context.output.finish()
}

/// The events, each after its cause, with the branch that leads to it.
fn forest(events: &[RecordedEvent]) -> Vec<(String, &RecordedEvent)> {
    let places: HashMap<EventId, usize> = events.iter().enumerate().map(|(place, event)| (event.id, place)).collect();
    let mut effects: Vec<Vec<usize>> = vec![Vec::new(); events.len()];
    let mut roots = Vec::new();
    for (place, event) in events.iter().enumerate() {
        match event.metadata.causation_id.and_then(|cause| places.get(&cause)).filter(|cause| **cause < place) {
            Some(cause) => effects[*cause].push(place),
            None => roots.push(place),
        }
    }
    let mut lines = Vec::with_capacity(events.len());
    // What is still to be printed, the next on top: a place, its branch, and what its effects' branches begin with.
    let mut rest: Vec<(usize, String, String)> =
        roots.into_iter().rev().map(|root| (root, String::new(), String::new())).collect();
    while let Some((place, branch, below)) = rest.pop() {
        for (i, effect) in effects[place].iter().rev().enumerate() {
            let (fork, line) = if i == 0 { ("└─ ", "   ") } else { ("├─ ", "│  ") };
            rest.push((*effect, format!("{below}{fork}"), format!("{below}{line}")));
        }
        lines.push((branch, &events[place]));
    }
    lines
}
