//! A projection that is killed anywhere has the same tables.

use std::panic::AssertUnwindSafe;

use factum::testing::{project, survives_kills};
use factum::{Draft, HandlerError, MemoryTx, Projection, TypedEvent};

use super::bank::{Account, AccountEvent, Balances, Bank, Db};

fn events() -> Vec<Draft> {
    let deposit = |n: u64| Draft::of::<Account>(&format!("{}", n % 3), &AccountEvent::Deposited { cents: n });
    (1..=8).map(deposit).collect()
}

async fn dump(db: &Db) -> Balances {
    db.live("balances")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tables_are_the_same_wherever_it_is_killed() {
    survives_kills(Bank::<1>::default, async || Db::new(), events(), dump).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tables_are_the_same_wherever_a_partitioned_one_is_killed() {
    survives_kills(Bank::<1, 3>::default, async || Db::new(), events(), dump).await;
}

#[tokio::test]
async fn given_events_become_tables() {
    let db = Db::new();
    project(Bank::<1>::default(), db.clone(), events()).await;
    assert_eq!(db.live("balances").cents.values().sum::<u64>(), 36);
}

/// It counts outside of its transaction.
struct Leaky(Db);

impl Projection for Leaky {
    const NAME: &'static str = "balances";
    const VERSION: u32 = 1;
    type Events = AccountEvent;
    type Db = Db;

    async fn create(&self, _tx: &mut MemoryTx<Balances>) -> Result<(), HandlerError> {
        Ok(())
    }

    async fn apply(&self, _tx: &mut MemoryTx<Balances>, event: &TypedEvent<AccountEvent>) -> Result<(), HandlerError> {
        let mut own = factum::ReadDb::begin(&self.0, &"outside@1".parse()?).await?;
        *own.cents.entry(event.stream.to_string()).or_default() += 1;
        Ok(factum::ReadDb::commit(&self.0, own).await?)
    }
}

#[test]
fn a_projection_that_writes_outside_of_its_transaction_is_caught() {
    let outside = Db::new();
    let counted = outside.clone();
    let caught = std::panic::catch_unwind(AssertUnwindSafe(|| {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let check = survives_kills(
            || Leaky(outside.clone()),
            async || {
                // Each run begins with nothing counted.
                let mut tx = factum::ReadDb::begin(&counted, &"outside@1".parse().unwrap()).await.unwrap();
                tx.cents.clear();
                factum::ReadDb::commit(&counted, tx).await.unwrap();
                Db::new()
            },
            events(),
            async |_: &Db| counted.model(&"outside@1".parse().unwrap()),
        );
        runtime.block_on(check);
    }));
    let message = caught.unwrap_err();
    assert!(message.downcast_ref::<String>().unwrap().contains("not those of an undisturbed run"));
}
