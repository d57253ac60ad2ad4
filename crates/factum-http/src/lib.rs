//! Events over HTTP.
//!
//! [`CloudEvent`] is how an event looks outside of a store. A [`Webhook`] posts events as CloudEvents to a URL, signed, and each
//! at least once; whoever receives them checks them with [`verify`].
//!
//! # An outbox
//! ```
//! use std::time::Duration;
//!
//! use axum::body::Bytes;
//! use axum::http::{HeaderMap, StatusCode};
//! use axum::{Router, routing::post};
//! use factum::{Append, Backoff, Log, MemoryDb, MemoryStore, NewEvent, OnFailure, Outbox, Payload};
//! use factum_http::{Secret, TOLERANCE, Webhook, cloud_event, verify};
//! use tokio_util::sync::CancellationToken;
//!
//! # fn secret() -> Secret { "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".parse().unwrap() }
//! // The receiver, which has the same secret: what it answers 2xx to is not sent again.
//! async fn receive(headers: HeaderMap, body: Bytes) -> StatusCode {
//!     if verify(&headers, &body, &secret(), TOLERANCE).is_err() {
//!         return StatusCode::UNAUTHORIZED;
//!     }
//!     match cloud_event::read(&String::from_utf8_lossy(&body), None) {
//!         Ok(event) => println!("{} in {}: {}", event.event_type, event.stream, event.id), // an id seen before is a repeat
//!         Err(_) => return StatusCode::BAD_REQUEST,
//!     }
//!     StatusCode::NO_CONTENT
//! }
//!
//! #[tokio::main(flavor = "current_thread")]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//!     let url = format!("http://{}/events", listener.local_addr()?); // beyond this machine it has to be https
//!     tokio::spawn(async move { axum::serve(listener, Router::new().route("/events", post(receive))).await });
//!
//!     let log = Log::new(MemoryStore::new());
//!     let placed = NewEvent::new("order-42".parse()?, "OrderPlaced", Payload::json(r#"{"total":4200}"#))?;
//!     let appended = log.append(Append { events: vec![placed], ..Append::default() }).await?;
//!
//!     let webhook = Webhook::new("billing", &url, secret())?.source("https://shop.example.com/")?;
//!     let shutdown = CancellationToken::new();
//!     let outbox = log.project(Outbox::new(webhook), MemoryDb::<()>::new()).on_failure(OnFailure::Park(Backoff::SHORT));
//!     let running = outbox.start(&shutdown).await?;
//!     running.wait_for(appended.positions.through, Duration::from_secs(10)).await?; // it has been received
//!     shutdown.cancel();
//!     running.ended().await;
//!     Ok(())
//! }
//! ```

// How an event looks.
pub mod cloud_event;
pub use cloud_event::CloudEvent;

// It is posted, and received.
mod webhook;
pub use webhook::{
    ANSWER_BYTES_MAX, CONNECT_TIMEOUT, DeliveryError, HOLD_MAX, Secret, SecretError, TIMEOUT, TOLERANCE, VerifyError, Webhook,
    WebhookError, verify,
};
