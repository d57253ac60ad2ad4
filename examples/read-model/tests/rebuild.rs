//! The second version takes the place of the first while it is queried, and knows all that happened before it.

use std::time::Duration;

use factum::testing::{project, survives_kills};
use factum::{Draft, Log, ReadModels};
use factum_read_model::{Customer, Customers, OrderEvent, before, customers};
use factum_sqlite::SqliteDb;
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(30);

fn placed(order: u32, customer: &str, cents: i64) -> Draft {
    let event = OrderEvent::Placed { customer: customer.to_owned(), cents };
    Draft::from(event).to(format!("order-{order}").parse().unwrap())
}

fn cancelled(order: u32) -> Draft {
    Draft::from(OrderEvent::Cancelled).to(format!("order-{order}").parse().unwrap())
}

fn history() -> Vec<Draft> {
    vec![placed(1, "ann", 500), placed(2, "bob", 700), placed(3, "ann", 40), cancelled(1)]
}

fn customer(name: &str, orders: i64, cancelled: i64, cents: i64) -> Customer {
    Customer { customer: name.to_owned(), orders, cancelled, cents }
}

#[tokio::test]
async fn a_row_says_what_a_customer_bought_and_cancelled() {
    let db = SqliteDb::temporary().await.unwrap();
    project(Customers, db.clone(), history()).await;
    assert_eq!(customers(&db).await.unwrap(), [customer("ann", 2, 1, 40), customer("bob", 1, 0, 700)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_table_is_the_same_wherever_the_program_is_killed() {
    let rows = async |db: &SqliteDb| customers(db).await.unwrap();
    survives_kills(|| Customers, async || SqliteDb::temporary().await.unwrap(), history(), rows).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_second_version_takes_the_place_of_the_first_while_it_is_queried() {
    let folder = tempfile::tempdir().unwrap();
    let log = Log::new(factum_embedded::open(folder.path().join("events")).unwrap());
    let db = SqliteDb::open(folder.path().join("customers.sqlite")).await.unwrap();
    log.decide((), |()| Ok::<_, std::convert::Infallible>(history())).await.unwrap();
    let head = log.head().await.unwrap();
    let shutdown = CancellationToken::new();
    let old = log.project(before::Customers, db.clone()).start(&shutdown).await.unwrap();
    old.wait_for(head, PATIENCE).await.unwrap();
    assert_eq!(orders_of_ann(&db).await, 2);

    let new = log.project(Customers, db.clone()).start(&shutdown).await.unwrap();
    let models = ReadModels::new(db.clone());
    let swapped = async {
        while models.live("customers").await.unwrap().is_none_or(|live| live.version() != 2) {
            // Nobody who queries it notices.
            assert_eq!(orders_of_ann(&db).await, 2);
        }
    };
    tokio::time::timeout(PATIENCE, swapped).await.unwrap();
    assert_eq!(customers(&db).await.unwrap(), [customer("ann", 2, 1, 40), customer("bob", 1, 0, 700)]);

    models.drop(&"customers@1".parse().unwrap()).await.unwrap();
    old.ended().await;
    assert_eq!(orders_of_ann(&db).await, 2);
    shutdown.cancel();
    new.ended().await;
}

async fn orders_of_ann(db: &SqliteDb) -> i64 {
    sqlx::query_scalar("SELECT orders FROM customers WHERE customer = 'ann'").fetch_one(db.pool()).await.unwrap()
}
