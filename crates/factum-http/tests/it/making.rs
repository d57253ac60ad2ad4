//! What is no webhook is refused when it is made.

use std::error::Error;

use factum::{Publish, Query};
use factum_http::{Secret, SecretError, Webhook, WebhookError};

use crate::receiver::{SECRET, secret};

fn made(name: &str, url: &str) -> Result<Webhook, WebhookError> {
    Webhook::new(name, url, secret(SECRET))
}

#[track_caller]
fn check_refused(made: Result<Webhook, WebhookError>, message: &str) {
    assert_eq!(made.unwrap_err().to_string(), message);
}

#[test]
fn a_url_that_is_not_one_of_http_is_refused() {
    let advice = "write it like https://example.com/events";
    for (url, reason) in [
        ("", "relative URL without a base"),
        ("example.com/events", "relative URL without a base"),
        ("https://", "empty host"),
        ("https://example.com:99999/", "invalid port number"),
        ("ftp://example.com/", "its scheme is ftp"),
        ("file:///etc/passwd", "its scheme is file"),
    ] {
        check_refused(made("billing", url), &format!("the webhook's URL is not one of HTTP ({reason}): {advice}"));
    }
}

#[test]
fn what_anyone_could_read_on_the_way_is_refused_unless_it_is_asked_for() {
    for host in ["example.com", "10.0.0.7:8080", "localhost.example.com", "[2001:db8::1]", "0.0.0.0"] {
        let url = format!("http://{host}/events?token=hidden");
        let advice = "use https, or `Webhook::without_tls` where nobody can listen on the way";
        check_refused(made("billing", &url), &format!("the webhook to http://{host} is not encrypted: {advice}"));
        Webhook::without_tls("billing", &url, secret(SECRET)).unwrap();
    }
    for host in ["127.0.0.1:8080", "127.8.9.1", "[::1]:8080", "localhost", "shop.localhost:1"] {
        made("billing", &format!("http://{host}/events")).unwrap();
    }
    made("billing", "https://example.com/events").unwrap();
}

#[test]
fn a_name_that_nothing_can_be_kept_under_is_refused() {
    let error = made("bill ing", "https://example.com").unwrap_err();
    assert!(matches!(&error, WebhookError::Name(_)), "{error}");
    assert_eq!(made("billing", "https://example.com").unwrap().name(), "billing");
}

#[test]
fn a_source_that_is_no_uri_is_refused() {
    let from = |source| made("billing", "https://example.com").unwrap().source(source);
    for source in ["", "the shop", "https://shöp.example.com/"] {
        let advice = "write it as a URI, such as https://shop.example.com/";
        check_refused(from(source), &format!("{source:?} is no `source` of a CloudEvent: {advice}"));
    }
    from("urn:example:shop").unwrap();
}

#[test]
fn certificates_that_are_none_are_refused() {
    let pem = b"-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
    let error = made("billing", "https://example.com").unwrap().trusting(pem).unwrap_err();
    assert!(matches!(error, WebhookError::Client(_)), "{error}");
    assert!(error.source().is_some());
}

#[test]
fn a_secret_that_is_none_is_refused_with_advice_and_not_shown() {
    let advice = "make one with `echo whsec_$(openssl rand -base64 32)`";
    for (text, expected, message) in [
        ("hunter2", SecretError::Prefix, "the secret of a webhook begins with whsec_"),
        ("", SecretError::Prefix, "the secret of a webhook begins with whsec_"),
        ("whsec_hunter2!", SecretError::Base64, "what follows whsec_ in the secret of a webhook is not Base64 (RFC 4648)"),
        ("whsec_", SecretError::Length(0), "the secret of a webhook has 0 bytes, and not 24 to 64"),
        ("whsec_aHVudGVyMg==", SecretError::Length(7), "the secret of a webhook has 7 bytes, and not 24 to 64"),
        (
            &format!("whsec_{}", "aaaa".repeat(22)),
            SecretError::Length(66),
            "the secret of a webhook has 66 bytes, and not 24 to 64",
        ),
    ] {
        let error = text.parse::<Secret>().unwrap_err();
        assert_eq!(error, expected);
        assert_eq!(error.to_string(), format!("{message}: {advice}"));
        assert!(!format!("{error:?}{error}").contains("hunter2"));
    }
    assert!(format!("whsec_{}", "aaaa".repeat(8)).parse::<Secret>().is_ok());
}

#[test]
fn neither_a_secret_nor_the_secret_parts_of_a_url_are_shown() {
    let webhook = made("billing", "https://user:hunter2@example.com:8443/hunter2?token=hunter2#hunter2").unwrap();
    let shown = format!("{:?}", webhook.and_secret(secret(SECRET)).events(Query::none()));
    assert!(
        shown.starts_with(r#"Webhook { name: "billing", to: "https://example.com:8443", source: "factum", query: "#),
        "{shown}"
    );
    assert!(!shown.contains("hunter2"), "{shown}");
    assert!(!shown.contains(&SECRET["whsec_".len()..]), "{shown}");
}
