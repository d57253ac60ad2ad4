//! A receiver: it answers as it is told to, and remembers what it was asked.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, Uri};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use factum::{NewEvent, Payload, Position, RecordedEvent, Timestamp, Version};
use factum_http::{Secret, Webhook};
use serde_json::Value;
use tokio::net::{TcpListener, TcpSocket};

/// The secret of the examples of Standard Webhooks.
pub(crate) const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

pub(crate) fn secret(text: &str) -> Secret {
    text.parse().unwrap()
}

/// The signature of a delivery, made by another implementation than ours.
pub(crate) fn signature(secret: &str, id: &str, timestamp: &str, body: &[u8]) -> String {
    let key = BASE64_STANDARD.decode(&secret["whsec_".len()..]).unwrap();
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &key);
    let signed = [format!("{id}.{timestamp}.").as_bytes(), body].concat();
    format!("v1,{}", BASE64_STANDARD.encode(aws_lc_rs::hmac::sign(&key, &signed)))
}

/// A request, as it was received.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Received {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }

    pub(crate) fn event(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

type Answer = Box<dyn Fn(&Received, usize) -> Option<Response> + Send + Sync>;

/// What a receiver was asked.
struct Requests {
    answer: Answer,
    all: Mutex<Vec<Received>>,
}

/// A receiver of webhooks on a free port of this machine, until the test ends.
#[derive(Clone)]
pub(crate) struct Receiver {
    address: SocketAddr,
    requests: Arc<Requests>,
}

/// A port that nobody listens on yet, and nobody else can have.
pub(crate) struct Port(TcpSocket);

impl Port {
    pub(crate) fn new() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        Self(socket)
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/hook", self.0.local_addr().unwrap())
    }

    pub(crate) fn listen(self) -> TcpListener {
        self.0.listen(1024).unwrap()
    }

    /// A receiver that answers each request, numbered from 1, as this says; where it says nothing, it hangs.
    pub(crate) fn receive<R: IntoResponse>(
        self,
        answer: impl Fn(&Received, usize) -> Option<R> + Send + Sync + 'static,
    ) -> Receiver {
        let address = self.0.local_addr().unwrap();
        let answer: Answer = Box::new(move |received, number| answer(received, number).map(IntoResponse::into_response));
        let requests = Arc::new(Requests { answer, all: Mutex::default() });
        let router = Router::new().fallback(handle).with_state(requests.clone());
        let listener = self.listen();
        tokio::spawn(async move { axum::serve(listener, router).await });
        Receiver { address, requests }
    }
}

impl Receiver {
    /// As [`Port::receive`], on a port of its own.
    pub(crate) fn new<R: IntoResponse>(answer: impl Fn(&Received, usize) -> Option<R> + Send + Sync + 'static) -> Self {
        Port::new().receive(answer)
    }

    /// One that takes everything.
    pub(crate) fn willing() -> Self {
        Self::new(|_, _| Some(()))
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// A webhook to it.
    pub(crate) fn webhook(&self) -> Webhook {
        Webhook::new("billing", &self.url(), secret(SECRET)).unwrap()
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.requests.all.lock().unwrap().clone()
    }

    /// Of all that was received, a member of the event.
    pub(crate) fn members(&self, name: &str) -> Vec<Value> {
        self.received().iter().map(|received| received.event()[name].clone()).collect()
    }
}

async fn handle(State(requests): State<Arc<Requests>>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let received = Received { method, uri, headers, body };
    let number = {
        let mut all = requests.all.lock().unwrap();
        all.push(received.clone());
        all.len()
    };
    match (requests.answer)(&received, number) {
        Some(response) => response,
        None => std::future::pending().await,
    }
}

/// An event that was recorded in this stream, at this version, which is its position too.
pub(crate) fn event(stream: &str, version: u64) -> RecordedEvent {
    let payload = Payload::json(format!(r#"{{"n": {version}}}"#));
    let new = NewEvent::new(stream.parse().unwrap(), "OrderPlaced", payload).unwrap();
    let time: Timestamp = "2026-11-23T09:30:00Z".parse().unwrap();
    RecordedEvent::record(new, Position::new(version), Version::new(version), time)
}
