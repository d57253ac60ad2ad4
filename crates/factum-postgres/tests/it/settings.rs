//! What a role or a database may have set otherwise, and what a role may not do.

use factum::{Append, AppendError, NewEvent, Payload, Position, Query, Read, Store, StoreErrorKind};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use crate::support::database;

fn happened() -> Append {
    Append::new(vec![NewEvent::new("a-1".parse().unwrap(), "Happened", Payload::json("{}")).unwrap()])
}

/// A database with a store in it, and with settings of its own from then on.
async fn set(settings: &[&str]) -> String {
    let url = database().await;
    let name = url.rsplit('/').next().unwrap().split('?').next().unwrap();
    factum_postgres::open(&url).await.unwrap().close().await;
    let mut connection = PgConnection::connect(&url).await.unwrap();
    for setting in settings {
        connection.execute(AssertSqlSafe(format!("ALTER DATABASE \"{name}\" SET {setting}"))).await.unwrap();
    }
    url
}

#[tokio::test]
async fn appends_go_by_their_own_isolation_and_durability_whatever_is_usual() {
    let url = set(&["default_transaction_isolation = 'serializable'", "synchronous_commit = off"]).await;
    let store = factum_postgres::open(&url).await.unwrap();
    assert_eq!(store.append(happened()).await.unwrap().positions.through, Position::new(1));

    let mut connection = PgConnection::connect(&url).await.unwrap();
    connection.execute("BEGIN ISOLATION LEVEL READ COMMITTED").await.unwrap();
    store.append_in(&mut connection, happened()).await.unwrap();
    let durability: String = sqlx::query_scalar("SHOW synchronous_commit").fetch_one(&mut connection).await.unwrap();
    assert_eq!(durability, "on");
    connection.execute("COMMIT").await.unwrap();
    let usual: String = sqlx::query_scalar("SHOW synchronous_commit").fetch_one(&mut connection).await.unwrap();
    assert_eq!(usual, "off", "it was for that transaction alone");
}

#[tokio::test]
async fn where_a_database_is_read_only_an_append_is_known_to_be_not_recorded() {
    let url = set(&[]).await;
    let store = factum_postgres::open(&url).await.unwrap();
    let name = url.rsplit('/').next().unwrap().split('?').next().unwrap();
    let mut connection = PgConnection::connect(&url).await.unwrap();
    let read_only = format!("ALTER DATABASE \"{name}\" SET default_transaction_read_only = on");
    connection.execute(AssertSqlSafe(read_only)).await.unwrap();
    let refused = store.append(happened()).await.unwrap_err();
    assert!(matches!(&refused, AppendError::Store(error) if error.kind() == StoreErrorKind::ReadOnly), "{refused}");
    assert!(!refused.to_string().contains("may be recorded"), "{refused}");
    assert_eq!(store.head().await.unwrap(), Position::START);
}

#[tokio::test]
async fn a_role_that_may_append_and_make_no_tables_goes_on_past_a_partition() {
    let url = database().await;
    let name = url.rsplit('/').next().unwrap().split('?').next().unwrap().to_owned();
    let mut owner = PgConnection::connect(&url).await.unwrap();
    let span = format!("ALTER DATABASE \"{name}\" SET factum.partition_span = '20'");
    owner.execute(AssertSqlSafe(span)).await.unwrap();
    factum_postgres::open(&url).await.unwrap().close().await;
    let role = format!("appends_{}", name.replace('-', "_"));
    let grants = format!(
        "CREATE ROLE {role} LOGIN; GRANT USAGE ON SCHEMA factum TO {role};
         GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA factum TO {role}"
    );
    owner.execute(AssertSqlSafe(grants)).await.unwrap();
    let store = factum_postgres::open(&url.replace("postgres@", &format!("{role}@"))).await.unwrap();
    for position in 1..=50 {
        assert_eq!(store.append(happened()).await.unwrap().positions.through, Position::new(position));
    }
    assert_eq!(store.read(Read::new(Query::all())).await.unwrap().events.len(), 50);
}
