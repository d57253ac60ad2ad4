//! A standby, and how much of what it has may be shown.

use std::sync::{Arc, Mutex, PoisonError};

use factum::{Page, Position, Range, Read, StoreError, StoreErrorKind};
use sqlx::postgres::PgPool;
use tokio::time::Instant;
use uuid::Uuid;

use crate::reader::{self, AGAIN, tried};
use crate::servers::Servers;

/// Reads from a standby no more than the primary shows. A standby may have what was not acknowledged yet; where another one takes
/// over that does not have it, its place is taken by what never was on this one, until this one is mended.
#[derive(Clone)]
pub(crate) struct Standby(Arc<Inner>);

struct Inner {
    servers: Arc<Servers>,
    /// Up to where an epoch is the primary's, as it was asked last.
    shared: Mutex<Option<(Uuid, Position)>>,
}

impl Standby {
    pub(crate) fn new(servers: Servers) -> Self {
        Self(Arc::new(Inner { servers: Arc::new(servers), shared: Mutex::new(None) }))
    }

    pub(crate) fn servers(&self) -> &Arc<Servers> {
        &self.0.servers
    }

    /// Reads one page of what the primary shows too.
    pub(crate) async fn read(&self, primary: &Arc<Servers>, log: i32, read: &Read) -> Result<Page, StoreError> {
        let deadline = Instant::now() + primary.patience;
        loop {
            let (page, epoch) = reader::read(self.servers(), log, read).await?;
            let Some(epoch) = epoch else { return Ok(page) };
            if let Some(through) = self.shared_through(primary, log, epoch, page.head).await? {
                return Ok(cut(page, through));
            }
            if deadline < Instant::now() + AGAIN {
                let message = "the standby has what the primary has not: wait until it is mended";
                return Err(StoreError::new(StoreErrorKind::Unavailable, message));
            }
            self.servers().lost_any();
            tokio::time::sleep(AGAIN).await;
        }
    }

    /// Up to where the primary has the same as a standby whose head is of this epoch; `None` where it has no such epoch.
    async fn shared_through(
        &self,
        primary: &Arc<Servers>,
        log: i32,
        epoch: Uuid,
        head: Position,
    ) -> Result<Option<Position>, StoreError> {
        let known = *self.0.shared.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, through)) = known.filter(|(known, through)| *known == epoch && head <= *through) {
            return Ok(Some(through));
        }
        let through = |pool: PgPool| async move {
            sqlx::query_scalar::<_, i64>(
                "SELECT coalesce((SELECT min(n.after) FROM factum.epochs n WHERE n.log = $1 AND e.after < n.after), l.head)
                 FROM factum.epochs e JOIN factum.newest_heads l ON l.log = $1 WHERE e.log = $1 AND e.epoch = $2",
            )
            .bind(log)
            .bind(epoch)
            .fetch_optional(&pool)
            .await
        };
        let through = tried(primary, "compare a standby with the primary", through).await?;
        let through = through.map(|through| Position::new(through.cast_unsigned()));
        *self.0.shared.lock().unwrap_or_else(PoisonError::into_inner) = through.map(|through| (epoch, through));
        Ok(through)
    }
}

/// As much of a page as is at or below a position.
fn cut(page: Page, position: Position) -> Page {
    let Page { mut events, rest, head } = page;
    events.retain(|event| event.position <= position);
    let rest = rest.filter(|rest| !Range { through: rest.through.min(position), ..*rest }.is_empty());
    Page { events, rest, head: head.min(position) }
}
