//! The table as it was before: what an old program still runs while the new one is deployed.

use factum::{HandlerError, Projection, TypedEvent};
use factum_sqlite::{SqliteDb, SqliteTx};

use crate::OrderEvent;

/// The first version of the table of customers.
#[derive(Debug, Clone, Copy)]
pub struct Customers;

impl Projection for Customers {
    const NAME: &'static str = "customers";
    const VERSION: u32 = 1;
    type Events = OrderEvent;
    type Db = SqliteDb;

    async fn create(&self, tx: &mut SqliteTx) -> Result<(), HandlerError> {
        let create = tx.query("CREATE TABLE {customers} (customer TEXT PRIMARY KEY, orders INTEGER NOT NULL)");
        create.execute(tx.connection()).await?;
        Ok(())
    }

    async fn apply(&self, tx: &mut SqliteTx, event: &TypedEvent<OrderEvent>) -> Result<(), HandlerError> {
        if let OrderEvent::Placed { customer, .. } = &event.data {
            let upsert = tx.query("INSERT INTO {customers} VALUES (?, 1) ON CONFLICT DO UPDATE SET orders = orders + 1");
            upsert.bind(customer.clone()).execute(tx.connection()).await?;
        }
        Ok(())
    }
}
