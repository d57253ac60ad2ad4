//! Two variants whose last step begins at one type.

use factum::Event;

#[derive(serde::Deserialize)]
struct AmountV1 {}

#[derive(Event)]
enum AccountEvent {
    #[event(version = 2, upcast(1 = AmountV1))]
    Deposited,
    #[event(version = 2, upcast(1 = AmountV1))]
    Withdrawn,
}

impl From<AmountV1> for AccountEvent {
    fn from(_: AmountV1) -> Self {
        Self::Deposited
    }
}

fn main() {}
