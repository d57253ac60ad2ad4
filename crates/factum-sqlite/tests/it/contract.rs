//! The contract of a read database.

use std::collections::BTreeMap;

use factum::testing::read_db::{self, Backend};
use factum::{HandlerError, ReadDb, StoreErrorKind};
use factum_sqlite::{SqliteDb, SqliteTx};

/// A table `numbers`, with an index and a view of its own.
struct Sqlite;

impl Backend for Sqlite {
    type Db = SqliteDb;

    async fn open(&self) -> SqliteDb {
        SqliteDb::temporary().await.unwrap()
    }

    async fn create(&self, tx: &mut SqliteTx) -> Result<(), HandlerError> {
        tx.query("CREATE TABLE {numbers} (key TEXT PRIMARY KEY, number INTEGER NOT NULL)").execute(tx.connection()).await?;
        tx.query("CREATE INDEX {by_number} ON {numbers} (number)").execute(tx.connection()).await?;
        tx.query("CREATE VIEW {large_numbers} AS SELECT * FROM {numbers} WHERE 100 < number").execute(tx.connection()).await?;
        Ok(())
    }

    async fn put(&self, tx: &mut SqliteTx, key: &str, number: i64) -> Result<(), HandlerError> {
        let put = tx.query("INSERT INTO {numbers} VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET number = ?2");
        put.bind(key.to_owned()).bind(number).execute(tx.connection()).await?;
        Ok(())
    }

    async fn live(&self, db: &SqliteDb, _projection: &str) -> BTreeMap<String, i64> {
        match sqlx::query_as("SELECT key, number FROM numbers").fetch_all(db.pool()).await {
            Ok(rows) => rows.into_iter().collect(),
            Err(error) if error.to_string().contains("no such table") => BTreeMap::new(),
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_keeps_the_contract() {
    read_db::check(&Sqlite).await;
}

#[tokio::test]
async fn a_plain_name_that_is_something_elses_is_refused_and_nothing_changes() {
    let db = SqliteDb::temporary().await.unwrap();
    sqlx::query("CREATE TABLE numbers (of TEXT)").execute(db.pool()).await.unwrap();
    let mut tx = db.begin(&"numbers@1".parse().unwrap()).await.unwrap();
    Sqlite.create(&mut tx).await.unwrap();
    let refused = db.publish(&mut tx).await.unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::Invalid);
    assert_eq!(
        refused.to_string(),
        "the table numbers is not the projection numbers's, and so cannot mean its table: name one of them anew"
    );
    drop(tx);
    sqlx::query("SELECT of FROM numbers").fetch_all(db.pool()).await.unwrap();
}

#[tokio::test]
async fn a_transaction_that_was_given_up_inside_a_statement_is_rolled_back() {
    let db = SqliteDb::temporary().await.unwrap();
    let mut tx = db.begin(&"numbers@1".parse().unwrap()).await.unwrap();
    Sqlite.create(&mut tx).await.unwrap();
    let counting = tx.query(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300000)
         INSERT INTO {numbers} SELECT i, i FROM n",
    );
    let given_up = tokio::time::timeout(std::time::Duration::from_millis(1), counting.execute(tx.connection())).await;
    assert!(given_up.is_err(), "it was too fast to be given up");
    drop(tx);
    let mut tx = db.begin(&"numbers@1".parse().unwrap()).await.unwrap();
    Sqlite.create(&mut tx).await.unwrap();
    db.publish(&mut tx).await.unwrap();
    db.commit(tx).await.unwrap();
    assert_eq!(Sqlite.live(&db, "numbers").await, BTreeMap::new());
}

#[tokio::test]
async fn a_file_of_a_newer_format_and_one_that_is_no_database_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("read.sqlite");
    let db = SqliteDb::open(&path).await.unwrap();
    sqlx::query("UPDATE factum_records SET value = '2' WHERE key = 'factum/format'").execute(db.pool()).await.unwrap();
    assert_eq!(SqliteDb::open(&path).await.unwrap_err().kind(), StoreErrorKind::Unsupported);
    let text = folder.path().join("text");
    std::fs::write(&text, "this is a text, and it is long enough to be read as the header of a database: 0123456789 0123456789")
        .unwrap();
    assert_eq!(SqliteDb::open(&text).await.unwrap_err().kind(), StoreErrorKind::Unsupported);
    let missing = folder.path().join("missing").join("read.sqlite");
    assert_eq!(SqliteDb::open(&missing).await.unwrap_err().kind(), StoreErrorKind::NotFound);
}

#[tokio::test]
async fn the_lock_of_another_process_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("read.sqlite");
    let (one, other) = (SqliteDb::open(&path).await.unwrap(), SqliteDb::open(&path).await.unwrap());
    let model = "numbers@1".parse().unwrap();
    let mut held = one.begin(&model).await.unwrap();
    assert!(one.replace(&mut held, "key", None, Some("one")).await.unwrap());
    let waiting = tokio::spawn(async move {
        let mut tx = other.begin(&"numbers@1".parse().unwrap()).await.unwrap();
        other.replace(&mut tx, "key", None, Some("other")).await.unwrap()
    });
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    assert!(!waiting.is_finished());
    one.commit(held).await.unwrap();
    assert!(!waiting.await.unwrap(), "it sees what was committed before it began");
}
