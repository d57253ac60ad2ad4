//! The contract of read databases, on the one in memory, and on broken ones that it must catch.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;

use factum::testing::read_db::{self, Backend};
use factum::{HandlerError, MemoryDb, MemoryTx, ReadDb, ReadModelName, Record, StoreError, Timestamp};

type Numbers = BTreeMap<String, i64>;
type Db = MemoryDb<Numbers>;

/// What is wrong with a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flaw {
    /// Nothing.
    None,
    /// Records are kept at once, whatever becomes of the transaction.
    KeepsRecordsAtOnce,
    /// A replacement is said to be done, and is done, whatever stood there.
    ReplacesBlindly,
    /// A replacement says that it was done where it was not.
    LiesAboutReplacing,
    /// Tables are live before the commit.
    PublishesAtOnce,
    /// Tables are not dropped.
    DropsNothing,
    /// Records are listed from the last to the first.
    ListsBackward,
    /// A listing has one record too many.
    ListsBeyondThePrefix,
    /// A commit keeps nothing.
    LosesCommits,
}

const FLAWS: [Flaw; 8] = [
    Flaw::KeepsRecordsAtOnce,
    Flaw::ReplacesBlindly,
    Flaw::LiesAboutReplacing,
    Flaw::PublishesAtOnce,
    Flaw::DropsNothing,
    Flaw::ListsBackward,
    Flaw::ListsBeyondThePrefix,
    Flaw::LosesCommits,
];

/// The database in memory, with a flaw.
#[derive(Clone)]
struct Broken(Db, Flaw);

impl ReadDb for Broken {
    type Tx = MemoryTx<Numbers>;

    async fn begin(&self, model: &ReadModelName) -> Result<Self::Tx, StoreError> {
        self.0.begin(model).await
    }

    async fn commit(&self, tx: Self::Tx) -> Result<(), StoreError> {
        if self.1 == Flaw::LosesCommits { Ok(()) } else { self.0.commit(tx).await }
    }

    async fn record(&self, tx: &mut Self::Tx, key: &str) -> Result<Option<String>, StoreError> {
        self.0.record(tx, key).await
    }

    async fn replace(&self, tx: &mut Self::Tx, key: &str, old: Option<&str>, new: Option<&str>) -> Result<bool, StoreError> {
        match self.1 {
            Flaw::KeepsRecordsAtOnce => {
                let twin = Db::default();
                let replaced = self.0.replace(tx, key, old, new).await?;
                let mut own = twin.begin(&"twin@1".parse().unwrap()).await?;
                std::mem::swap(tx, &mut own);
                self.0.commit(own).await?;
                Ok(replaced)
            }
            Flaw::ReplacesBlindly => {
                let old = self.0.record(tx, key).await?;
                self.0.replace(tx, key, old.as_deref(), new).await
            }
            Flaw::LiesAboutReplacing => self.0.replace(tx, key, old, new).await.map(|_| true),
            _ => self.0.replace(tx, key, old, new).await,
        }
    }

    async fn records(&self, prefix: &str, after: &str, limit: usize) -> Result<Vec<Record>, StoreError> {
        match self.1 {
            Flaw::ListsBackward => self.0.records(prefix, after, limit).await.map(|records| records.into_iter().rev().collect()),
            Flaw::ListsBeyondThePrefix => self.0.records(prefix.trim_end_matches('/'), after, limit).await,
            _ => self.0.records(prefix, after, limit).await,
        }
    }

    async fn publish(&self, tx: &mut Self::Tx) -> Result<(), StoreError> {
        self.0.publish(tx).await?;
        if self.1 == Flaw::PublishesAtOnce {
            let mut own = Db::default().begin(&"numbers@1".parse().unwrap()).await?;
            std::mem::swap(tx, &mut own);
            self.0.commit(own).await?;
        }
        Ok(())
    }

    async fn drop_tables(&self, tx: &mut Self::Tx) -> Result<(), StoreError> {
        if self.1 == Flaw::DropsNothing { Ok(()) } else { self.0.drop_tables(tx).await }
    }

    async fn now(&self) -> Result<Timestamp, StoreError> {
        self.0.now().await
    }
}

impl Backend for Flaw {
    type Db = Broken;

    async fn open(&self) -> Broken {
        Broken(Db::default(), *self)
    }

    async fn create(&self, _tx: &mut MemoryTx<Numbers>) -> Result<(), HandlerError> {
        Ok(())
    }

    async fn put(&self, tx: &mut MemoryTx<Numbers>, key: &str, number: i64) -> Result<(), HandlerError> {
        tx.insert(key.to_owned(), number);
        Ok(())
    }

    async fn live(&self, db: &Broken, projection: &str) -> Numbers {
        db.0.live(projection)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_one_in_memory_keeps_the_contract() {
    read_db::check(&Flaw::None).await;
}

#[test]
fn a_broken_one_is_caught() {
    for flaw in FLAWS {
        let caught = std::panic::catch_unwind(AssertUnwindSafe(|| {
            tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(read_db::check(&flaw));
        }));
        assert!(caught.is_err(), "{flaw:?} was not caught");
    }
}
