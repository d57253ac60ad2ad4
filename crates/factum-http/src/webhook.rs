//! A webhook: events are posted to a URL, signed, one by one.

mod delivery;
mod hold;
mod secret;
mod verify;

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use factum::{HandlerError, NameError, Publish, Query, ReadModelName, ReadModelNameError, RecordedEvent, Timestamp, Unavailable};
use http::{StatusCode, header};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, Response, Url};

pub use delivery::{ANSWER_BYTES_MAX, DeliveryError};
pub use hold::HOLD_MAX;
pub use secret::{Secret, SecretError};
pub use verify::{TOLERANCE, VerifyError, verify};

use crate::CloudEvent;
use crate::cloud_event::{MEDIA_TYPE, SOURCE};
use delivery::answer;
use hold::Hold;

/// How long a receiver may take to answer, unless something else is said.
pub const TIMEOUT: Duration = Duration::from_secs(15);

/// How long connecting to it may take of that.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The headers of a delivery, as Standard Webhooks names them.
const ID: &str = "webhook-id";
const TIMESTAMP: &str = "webhook-timestamp";
const SIGNATURE: &str = "webhook-signature";

/// A receiver of events: give it to an [`Outbox`](factum::Outbox), and the outbox to [`Log::project`](factum::Log::project).
///
/// An event is a POST of a [`CloudEvent`] in JSON, with the headers of [Standard Webhooks](https://www.standardwebhooks.com):
/// `webhook-id`, the event's id, the same whenever it comes again; `webhook-timestamp`, the seconds since 1970 at this try; and
/// `webhook-signature`. An answer of 2xx is a delivery; redirects are not followed. All that is recorded with an event goes with
/// it, its metadata too.
///
/// Events of one stream are sent in order, and those of up to four streams at a time. Where the receiver cannot be reached, or
/// answers 429 or 503, all events wait, as long as its `Retry-After` says and until it is back. Any other failure is the
/// event's: what comes next is for [`OnFailure`](factum::OnFailure) to say.
///
/// Certificates that this system trusts are trusted. A proxy that the environment names in `HTTPS_PROXY` is gone through.
pub struct Webhook {
    name: String,
    url: Url,
    /// The receiver, without the parts of the URL that may be secret.
    to: String,
    secrets: Vec<Secret>,
    source: String,
    query: Query,
    timeout: Duration,
    client: Client,
    hold: Hold,
}

/// Why there is no such webhook.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WebhookError {
    /// It has no name that something can be kept under.
    #[error(transparent)]
    Name(#[from] ReadModelNameError),
    /// Its URL is none, or not of HTTP.
    #[error("the webhook's URL is not one of HTTP ({0}): write it like https://example.com/events")]
    Url(String),
    /// Everyone on the way could read the events.
    #[error("the webhook to {0} is not encrypted: use https, or `Webhook::without_tls` where nobody can listen on the way")]
    NotEncrypted(String),
    /// What it says of where its events are from is no URI reference.
    #[error("{0:?} is no `source` of a CloudEvent: write it as a URI, such as https://shop.example.com/")]
    Source(String),
    /// This system's certificates, or those that it was to trust, cannot be used.
    #[error("cannot use TLS for the webhook: check the certificates")]
    Client(#[source] reqwest::Error),
}

impl Webhook {
    /// A webhook of this name, which its checkpoint and what is parked are kept under, to this URL, signed with this secret.
    ///
    /// # Errors
    /// [`WebhookError`] says what is wrong with it: a URL of plain HTTP, for example, that is not on this machine.
    pub fn new(name: &str, url: &str, secret: Secret) -> Result<Self, WebhookError> {
        let webhook = Self::without_tls(name, url, secret)?;
        match webhook.url.scheme() == "https" || is_loopback(&webhook.url) {
            true => Ok(webhook),
            false => Err(WebhookError::NotEncrypted(webhook.to)),
        }
    }

    /// A webhook as [`Webhook::new`] makes it, to a URL that may be of plain HTTP anywhere. It is signed, so nobody can change or
    /// invent an event; but everyone on the way can read it.
    ///
    /// # Errors
    /// As [`Webhook::new`].
    pub fn without_tls(name: &str, url: &str, secret: Secret) -> Result<Self, WebhookError> {
        let name = ReadModelName::new(name, Self::VERSION)?.projection().to_owned();
        let url = Url::parse(url).map_err(|error| WebhookError::Url(error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(WebhookError::Url(format!("its scheme is {}", url.scheme())));
        }
        Ok(Self {
            name,
            to: url.origin().ascii_serialization(),
            client: client(&url, Vec::new()).map_err(WebhookError::Client)?,
            url,
            secrets: vec![secret],
            source: SOURCE.to_owned(),
            query: Query::all(),
            timeout: TIMEOUT,
            hold: Hold::default(),
        })
    }

    /// Signs with one more secret: while receivers change from one to another, either is enough for them.
    #[must_use]
    pub fn and_secret(mut self, secret: Secret) -> Self {
        self.secrets.push(secret);
        self
    }

    /// The `source` of its CloudEvents, where events have none of their own: `factum` otherwise.
    ///
    /// # Errors
    /// [`WebhookError::Source`] where it is no URI reference.
    pub fn source(mut self, source: &str) -> Result<Self, WebhookError> {
        if source.is_empty() || !source.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(WebhookError::Source(source.to_owned()));
        }
        source.clone_into(&mut self.source);
        Ok(self)
    }

    /// The events that are sent; all otherwise. Those of the system's own streams never are.
    #[must_use]
    pub fn events(mut self, query: Query) -> Self {
        self.query = query;
        self
    }

    /// Trusts these certificates too, in PEM: where the receiver's is not signed by one that this system trusts.
    ///
    /// # Errors
    /// [`WebhookError::Client`] where they are none.
    pub fn trusting(mut self, pem: &[u8]) -> Result<Self, WebhookError> {
        let certificates = Certificate::from_pem_bundle(pem).map_err(WebhookError::Client)?;
        self.client = client(&self.url, certificates).map_err(WebhookError::Client)?;
        Ok(self)
    }

    /// How long the receiver may take to answer; [`TIMEOUT`] otherwise.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sends an event, once.
    async fn send(&self, event: &RecordedEvent) -> Result<(), DeliveryError> {
        if let Some((status, wait)) = self.hold.left() {
            return Err(DeliveryError::Busy { to: self.to.clone(), status, wait });
        }
        let response = self.post(event).await.map_err(|error| DeliveryError::unanswered(&self.to, self.timeout, error))?;
        let (to, status) = (self.to.clone(), response.status());
        match status {
            _ if status.is_success() => Ok(()),
            _ if status.is_redirection() => Err(DeliveryError::Moved { to, status }),
            StatusCode::GONE => Err(DeliveryError::Gone { to }),
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
                let wait = self.hold.hold(status, response.headers());
                Err(DeliveryError::Busy { to, status, wait })
            }
            _ => Err(DeliveryError::Refused { to, status, answer: answer(response).await }),
        }
    }

    async fn post(&self, event: &RecordedEvent) -> Result<Response, reqwest::Error> {
        let body = serde_json::to_vec(&CloudEvent::new(event, &self.source)).expect("a CloudEvent is JSON");
        let (id, seconds) = (event.id.to_string(), seconds(Timestamp::now()));
        let signatures: Vec<_> = self.secrets.iter().map(|secret| secret.sign(&id, seconds, &body)).collect();
        let request = self.client.post(self.url.clone()).timeout(self.timeout).header(header::CONTENT_TYPE, MEDIA_TYPE);
        request.header(ID, id).header(TIMESTAMP, seconds).header(SIGNATURE, signatures.join(" ")).body(body).send().await
    }
}

impl Publish for Webhook {
    const PARTITIONS: u32 = 4;

    fn name(&self) -> Cow<'_, str> {
        self.name.as_str().into()
    }

    fn query(&self) -> Result<Query, NameError> {
        Ok(self.query.clone())
    }

    async fn publish(&self, event: &RecordedEvent) -> Result<(), HandlerError> {
        self.send(event)
            .await
            .map_err(|error| if error.is_of_all_events() { Unavailable::new(error).into() } else { error.into() })
    }
}

/// Without its secrets, and the parts of its URL that may be some.
impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, to, source, query, timeout, .. } = self;
        let mut fields = f.debug_struct("Webhook");
        fields.field("name", name).field("to", to).field("source", source).field("query", query).field("timeout", timeout);
        fields.finish_non_exhaustive()
    }
}

/// A client of this URL alone. What stays on this machine goes through no proxy.
fn client(url: &Url, certificates: Vec<Certificate>) -> Result<Client, reqwest::Error> {
    let client = Client::builder().redirect(Policy::none()).connect_timeout(CONNECT_TIMEOUT).tls_certs_merge(certificates);
    let client = client.user_agent(concat!("factum/", env!("CARGO_PKG_VERSION")));
    if is_loopback(url) { client.no_proxy().build() } else { client.build() }
}

/// Whether what is sent there stays on this machine.
fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    match host.trim_matches(['[', ']']).parse::<IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => host == "localhost" || host.ends_with(".localhost"),
    }
}

/// Whole seconds since 1970.
fn seconds(time: Timestamp) -> i64 {
    time.as_micros().div_euclid(1_000_000)
}
