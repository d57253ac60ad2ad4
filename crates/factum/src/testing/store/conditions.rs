//! Conditions: nothing that the query selects has been recorded since the position that a decision was made at.

use super::bench::Bench;
use super::builders::{
    accept, conflict, event, events, everything, head, of_types, race, race_appends, read_all, record, refuse, select, stream,
    tag, tagged, typed, versions, with_tags, won,
};
use crate::{
    AnyStore, Append, AppendError, Conflict, Metadata, NewEvent, Payload, Position, Query, Range, Read, Scope, Selector, Store,
};

/// How often a race is run, for each kind of query.
const ROUNDS: usize = 10;
/// How many race for one thing.
const RACERS: usize = 8;
/// How many withdraw at once, and how often each tries.
const WITHDRAWERS: usize = 8;
const WITHDRAWALS: usize = 6;
/// What there is to withdraw in each of two accounts.
const DEPOSIT: i64 = 10;

pub(super) async fn a_condition_looks_only_after_its_position(bench: &Bench<'_>) {
    let store = bench.store().await;
    record(&store, vec![event("condition-a"), tagged("condition-a", &["of:x"]), event("condition-a")]).await;
    let query = || with_tags(&["of:x"]);
    for after in [0, 1] {
        let told = conflict(refuse(&store, Append::new(events("condition-a", 1)).condition(query(), Position::new(after))).await);
        assert_eq!(told, Conflict::Condition { after: Position::new(after), actual: Position::new(2) });
    }
    for after in [Position::new(2), Position::new(3), head(&store).await.next(), Position::MAX] {
        accept(&store, Append::new(events("condition-a", 1)).condition(query(), after)).await;
    }
    // Its own events do not speak against an append.
    let own = || Append::new(vec![tagged("condition-a", &["of:x"])]).condition(query(), Position::new(2));
    let at = accept(&store, own()).await.positions.through;
    assert_eq!(conflict(refuse(&store, own()).await), Conflict::Condition { after: Position::new(2), actual: at });
}

pub(super) async fn a_conflict_carries_the_position_of_the_last_selected_event(bench: &Bench<'_>) {
    let store = bench.store().await;
    let tags: [&[&str]; 6] = [&["of:x"], &["of:y"], &["of:x", "of:y"], &["of:x"], &["of:y"], &[]];
    record(&store, tags.map(|tags| tagged("condition-a", tags)).to_vec()).await;
    for (query, last) in [
        (with_tags(&["of:x"]), 4),
        (with_tags(&["of:y"]), 5),
        (with_tags(&["of:x", "of:y"]), 3),
        (with_tags(&["of:x"]).or(Selector::default().tag(tag("of:y"))), 5),
        (Query::all(), 6),
    ] {
        for after in (0..last).map(Position::new) {
            let told = conflict(refuse(&store, Append::new(events("condition-b", 1)).condition(query.clone(), after)).await);
            assert_eq!(told, Conflict::Condition { after, actual: Position::new(last) });
        }
    }
}

pub(super) async fn a_condition_that_selects_nothing_passes(bench: &Bench<'_>) {
    let store = bench.store().await;
    record(&store, events("condition-a", 3)).await;
    let nothing = [Query::none(), with_tags(&["of:nobody"]), of_types(&["Never"]), Query::stream(stream("condition-none"))];
    for query in nothing {
        for after in [Position::START, Position::new(1), Position::MAX] {
            accept(&store, Append::new(events("condition-a", 1)).condition(query.clone(), after)).await;
        }
    }
}

pub(super) async fn a_condition_selects_as_a_read_does(bench: &Bench<'_>) {
    let store = bench.store().await;
    let cases = super::queries::corpus(&store).await;
    let end = head(&store).await;
    for (query, _) in cases {
        let found = select(&store, query.clone()).await;
        let last = found.last().map_or(Position::START, |event| event.position);
        for after in (0..=end.get()).map(Position::new) {
            let answer = store.append(Append::default().condition(query.clone(), after)).await;
            match answer {
                Ok(_) => assert!(last <= after, "{query:?} after {after} passes although it selects {last}"),
                Err(refusal) => {
                    assert_eq!(conflict(refusal), Conflict::Condition { after, actual: last }, "{query:?}");
                    assert!(after < last, "{query:?} after {after} conflicts although it selects nothing after {last}");
                }
            }
        }
    }
}

pub(super) async fn of_writers_that_race_for_a_condition_one_wins(bench: &Bench<'_>) {
    for kind in 0..raced("x").len() {
        let store = bench.store().await;
        for round in 0..ROUNDS {
            let after = head(&store).await;
            let name = format!("raced-{round}");
            let racer = |_| {
                let (event, query) = raced(&name).swap_remove(kind);
                Append::new(vec![event]).condition(query, after)
            };
            let answers = race_appends(&store, (0..RACERS).map(racer)).await;
            let winners = answers.iter().filter(|answer| won(answer)).count();
            let query = raced(&name).swap_remove(kind).1;
            assert_eq!(winners, 1, "of {RACERS} racers for {query:?} {winners} won");
            let recorded = select(&store, query).await;
            let last = recorded.last().expect("the winner's event is selected").position;
            for answer in answers {
                if let Err(refusal) = answer {
                    assert_eq!(conflict(refusal), Conflict::Condition { after, actual: last });
                }
            }
        }
        assert_eq!(everything(&store).await.len(), ROUNDS, "the losers of a race recorded something");
    }
}

/// Events, each with a query that selects it: one of every kind that a condition can have.
fn raced(name: &str) -> Vec<(NewEvent, Query)> {
    let text = format!("course:{name}");
    let tags = [text.as_str(), "of:all"];
    let conversation = NewEvent { metadata: Metadata::default().correlation_id(name), ..event("talk-1") };
    let tag_and_type = Selector::default().tag(tag(&text)).event_type("Happened".parse().expect("a name"));
    let either = with_tags(&["of:nobody"]).or(Selector::default().tag(tag(&text)));
    vec![
        (tagged("tags-1", &tags[..1]), with_tags(&tags[..1])),
        (tagged("tags-2", &tags), with_tags(&tags)),
        (typed("types-1", name), of_types(&["Never", name])),
        (tagged("both-1", &tags), tag_and_type.into()),
        (tagged("either-1", &tags), either),
        (event(name), Query::stream(stream(name))),
        (event(name), versions(name, 0, u64::MAX)),
        (event(&format!("{name}x-1")), Selector::category(stream(&format!("{name}x-1")).category()).into()),
        (conversation, Selector::from(Scope::Correlation(name.to_owned())).into()),
    ]
}

pub(super) async fn plain_appends_move_what_conditions_look_at(bench: &Bench<'_>) {
    let store = bench.store().await;
    let query = || with_tags(&["of:x"]);
    let append = || Append::new(vec![event("plain-1"), tagged("plain-2", &["and:y", "of:x"])]);
    let mut recorded = 0;
    let mut guarded = Vec::new();
    for _ in 0..ROUNDS * 2 {
        let after = head(&store).await;
        let plain = accept(&store, append()).await.positions.through;
        let told = conflict(refuse(&store, append().condition(query(), after)).await);
        assert_eq!(told, Conflict::Condition { after, actual: plain }, "a condition does not see a plain append");
        let racer = |number: usize| if number.is_multiple_of(2) { append().condition(query(), plain) } else { append() };
        let answers = race_appends(&store, (0..RACERS).map(racer)).await;
        recorded += 1 + answers.iter().filter(|answer| won(answer)).count();
        guarded.extend(answers.into_iter().step_by(2).flatten().map(|appended| (plain, appended.positions.after)));
    }
    let selected = select(&store, query()).await;
    assert_eq!(selected.len(), recorded, "a tag is missing on what was recorded");
    for (after, before) in guarded {
        let between = selected.iter().find(|event| after < event.position && event.position <= before);
        assert!(between.is_none(), "a condition after {after} held at {before}, past {between:?}");
    }
}

pub(super) async fn two_guarded_balances_never_go_negative(bench: &Bench<'_>) {
    let store = bench.store().await;
    let accounts = ["account:a", "account:b"];
    record(&store, accounts.map(|account| change(account, DEPOSIT)).to_vec()).await;
    let withdrawer = |number: usize| {
        let store = store.clone();
        async move {
            for turn in 0..WITHDRAWALS {
                withdraw(&store, accounts, accounts[(number + turn) % 2]).await;
            }
        }
    };
    race((0..WITHDRAWERS).map(withdrawer)).await;
    let mut balance = 0;
    for event in everything(&store).await {
        balance += amount(&event.payload);
        assert!(0 <= balance, "two accounts that hold {} together hold {balance} at {}", 2 * DEPOSIT, event.position);
    }
    assert_eq!(balance, 0, "what could be withdrawn was not");
}

/// Takes three from one of the accounts as long as both together hold it, or what is left of it; again where another came first.
async fn withdraw(store: &AnyStore, accounts: [&str; 2], from: &str) {
    loop {
        let query = with_tags(&accounts[..1]).or(Selector::default().tag(tag(accounts[1])));
        // The bound comes first: what is recorded after it speaks against the append.
        let after = head(store).await;
        let read = Read::new(query.clone()).range(Range::through(after));
        let balance: i64 = read_all(store, read).await.iter().map(|event| amount(&event.payload)).sum();
        let withdrawn = balance.min(3);
        if withdrawn <= 0 {
            return;
        }
        let append = Append::new(vec![change(from, -withdrawn)]).condition(query, after);
        match store.append(append).await {
            Ok(_) => return,
            Err(AppendError::Conflict(_)) => tokio::task::yield_now().await,
            Err(other) => panic!("a withdrawal is refused: {other:?}"),
        }
    }
}

fn change(account: &str, amount: i64) -> NewEvent {
    NewEvent { payload: Payload::json(amount.to_string()), ..tagged(&account.replace(':', "-"), &[account]) }
}

fn amount(payload: &Payload) -> i64 {
    str::from_utf8(&payload.data).ok().and_then(|text| text.parse().ok()).expect("the suite's own amounts are numbers")
}
