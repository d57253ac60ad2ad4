//! What a receiver can trust.

use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use factum::Timestamp;
use factum_http::{TOLERANCE, VerifyError, verify};

use crate::receiver::{SECRET, secret, signature};

/// The example that Standard Webhooks' libraries are tested with.
const EXAMPLE: [(&str, &str); 3] = [
    ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
    ("webhook-timestamp", "1614265330"),
    ("webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
];
const BODY: &[u8] = br#"{"test": 2432232314}"#;

fn headers(changed: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in EXAMPLE.iter().chain(changed) {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
    }
    headers
}

#[track_caller]
fn check_trusted(changed: &[(&'static str, &str)]) {
    assert_eq!(verify(&headers(changed), BODY, &secret(SECRET), Duration::MAX), Ok(()));
}

#[track_caller]
fn check_forged(changed: &[(&'static str, &str)], body: &[u8]) {
    assert_eq!(verify(&headers(changed), body, &secret(SECRET), Duration::MAX), Err(VerifyError::Forged));
}

#[test]
fn the_example_of_the_specification_is_trusted() {
    check_trusted(&[]);
}

#[test]
fn one_signature_of_several_is_enough() {
    let (_, signature) = EXAMPLE[2];
    for signatures in [
        format!("v1,AAAA {signature}"),
        format!("{signature} v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw"),
        format!("v2,x  v1,? nonsense {signature}"),
    ] {
        check_trusted(&[("webhook-signature", &signatures)]);
    }
}

#[test]
fn whatever_is_changed_is_forged() {
    let (_, signature) = EXAMPLE[2];
    check_forged(&[], br#"{"test": 2432232315}"#);
    check_forged(&[], b"");
    check_forged(&[("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJel")], BODY);
    check_forged(&[("webhook-timestamp", "1614265331")], BODY);
    for signatures in ["v1,", "v1", "v1,AAAA", &signature[3..], &signature[..20], &signature.replace("v1,", "v1a,"), "v1,?"] {
        check_forged(&[("webhook-signature", signatures)], BODY);
    }
    let other = secret("whsec_b3RoZXItc2VjcmV0LW90aGVyLXNlY3JldC0xMjM0NTY=");
    assert_eq!(verify(&headers(&[]), BODY, &other, Duration::MAX), Err(VerifyError::Forged));
}

#[test]
fn what_is_no_delivery_is_told_from_what_is_forged() {
    for (name, _) in EXAMPLE {
        let mut headers = headers(&[]);
        headers.remove(name);
        assert_eq!(verify(&headers, BODY, &secret(SECRET), TOLERANCE), Err(VerifyError::Missing(name)));
        headers.insert(name, HeaderValue::from_bytes(b"\xff").unwrap());
        assert_eq!(verify(&headers, BODY, &secret(SECRET), TOLERANCE), Err(VerifyError::Missing(name)));
    }
    let yesterday = headers(&[("webhook-timestamp", "yesterday")]);
    assert_eq!(verify(&yesterday, BODY, &secret(SECRET), TOLERANCE), Err(VerifyError::Timestamp));
}

#[test]
fn a_delivery_of_another_time_is_stale() {
    let now = Timestamp::now().as_micros() / 1_000_000;
    let verify = |sent: i64| {
        let (sent, id) = (sent.to_string(), EXAMPLE[0].1);
        let signature = signature(SECRET, id, &sent, BODY);
        verify(&headers(&[("webhook-timestamp", &sent), ("webhook-signature", &signature)]), BODY, &secret(SECRET), TOLERANCE)
    };
    for sent in [now, now - 200, now + 200] {
        assert_eq!(verify(sent), Ok(()), "{}", sent - now);
    }
    for sent in [0, now - 1000, now + 1000, i64::MIN, i64::MAX] {
        let stale = verify(sent);
        let Err(VerifyError::Stale { seconds, tolerance: TOLERANCE }) = stale else { panic!("{stale:?}") };
        assert!(900 < seconds, "{seconds}");
    }
}
