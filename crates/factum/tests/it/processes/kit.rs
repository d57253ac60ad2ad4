//! Given-when-then for processes.

use std::time::Duration;

use factum::Effect;
use factum::testing::given_process;

use super::fulfilment::{Command, Fulfilment, FulfilmentEvent, HOUR, paid, placed, remarked};

#[test]
fn a_process_is_tested_with_a_clock_of_its_own() {
    given_process::<Fulfilment>("a", [])
        .when(placed("a"))
        .then([FulfilmentEvent::Begun])
        .then_effects([Effect::Send(Command::Invoice), Effect::wake_after("unpaid", HOUR)])
        .when(remarked("a"))
        .then_nothing()
        .after(HOUR - Duration::from_micros(1))
        .then_nothing()
        .after(Duration::from_micros(1))
        .then([FulfilmentEvent::Reminded { reminders: 1 }])
        .after(3 * HOUR)
        .then([FulfilmentEvent::Reminded { reminders: 2 }, FulfilmentEvent::GivenUp])
        .when(paid("a", 100))
        .then_nothing();
}

#[test]
fn what_has_happened_to_an_instance_has_set_its_timers() {
    given_process::<Fulfilment>("a", [FulfilmentEvent::Begun, FulfilmentEvent::Received { cents: 40 }])
        .after(HOUR)
        .then([FulfilmentEvent::Reminded { reminders: 1 }])
        .when(paid("a", 60))
        .then([FulfilmentEvent::Received { cents: 60 }, FulfilmentEvent::Shipped { cents: 100 }])
        .then_effects([Effect::Send(Command::Thank { cents: 60 }), Effect::cancel("unpaid"), Effect::Send(Command::Ship)])
        .until("2026-11-23T00:00:00Z".parse().unwrap())
        .then_nothing();
}

#[track_caller]
fn check_failure(test: impl FnOnce() + std::panic::UnwindSafe, expected: &str) {
    let panic = std::panic::catch_unwind(test).expect_err("the test fails");
    let message = panic.downcast_ref::<String>().cloned().unwrap_or_default();
    assert!(message.contains(expected), "{message}");
}

#[test]
fn a_test_that_fails_says_what_the_process_has_done_instead() {
    let begun = || given_process::<Fulfilment>("a", []).when(placed("a"));
    check_failure(|| drop(begun().then_nothing()), "expected own events: nothing\nthe process has:\n  Begun");
    check_failure(
        || drop(begun().then_effects([])),
        "expected effects: nothing\nthe own events have:\n  Send(Invoice)\n  WakeAfter",
    );
    let of_another = || drop(given_process::<Fulfilment>("a", []).when(placed("b")));
    check_failure(of_another, "OrderPlaced concerns instance b, and a is given");
    let of_nobody = || drop(given_process::<Fulfilment>("a", []).when(FulfilmentEvent::Begun));
    check_failure(of_nobody, "FulfilmentBegun is not what the process is given");
}

/// Says something else each time, and forgets what it says.
#[derive(Clone, Default)]
struct Careless;

#[derive(Debug, Clone, PartialEq, factum::Event)]
#[event(prefix = "Careless")]
enum CarelessEvent {
    Counted { count: u32 },
    Forgot(Forgetful),
}

#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
struct Forgetful {
    #[serde(skip)]
    count: u32,
}

thread_local!(static COUNT: std::cell::Cell<u32> = const { std::cell::Cell::new(0) });

impl factum::Aggregate for Careless {
    const CATEGORY: &'static str = "careless";
    type Id = String;
    type Event = CarelessEvent;

    fn apply(&mut self, _event: &CarelessEvent) {}
}

impl factum::Process for Careless {
    type Inputs = super::fulfilment::OrderEvent;
    type Command = ();

    fn instance(_input: &factum::TypedEvent<Self::Inputs>) -> Option<String> {
        Some("a".to_owned())
    }

    fn react(&self, input: &factum::TypedEvent<Self::Inputs>) -> Vec<CarelessEvent> {
        COUNT.set(COUNT.get() + 1);
        let forgets = input.event_type.as_str() == "OrderPaid";
        vec![if forgets { CarelessEvent::Forgot(Forgetful { count: 1 }) } else { CarelessEvent::Counted { count: COUNT.get() } }]
    }

    fn wake(&self, _timer: &str) -> Vec<CarelessEvent> {
        vec![CarelessEvent::Counted { count: 0 }]
    }

    fn effects(_event: &factum::TypedEvent<CarelessEvent>) -> Vec<Effect<()>> {
        vec![Effect::wake_after("again", Duration::ZERO)]
    }
}

#[test]
fn a_careless_process_fails_its_tests() {
    let careless = || given_process::<Careless>("a", []);
    check_failure(move || drop(careless().when(placed("a"))), "the process is not pure: asked twice, it says\n  Counted");
    check_failure(move || drop(careless().when(paid("a", 1))), "is another event once it is stored");
    let set = || given_process::<Careless>("a", [CarelessEvent::Counted { count: 0 }]);
    check_failure(move || drop(set().after(HOUR)), "they set each other for ever");
}
