//! The test kit: given, when, then, and what it says where a rule does not hold.

use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};

use factum::testing::{given, given_events};
use factum::{Aggregate, AggregateModel, Draft, Event};

use super::account::{Account, AccountEvent, InsufficientFunds, Withdraw, deposited, id, opened};
use super::courses::{Refused, enrol, enrolled, enrolment, offered};

#[track_caller]
fn check_fails(test: impl FnOnce(), message: &str) {
    let panic = catch_unwind(AssertUnwindSafe(test)).expect_err("the kit finds the mistake");
    let actual = panic.downcast_ref::<String>().expect("a message with values");
    assert_eq!(actual, message);
}

#[test]
fn a_rule_is_checked_without_a_store() {
    given::<Account>("42", [opened(), deposited(5)]).when(Withdraw { cents: 3 }).then([AccountEvent::Withdrawn { cents: 3 }]);
    given::<Account>("42", [opened()]).when(Withdraw { cents: 3 }).then_rejected(InsufficientFunds { missing: 3 });
    given::<Account>("42", []).when_deciding(|account| account.deposit(0)).then_nothing();
}

#[test]
fn a_rule_that_does_not_hold_is_shown_with_what_was_decided() {
    check_fails(
        || given::<Account>("42", [deposited(5)]).when(Withdraw { cents: 3 }).then([AccountEvent::Withdrawn { cents: 4 }]),
        "expected:\n  Withdrawn { cents: 4 }\ndecided:\n  Withdrawn { cents: 3 }",
    );
    check_fails(
        || given::<Account>("42", []).when(Withdraw { cents: 3 }).then([AccountEvent::Withdrawn { cents: 3 }]),
        "expected:\n  Withdrawn { cents: 3 }\ndecided: rejected, InsufficientFunds { missing: 3 }",
    );
    check_fails(
        || given::<Account>("42", [deposited(5)]).when(Withdraw { cents: 3 }).then_nothing(),
        "expected: nothing\ndecided:\n  Withdrawn { cents: 3 }",
    );
    check_fails(
        || given::<Account>("42", [deposited(5)]).when(Withdraw { cents: 3 }).then_rejected(InsufficientFunds { missing: 1 }),
        "expected: rejected, InsufficientFunds { missing: 1 }\ndecided:\n  Withdrawn { cents: 3 }",
    );
    check_fails(
        || given::<Account>("42", []).when(Withdraw { cents: 3 }).then_rejected(InsufficientFunds { missing: 1 }),
        "expected: rejected, InsufficientFunds { missing: 1 }\ndecided: rejected, InsufficientFunds { missing: 3 }",
    );
}

#[test]
fn a_boundary_is_checked_without_a_store() {
    given_events([offered("c1", 1)]).when(enrolment("c1", "ann"), enrol).then([enrolled("c1", "ann")]);
    let full = [Draft::from(offered("c1", 1)), enrolled("c1", "bob").into()];
    given_events(full).when(enrolment("c1", "ann"), enrol).then_rejected(Refused::Full);
    let accounts = (AggregateModel::<Account>::new(id("a")), AggregateModel::<Account>::new(id("b")));
    given_events([Draft::of::<Account>(&id("a"), &deposited(5))])
        .when(accounts, |(from, to)| {
            let withdrawn = from.state.withdraw(5)?;
            Ok::<_, InsufficientFunds>([from.draft(&withdrawn[0]), to.draft(&deposited(5))])
        })
        .then([
            Draft::of::<Account>(&id("a"), &AccountEvent::Withdrawn { cents: 5 }),
            Draft::of::<Account>(&id("b"), &deposited(5)),
        ]);
}

#[test]
fn events_that_the_boundary_did_not_select_are_listed() {
    let given = [Draft::from(offered("c1", 1)), enrolled("c2", "bob").into()];
    check_fails(
        || given_events(given).when(enrolment("c1", "ann"), enrol).then_rejected(Refused::Full),
        "expected: rejected, Full\n\
         decided:\n  StudentEnrolled (schema 1) {\"course\":\"c1\",\"student\":\"ann\"} in course-c1, \
         tags [\"course:c1\", \"student:ann\"]\n\
         not selected by the boundary:\n  StudentEnrolled (schema 1) {\"course\":\"c2\",\"student\":\"bob\"} in course-c2, \
         tags [\"course:c2\", \"student:bob\"]",
    );
}

/// An event that loses a part of itself when it is stored.
#[derive(Debug, Clone, PartialEq, Event)]
struct Forgetful {
    #[event(tag)]
    id: u32,
    #[serde(skip)]
    note: String,
    #[serde(with = "doubled")]
    amount: u32,
}

/// Writes a number twice as large as it is, and reads it as it is written.
mod doubled {
    use serde::{Deserialize, Deserializer, Serializer};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
    pub(super) fn serialize<S: Serializer>(number: &u32, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(number * 2)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
        u32::deserialize(deserializer)
    }
}

#[derive(Debug, Clone, Default)]
struct Notes;

impl Aggregate for Notes {
    const CATEGORY: &'static str = "notes";
    type Id = u32;
    type Event = Forgetful;
    fn apply(&mut self, _event: &Forgetful) {}
}

fn forgetful(amount: u32, note: &str) -> Forgetful {
    Forgetful { id: 1, note: note.to_owned(), amount }
}

#[test]
fn an_event_that_a_store_would_change_is_found() {
    check_fails(
        || drop(given::<Notes>(1_u32, [forgetful(0, "milk")])),
        "Forgetful { id: 1, note: \"milk\", amount: 0 } is another event once it is stored: \
         Forgetful { id: 1, note: \"\", amount: 0 }",
    );
    check_fails(
        || drop(given::<Notes>(1_u32, []).when_deciding(|_| Ok::<_, Infallible>(vec![forgetful(1, "")]))),
        "Forgetful { id: 1, note: \"\", amount: 1 } is another event once it is stored: \
         Forgetful { id: 1, note: \"\", amount: 2 }",
    );
    check_fails(
        || drop(given_events([forgetful(1, "")])),
        "Forgetful {\"amount\":2,\"id\":1} is another event once it is stored: {\"amount\":4,\"id\":1}",
    );
}
