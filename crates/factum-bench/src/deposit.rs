//! The events that are projected: deposits on accounts, the same for every system.

use serde::{Deserialize, Serialize};

use crate::workload::mix;

/// How many accounts there are, so many rows the table.
pub(crate) const ACCOUNTS: u64 = 1_000;

/// Bytes of text in a deposit, which make it about as long as the other events.
const NOTE_BYTES: usize = 150;

/// An event: it changes the row of its account.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Deposit {
    /// Which account, counted from 0.
    pub account: u64,
    /// How much.
    pub cents: i64,
    /// What for.
    pub note: String,
}

impl Deposit {
    /// The deposit with this number on an account, the same each time.
    pub(crate) fn new(account: u64, number: u64) -> Self {
        let random = mix(number);
        let note = (0..NOTE_BYTES as u32).map(|at| char::from(b'a' + (random.rotate_right(at) % 26) as u8)).collect();
        Self { account: account % ACCOUNTS, cents: (random % 10_000) as i64, note }
    }
}

/// What some deposits add up to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    /// How many there are.
    pub deposits: u64,
    /// How much they are.
    pub cents: i64,
}

impl TryFrom<(i64, i64)> for Totals {
    type Error = anyhow::Error;

    fn try_from((deposits, cents): (i64, i64)) -> anyhow::Result<Self> {
        Ok(Self { deposits: deposits.try_into()?, cents })
    }
}

impl Totals {
    /// Counts a deposit.
    pub(crate) fn add(&mut self, deposit: &Deposit) {
        self.add_all(Self { deposits: 1, cents: deposit.cents });
    }

    /// Counts others.
    pub(crate) fn add_all(&mut self, others: Self) {
        self.deposits += others.deposits;
        self.cents += others.cents;
    }
}
