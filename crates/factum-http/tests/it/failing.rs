//! Receivers that do not take an event, each in its way.

use std::time::Duration;

use axum::http::StatusCode;
use factum::{HandlerError, Publish, Unavailable};
use factum_http::{ANSWER_BYTES_MAX, HOLD_MAX, Webhook};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::receiver::{Port, Receiver, SECRET, event, secret};

/// Short, for receivers that never answer.
const SHORT: Duration = Duration::from_millis(100);

/// An error and its causes.
fn text(error: &HandlerError) -> String {
    let (mut text, mut next) = (error.to_string(), error.source());
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}

/// Publishes an event in vain: what is said of it.
async fn refused(webhook: &Webhook) -> HandlerError {
    webhook.publish(&event("order-42", 1)).await.unwrap_err()
}

/// The webhook of a receiver that does this with the bytes of each connection.
async fn raw(answer: &'static [u8], then_repeat: &'static [u8]) -> Webhook {
    let port = Port::new();
    let webhook = Webhook::new("billing", &port.url(), secret(SECRET)).unwrap();
    let listener = port.listen();
    tokio::spawn(async move {
        loop {
            let (mut connection, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let read = connection.read(&mut [0; 16 << 10]).await;
                let mut written = connection.write_all(answer).await;
                while written.is_ok() && !then_repeat.is_empty() {
                    written = connection.write_all(then_repeat).await;
                }
                drop(read);
            });
        }
    });
    webhook
}

#[tokio::test]
async fn a_refusal_tells_the_status_and_the_beginning_of_what_was_said() {
    let receiver = Receiver::new(|_, number| {
        Some(match number {
            1 => (StatusCode::UNPROCESSABLE_ENTITY, "no such\n\u{1b}[31morder".to_owned()),
            2 => (StatusCode::INTERNAL_SERVER_ERROR, "x".repeat(1 << 20)),
            _ => (StatusCode::REQUEST_TIMEOUT, String::new()),
        })
    });
    let (webhook, url) = (receiver.webhook(), receiver.url());
    let to = url.trim_end_matches("/hook");
    let error = refused(&webhook).await;
    assert_eq!(error.to_string(), format!(r#"{to} answered 422 Unprocessable Entity: "no such\n\u{{1b}}[31morder""#));
    assert!(!error.is::<Unavailable>());
    let expected = format!("{to} answered 500 Internal Server Error: {:?}", "x".repeat(ANSWER_BYTES_MAX));
    assert_eq!(refused(&webhook).await.to_string(), expected);
    assert_eq!(refused(&webhook).await.to_string(), format!(r#"{to} answered 408 Request Timeout: """#));
}

#[tokio::test]
async fn a_refusal_without_an_end_is_read_to_its_bound() {
    let webhook = raw(b"HTTP/1.1 400 Bad Request\r\n\r\n", &[b'y'; 1 << 10]).await;
    let error = refused(&webhook).await;
    assert!(error.to_string().ends_with(&format!("answered 400 Bad Request: {:?}", "y".repeat(ANSWER_BYTES_MAX))), "{error}");
}

#[tokio::test]
async fn a_delivery_is_done_with_its_status_whatever_follows() {
    let webhook = raw(b"HTTP/1.1 202 Accepted\r\n\r\n", &[b'y'; 1 << 10]).await;
    webhook.publish(&event("order-42", 1)).await.unwrap();
}

#[tokio::test]
async fn a_receiver_that_is_gone_says_so() {
    let receiver = Receiver::new(|_, _| Some(StatusCode::GONE));
    let error = refused(&receiver.webhook()).await;
    assert!(error.to_string().ends_with(" answered 410 Gone: it wants no more events; end this webhook"), "{error}");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = Receiver::willing();
    let url = elsewhere.url();
    let receiver = Receiver::new(move |_, _| Some((StatusCode::PERMANENT_REDIRECT, [("location", url.clone())])));
    let error = refused(&receiver.webhook()).await;
    let said = " answered 308 Permanent Redirect, and redirects are not followed: give the webhook the URL that it leads to";
    assert!(error.to_string().ends_with(said), "{error}");
    assert_eq!((receiver.received().len(), elsewhere.received().len()), (1, 0));
}

#[tokio::test]
async fn a_receiver_that_hangs_is_given_up() {
    let receiver = Receiver::new(|_, _| None::<()>);
    let error = refused(&receiver.webhook().timeout(SHORT)).await;
    let said = " did not answer within 100ms: let it answer before it works, or give it more time";
    assert!(error.to_string().ends_with(said), "{error}");
    assert!(!error.is::<Unavailable>());
    assert_eq!(receiver.received().len(), 1);
}

#[tokio::test]
async fn a_connection_that_ends_before_the_answer_is_a_failure() {
    let error = refused(&raw(b"", b"").await).await;
    assert!(text(&error).contains(" did not answer: "), "{}", text(&error));
    assert!(!error.is::<Unavailable>());
    let error = refused(&raw(b"SSH-2.0-x\r\n", b"").await).await;
    assert!(text(&error).contains(" did not answer: "), "{}", text(&error));
}

#[tokio::test]
async fn a_receiver_that_nobody_listens_at_is_unavailable() {
    let port = Port::new();
    let webhook = Webhook::new("billing", &port.url(), secret(SECRET)).unwrap();
    let error = refused(&webhook).await;
    assert!(error.is::<Unavailable>());
    let told = format!("cannot connect to {}: ", port.url().trim_end_matches("/hook"));
    assert!(text(&error).starts_with(&told), "{}", text(&error));
    let receiver = port.receive(|_, _| Some(()));
    webhook.publish(&event("order-42", 1)).await.unwrap();
    assert_eq!(receiver.received().len(), 1);
}

/// A receiver asks to be left alone for so long, and is, up to a bound.
async fn check_left_alone(status: StatusCode, retry_after: &'static str, wait: Duration) {
    let receiver = Receiver::new(move |_, number| {
        Some(if number == 1 { (status, [("retry-after", retry_after)]) } else { (StatusCode::OK, [("retry-after", "9")]) })
    });
    let webhook = receiver.webhook();
    let error = refused(&webhook).await;
    assert!(error.is::<Unavailable>());
    let said = format!(" answered {status}, and is left alone for {} s", wait.as_secs());
    assert!(error.to_string().ends_with(&said), "{error}");
    tokio::time::pause();
    if !wait.is_zero() {
        tokio::time::advance(wait - Duration::from_secs(1)).await;
        let error = refused(&webhook).await;
        assert!(error.is::<Unavailable>());
        assert!(error.to_string().contains(&format!(" answered {status}, and is left alone for ")), "{error}");
        assert_eq!(receiver.received().len(), 1);
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    tokio::time::resume();
    webhook.publish(&event("order-42", 1)).await.unwrap();
    assert_eq!(receiver.received().len(), 2);
}

#[tokio::test]
async fn a_receiver_that_is_busy_is_left_alone_for_as_long_as_it_asks() {
    check_left_alone(StatusCode::TOO_MANY_REQUESTS, "120", Duration::from_secs(120)).await;
    check_left_alone(StatusCode::SERVICE_UNAVAILABLE, "7", Duration::from_secs(7)).await;
    check_left_alone(StatusCode::TOO_MANY_REQUESTS, "999999999", HOLD_MAX).await;
    check_left_alone(StatusCode::SERVICE_UNAVAILABLE, "soon", Duration::ZERO).await;
    check_left_alone(StatusCode::TOO_MANY_REQUESTS, "Mon, 23 Nov 2009 09:30:00 GMT", Duration::ZERO).await;
}

#[tokio::test]
async fn no_failure_shows_the_secret_parts_of_a_url() {
    let receiver = Receiver::new(|_, number| (number == 1).then_some(StatusCode::BAD_REQUEST));
    let unreachable = Port::new();
    let shown = |error: &HandlerError| format!("{error:?} {error} {}", text(error));
    for url in [receiver.url(), receiver.url(), unreachable.url()] {
        let url = url.replace("http://", "http://user:hunter2@").replace("/hook", "/hunter2?token=hunter2");
        let webhook = Webhook::new("billing", &url, secret(SECRET)).unwrap().timeout(SHORT);
        let error = refused(&webhook).await;
        assert!(shown(&error).contains("http://127.0.0.1:"), "{}", shown(&error));
        assert!(!shown(&error).contains("hunter2"), "{}", shown(&error));
    }
    let [refused, hanging] = receiver.received().try_into().unwrap();
    assert_eq!(
        (refused.uri.to_string(), hanging.header("authorization")),
        ("/hunter2?token=hunter2".into(), "Basic dXNlcjpodW50ZXIy")
    );
}
