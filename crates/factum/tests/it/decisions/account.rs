//! The domain of these tests: accounts that add up deltas, so that an event applied twice shows.

use factum::{Aggregate, Decide, Event, RecordedEvent};

#[derive(Debug, Clone, PartialEq, Event)]
#[event(prefix = "Account")]
pub(crate) enum AccountEvent {
    Opened { owner: String },
    Deposited { cents: u64 },
    Withdrawn { cents: u64 },
}

#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Account {
    pub(crate) cents: u64,
    pub(crate) unknown: u32,
}

impl Aggregate for Account {
    const CATEGORY: &'static str = "account";
    type Id = String;
    type Event = AccountEvent;

    fn apply(&mut self, event: &AccountEvent) {
        match event {
            AccountEvent::Opened { .. } => {}
            AccountEvent::Deposited { cents } => self.cents += cents,
            AccountEvent::Withdrawn { cents } => self.cents -= cents,
        }
    }

    fn apply_unknown(&mut self, _event: &RecordedEvent) {
        self.unknown += 1;
    }
}

#[derive(Debug, PartialEq, thiserror::Error)]
#[error("{missing} cents missing")]
pub(crate) struct InsufficientFunds {
    pub(crate) missing: u64,
}

impl Account {
    pub(crate) fn deposit(&self, cents: u64) -> Result<Vec<AccountEvent>, InsufficientFunds> {
        Ok(if cents == 0 { vec![] } else { vec![deposited(cents)] })
    }

    pub(crate) fn withdraw(&self, cents: u64) -> Result<Vec<AccountEvent>, InsufficientFunds> {
        match cents.saturating_sub(self.cents) {
            0 => Ok(vec![AccountEvent::Withdrawn { cents }]),
            missing => Err(InsufficientFunds { missing }),
        }
    }
}

#[derive(Clone)]
pub(crate) struct Withdraw {
    pub(crate) cents: u64,
}

impl Decide<Withdraw> for Account {
    type Rejection = InsufficientFunds;

    fn decide(&self, Withdraw { cents }: Withdraw) -> Result<Vec<AccountEvent>, InsufficientFunds> {
        self.withdraw(cents)
    }
}

pub(crate) fn deposited(cents: u64) -> AccountEvent {
    AccountEvent::Deposited { cents }
}

pub(crate) fn opened() -> AccountEvent {
    AccountEvent::Opened { owner: "Ann".to_owned() }
}

pub(crate) fn id(text: &str) -> String {
    text.to_owned()
}
