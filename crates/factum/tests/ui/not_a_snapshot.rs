//! Snapshots of an aggregate that is not opted in.

use factum::{Aggregate, Event, MemorySnapshots, Repository};

#[derive(Event)]
struct AccountOpened {}

#[derive(Clone, Default)]
struct Account;

impl Aggregate for Account {
    const CATEGORY: &'static str = "account";
    type Id = String;
    type Event = AccountOpened;
    fn apply(&mut self, _event: &AccountOpened) {}
}

fn with_snapshots(accounts: &Repository<Account>) {
    accounts.with_snapshots(MemorySnapshots::new());
}

fn main() {}
