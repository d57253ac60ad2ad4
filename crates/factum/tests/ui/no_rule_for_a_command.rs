//! A command that the aggregate has no rule for.

use factum::{Aggregate, Event, Repository};

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

#[derive(Clone)]
struct Close;

async fn close(accounts: Repository<Account>) {
    accounts.execute(&"42".to_owned(), Close).await;
}

fn main() {}
