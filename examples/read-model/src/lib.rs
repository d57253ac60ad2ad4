//! Customers and what they buy, as a table in SQLite that anything can query.
//!
//! The first version counted orders. The second wants to know what was cancelled too, from the first day on: its table is filled
//! beside the one that is queried, and takes its place when it has caught up.

pub mod before;

use factum::{Event, HandlerError, Projection, TypedEvent};
use factum_sqlite::{SqliteDb, SqliteTx};
use sqlx::FromRow;

/// What happens to orders; each is a stream.
#[derive(Debug, Clone, PartialEq, Event)]
#[event(prefix = "Order")]
pub enum OrderEvent {
    /// A customer wants something.
    Placed {
        /// Who.
        customer: String,
        /// What it costs.
        cents: i64,
    },
    /// It will not be shipped.
    Cancelled,
}

/// The table of customers, as it is now.
#[derive(Debug, Clone, Copy)]
pub struct Customers;

/// A row of it.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Customer {
    /// Who.
    pub customer: String,
    /// How many orders were placed.
    pub orders: i64,
    /// How many of them were cancelled.
    pub cancelled: i64,
    /// What the others cost together.
    pub cents: i64,
}

impl Projection for Customers {
    const NAME: &'static str = "customers";
    const VERSION: u32 = 2;
    type Events = OrderEvent;
    type Db = SqliteDb;

    async fn create(&self, tx: &mut SqliteTx) -> Result<(), HandlerError> {
        // What stands in braces is a table of this version. Queries name the live one without them.
        for sql in [
            "CREATE TABLE {orders} (stream TEXT PRIMARY KEY, customer TEXT NOT NULL, cents INTEGER NOT NULL)",
            "CREATE TABLE {customers} (
                 customer TEXT PRIMARY KEY, orders INTEGER NOT NULL, cancelled INTEGER NOT NULL, cents INTEGER NOT NULL
             )",
        ] {
            tx.query(sql).execute(tx.connection()).await?;
        }
        Ok(())
    }

    async fn apply(&self, tx: &mut SqliteTx, event: &TypedEvent<OrderEvent>) -> Result<(), HandlerError> {
        let order = event.stream.to_string();
        match &event.data {
            OrderEvent::Placed { customer, cents } => {
                let insert = tx.query("INSERT INTO {orders} VALUES (?, ?, ?)").bind(order).bind(customer.clone()).bind(*cents);
                insert.execute(tx.connection()).await?;
                let upsert = tx.query(
                    "INSERT INTO {customers} VALUES (?1, 1, 0, ?2)
                     ON CONFLICT DO UPDATE SET orders = orders + 1, cents = cents + ?2",
                );
                upsert.bind(customer.clone()).bind(*cents).execute(tx.connection()).await?;
            }
            OrderEvent::Cancelled => {
                let update = tx.query(
                    "UPDATE {customers} AS customers SET cancelled = cancelled + 1, cents = customers.cents - orders.cents
                     FROM {orders} AS orders WHERE orders.stream = ? AND orders.customer = customers.customer",
                );
                update.bind(order).execute(tx.connection()).await?;
            }
        }
        Ok(())
    }
}

/// All customers, by name: a query like any other, on the table that is live.
///
/// # Errors
/// [`sqlx::Error`] where the database fails, or no projection has run on it yet.
pub async fn customers(db: &SqliteDb) -> sqlx::Result<Vec<Customer>> {
    sqlx::query_as("SELECT customer, orders, cancelled, cents FROM customers ORDER BY customer").fetch_all(db.pool()).await
}
