//! Instances that fail wait in quarantine, and nobody else does.

use std::time::Duration;

use factum::testing::ManualClock;
use factum::{Append, Log, MemoryStore, NewEvent, Payload, QuarantineError, RunningProcess, StreamName};
use tokio_util::sync::CancellationToken;

use super::fulfilment::{
    Command, Desk, HOUR, clock, handled, happen, mend, own, paid, placed, poison, recorded, settled, withdrawn,
};

/// A store, a clock, and a process on them.
struct Shop {
    log: Log,
    clock: ManualClock,
    desk: Desk,
    running: RunningProcess,
}

impl Shop {
    async fn open() -> Self {
        let clock = clock();
        let log = Log::new(MemoryStore::with_clock(clock.clone()));
        let desk = Desk::default();
        let running = desk.process(&log).clock(clock.clone()).start(&CancellationToken::new()).await.unwrap();
        Self { log, clock, desk, running }
    }

    async fn again(&mut self, shutdown: &CancellationToken) {
        self.running = self.desk.process(&self.log).clock(self.clock.clone()).start(shutdown).await.unwrap();
    }

    async fn raw(&self, stream: &str, event_type: &str, data: &'static str) {
        let event = NewEvent::new(stream.parse().unwrap(), event_type, Payload::json(data)).unwrap();
        self.log.append(Append::new(vec![event])).await.unwrap();
    }

    async fn held(&self) -> Vec<(String, String)> {
        let held = self.running.quarantine().list().await.unwrap();
        held.into_iter().map(|held| (held.stream.to_string(), held.error)).collect()
    }

    async fn settled(&self) {
        settled(&self.running, &self.log, &self.desk).await;
    }
}

fn stream(name: &str) -> StreamName {
    name.parse().unwrap()
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_panics_waits_and_nobody_else_does() {
    let shop = Shop::open().await;
    poison("panics");
    happen(&shop.log, [placed("panics"), paid("panics", 40), placed("other"), withdrawn("panics"), paid("other", 100)]).await;
    shop.settled().await;
    assert_eq!(own(&shop.log, "panics").await, ["Begun"]);
    assert_eq!(own(&shop.log, "other").await, ["Begun", "Received", "Shipped"]);
    assert_eq!(shop.held().await, [("fulfilment-panics".to_owned(), "react panicked: panics is poison".to_owned())]);
    let status = shop.running.status();
    assert_eq!((status.quarantined.len(), status.timers), (1, 0), "its timer waits too");
    assert_eq!(status.quarantined[0].failed, Some(recorded(&shop.log, "order").await[1].position));
}

#[tokio::test(start_paused = true)]
async fn what_is_released_goes_on_from_the_input_that_failed() {
    let shop = Shop::open().await;
    poison("mended");
    happen(&shop.log, [placed("mended"), paid("mended", 40), paid("mended", 60), placed("other"), withdrawn("mended")]).await;
    shop.settled().await;
    shop.running.quarantine().release(&stream("fulfilment-mended")).await.unwrap();
    shop.settled().await;
    assert_eq!(own(&shop.log, "mended").await, ["Begun"], "it fails again");
    assert_eq!(shop.held().await.len(), 1);
    mend("mended");
    shop.running.quarantine().release(&stream("fulfilment-mended")).await.unwrap();
    shop.settled().await;
    assert_eq!(own(&shop.log, "mended").await, ["Begun", "Received", "Received", "Shipped"]);
    assert_eq!(shop.held().await, []);
    happen(&shop.log, [paid("mended", 1)]).await;
    shop.settled().await;
    assert_eq!(own(&shop.log, "mended").await.len(), 4, "each input once");
    assert_eq!(shop.desk.of("mended").last(), Some(&Command::Ship));
}

#[tokio::test(start_paused = true)]
async fn what_is_skipped_goes_on_after_the_input_that_failed() {
    let shop = Shop::open().await;
    poison("skipped");
    happen(&shop.log, [placed("skipped"), paid("skipped", 40), withdrawn("skipped")]).await;
    shop.settled().await;
    shop.running.quarantine().skip(&stream("fulfilment-skipped")).await.unwrap();
    shop.settled().await;
    assert_eq!(own(&shop.log, "skipped").await, ["Begun", "GivenUp"]);
    assert_eq!(shop.held().await, []);
}

#[tokio::test(start_paused = true)]
async fn timers_of_an_instance_in_quarantine_go_off_after_its_release() {
    let shop = Shop::open().await;
    poison("late");
    happen(&shop.log, [placed("late"), paid("late", 40)]).await;
    shop.settled().await;
    shop.clock.advance(2 * HOUR);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(own(&shop.log, "late").await, ["Begun"]);
    mend("late");
    shop.running.quarantine().release(&stream("fulfilment-late")).await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    shop.settled().await;
    assert_eq!(own(&shop.log, "late").await, ["Begun", "Received", "$TimerFired", "Reminded", "$TimerFired", "Reminded"]);
}

#[tokio::test(start_paused = true)]
async fn quarantine_outlives_the_program() {
    let mut shop = Shop::open().await;
    let shutdown = CancellationToken::new();
    shop.again(&shutdown).await;
    poison("kept");
    happen(&shop.log, [placed("kept"), paid("kept", 40)]).await;
    shop.settled().await;
    shutdown.cancel();
    shop.again(&CancellationToken::new()).await;
    happen(&shop.log, [withdrawn("kept")]).await;
    shop.settled().await;
    assert_eq!(own(&shop.log, "kept").await, ["Begun"]);
    mend("kept");
    shop.running.quarantine().release(&stream("fulfilment-kept")).await.unwrap();
    shop.settled().await;
    assert_eq!(own(&shop.log, "kept").await, ["Begun", "Received", "GivenUp"]);
}

#[tokio::test(start_paused = true)]
async fn an_input_that_cannot_be_read_holds_its_own_stream_back() {
    let shop = Shop::open().await;
    happen(&shop.log, [placed("torn")]).await;
    shop.raw("order-torn", "OrderPaid", r#"{"order":"torn","cents":"none"}"#).await;
    happen(&shop.log, [withdrawn("torn"), placed("whole"), paid("whole", 100)]).await;
    shop.settled().await;
    assert_eq!(own(&shop.log, "torn").await, ["Begun"]);
    assert_eq!(own(&shop.log, "whole").await, ["Begun", "Received", "Shipped"]);
    let held = shop.held().await;
    assert!(held.len() == 1 && held[0].0 == "order-torn" && held[0].1.contains("cannot read OrderPaid"), "{held:?}");
    shop.running.quarantine().skip(&stream("order-torn")).await.unwrap();
    shop.settled().await;
    assert_eq!(own(&shop.log, "torn").await, ["Begun", "GivenUp"]);
}

#[tokio::test(start_paused = true)]
async fn an_instance_whose_own_events_cannot_be_read_waits() {
    let shop = Shop::open().await;
    happen(&shop.log, [placed("torn")]).await;
    handled(&shop.running, &shop.log).await;
    shop.raw("fulfilment-torn", "FulfilmentReceived", r#"{"cents":"none"}"#).await;
    happen(&shop.log, [withdrawn("torn"), placed("whole"), paid("whole", 100)]).await;
    handled(&shop.running, &shop.log).await;
    assert_eq!(own(&shop.log, "torn").await, ["Begun", "Received"]);
    assert_eq!(own(&shop.log, "whole").await, ["Begun", "Received", "Shipped"]);
    let held = shop.held().await;
    assert!(held.len() == 1 && held[0].1.contains("cannot read FulfilmentReceived"), "{held:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_held_in_both_ways_is_handled_once_and_in_order() {
    for stream_first in [false, true] {
        let shop = Shop::open().await;
        let order = format!("both-{stream_first}");
        let (instance, inputs) = (stream(&format!("fulfilment-{order}")), stream(&format!("order-{order}")));
        poison(&order);
        happen(&shop.log, [placed(&order), paid(&order, 10)]).await; // holds the instance
        shop.raw(inputs.as_str(), "OrderPaid", "{}").await; // holds the stream
        happen(&shop.log, [paid(&order, 20)]).await;
        shop.settled().await;
        assert_eq!(shop.held().await.len(), 2);
        mend(&order);
        if stream_first {
            shop.running.quarantine().skip(&inputs).await.unwrap();
            shop.settled().await;
            assert_eq!(own(&shop.log, &order).await, ["Begun"], "the instance waits still");
            shop.running.quarantine().release(&instance).await.unwrap();
        } else {
            shop.running.quarantine().release(&instance).await.unwrap();
            shop.settled().await;
            assert_eq!(own(&shop.log, &order).await, ["Begun", "Received"], "the stream waits still");
            shop.running.quarantine().skip(&inputs).await.unwrap();
        }
        happen(&shop.log, [paid(&order, 70)]).await;
        shop.settled().await;
        assert_eq!(own(&shop.log, &order).await, ["Begun", "Received", "Received", "Received", "Shipped"]);
        assert_eq!(shop.desk.of(&order)[1..4], [10, 20, 70].map(|cents| Command::Thank { cents }));
        assert_eq!(shop.held().await, []);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_in_quarantine_is_not_released() {
    let shop = Shop::open().await;
    let refused = shop.log.quarantine("fulfilment").unwrap().release(&stream("fulfilment-a")).await;
    assert!(matches!(refused, Err(QuarantineError::NotHeld { .. })), "{refused:?}");
}
