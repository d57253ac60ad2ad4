//! What a receiver gets.

use factum::{Metadata, Publish, Timestamp};
use factum_http::{Secret, TOLERANCE, VerifyError, cloud_event, verify};
use serde_json::json;

use crate::receiver::{Received, Receiver, SECRET, event, secret, signature};

const OTHER: &str = "whsec_b3RoZXItc2VjcmV0LW90aGVyLXNlY3JldC0xMjM0NTY=";

/// The signature that a request should have.
fn expected(received: &Received, secret: &str) -> String {
    signature(secret, received.header("webhook-id"), received.header("webhook-timestamp"), &received.body)
}

#[tokio::test]
async fn an_event_is_posted_as_a_cloud_event_in_json() {
    let receiver = Receiver::willing();
    let cause = event("cart-7", 1);
    let mut event = event("order-42", 3);
    event.metadata = Metadata::caused_by(&cause).actor("ann").traceparent("00-1-2-01");
    event.tags = vec!["order:42".parse().unwrap()];
    receiver.webhook().source("https://shop.example.com/").unwrap().publish(&event).await.unwrap();

    let [received]: [Received; 1] = receiver.received().try_into().unwrap();
    assert_eq!((received.method.as_str(), received.uri.path()), ("POST", "/hook"));
    assert_eq!(received.header("content-type"), "application/cloudevents+json");
    assert_eq!(
        received.event(),
        json!({
            "specversion": "1.0", "id": event.id.to_string(), "source": "https://shop.example.com/", "type": "OrderPlaced",
            "subject": "order-42", "time": "2026-11-23T09:30:00Z", "recordedtime": "2026-11-23T09:30:00Z",
            "datacontenttype": "application/json", "data": {"n": 3}, "streamversion": 3, "position": "3",
            "causationid": cause.id.to_string(), "correlationid": cause.id.to_string(), "traceparent": "00-1-2-01",
            "actor": "ann", "tags": r#"["order:42"]"#,
        })
    );
    let text = std::str::from_utf8(&received.body).unwrap();
    let mut read = cloud_event::read(text, None).unwrap();
    assert_eq!(read.metadata.headers.remove("ce-source").as_deref(), Some("https://shop.example.com/"));
    read.metadata.occurred_at = None;
    let same = (read.id, read.stream, read.tags, read.metadata, read.payload);
    assert_eq!(same, (event.id, event.stream, event.tags, event.metadata, event.payload));
}

#[tokio::test]
async fn a_delivery_has_the_event_s_id_and_the_time_and_a_signature_that_others_make_the_same() {
    let receiver = Receiver::willing();
    let event = event("order-42", 1);
    let before = Timestamp::now().as_micros() / 1_000_000;
    receiver.webhook().publish(&event).await.unwrap();
    let after = Timestamp::now().as_micros() / 1_000_000;
    let received = &receiver.received()[0];
    assert_eq!(received.header("webhook-id"), event.id.to_string());
    let sent: i64 = received.header("webhook-timestamp").parse().unwrap();
    assert!((before..=after).contains(&sent), "{before} {sent} {after}");
    assert_eq!(received.header("webhook-signature"), expected(received, SECRET));
    verify(&received.headers, &received.body, &secret(SECRET), TOLERANCE).unwrap();
}

#[tokio::test]
async fn while_secrets_change_either_of_them_is_enough() {
    let receiver = Receiver::willing();
    receiver.webhook().and_secret(secret(OTHER)).publish(&event("order-42", 1)).await.unwrap();
    let received = &receiver.received()[0];
    let both = format!("{} {}", expected(received, SECRET), expected(received, OTHER));
    assert_eq!(received.header("webhook-signature"), both);
    let verify = |secret: Secret| verify(&received.headers, &received.body, &secret, TOLERANCE);
    assert_eq!([verify(secret(SECRET)), verify(secret(OTHER))], [Ok(()), Ok(())]);
    let third = secret("whsec_dGhpcmQtc2VjcmV0LXRoaXJkLXNlY3JldC0xMjM0NTY=");
    assert_eq!(verify(third), Err(VerifyError::Forged));
}

#[tokio::test]
async fn an_event_that_came_from_elsewhere_keeps_its_source() {
    let receiver = Receiver::willing();
    let mut event = event("order-42", 1);
    event.metadata = Metadata::default().header("ce-source", "https://elsewhere.example.com/");
    receiver.webhook().source("https://shop.example.com/").unwrap().publish(&event).await.unwrap();
    assert_eq!(receiver.members("source"), ["https://elsewhere.example.com/"]);
}

#[tokio::test]
async fn data_of_any_kind_is_posted() {
    let receiver = Receiver::willing();
    let mut event = event("order-42", 1);
    event.payload.data = (0..=255).cycle().take(1 << 20).collect::<Vec<u8>>().into();
    event.payload.content_type = "application/octet-stream".parse().unwrap();
    receiver.webhook().publish(&event).await.unwrap();
    let received = &receiver.received()[0];
    let read = cloud_event::read(std::str::from_utf8(&received.body).unwrap(), None).unwrap();
    assert_eq!(read.payload, event.payload);
}
