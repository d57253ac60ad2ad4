//! A member that hands its events to a handler, several streams at a time.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use super::{Delivery, Group, GroupError, Member};
use crate::HandlerError;
use crate::projection::failure::{guarded, text};

/// How long handlers have to end after a shutdown; what they did not answer for is delivered again.
const GRACE: Duration = Duration::from_secs(10);
/// How often a member attends to itself while all of its handlers are busy.
const ATTEND: Duration = Duration::from_millis(200);

/// What a handler said of an event.
type Answer = (Delivery, Result<(), HandlerError>);
type Answers = JoinSet<Answer>;

impl Group {
    /// Joins the group, and handles events, up to `concurrency` streams at a time, until the shutdown token is cancelled: each at
    /// least once. One that fails is handled again after the group's back-off, and parked after the last try.
    ///
    /// # Errors
    /// [`GroupError`] where there is no such group, or the store failed.
    pub async fn run<H, F>(
        &self,
        member: &str,
        concurrency: usize,
        handler: H,
        shutdown: CancellationToken,
    ) -> Result<(), GroupError>
    where
        H: Fn(Delivery) -> F + Send + Sync + 'static,
        F: Future<Output = Result<(), HandlerError>> + Send + 'static,
    {
        let mut member = self.join(member, shutdown).await?;
        let (mut answers, handler) = (Answers::new(), Arc::new(handler));
        loop {
            let event = if answers.len() < concurrency.max(1) {
                first(member.next(), &mut answers).await
            } else {
                let answered = tokio::time::timeout(ATTEND, answers.join_next()).await;
                First::Answered(answered.ok().flatten())
            };
            match event {
                First::Delivered(delivery) => {
                    let Some(delivery) = delivery? else { break };
                    let handler = handler.clone();
                    answers.spawn(async move { (delivery.clone(), guarded(async { handler(delivery).await }).await) });
                }
                First::Answered(Some(Ok((delivery, outcome)))) => answer(&mut member, &delivery, outcome).await?,
                First::Answered(_) => member.attend().await?,
            }
        }
        let rest = async {
            while let Some(answered) = answers.join_next().await {
                if let Ok((delivery, outcome)) = answered {
                    answer(&mut member, &delivery, outcome).await?;
                }
            }
            Ok::<_, GroupError>(())
        };
        let _ = tokio::time::timeout(GRACE, rest).await;
        member.leave().await
    }
}

async fn answer(member: &mut Member, delivery: &Delivery, outcome: Result<(), HandlerError>) -> Result<(), GroupError> {
    match outcome {
        Ok(()) => member.ack(delivery).await,
        Err(error) => member.retry(delivery, &text(&error)).await,
    }
}

/// What came first.
enum First {
    Delivered(Result<Option<Delivery>, GroupError>),
    Answered(Option<Result<Answer, JoinError>>),
}

async fn first(next: impl Future<Output = Result<Option<Delivery>, GroupError>>, answers: &mut Answers) -> First {
    let mut next = pin!(next);
    std::future::poll_fn(|context| {
        if let Poll::Ready(Some(answered)) = answers.poll_join_next(context) {
            return Poll::Ready(First::Answered(Some(answered)));
        }
        next.as_mut().poll(context).map(First::Delivered)
    })
    .await
}
