//! Receivers with TLS.

use std::sync::Arc;

use factum::{Publish, Unavailable};
use factum_http::Webhook;
use rcgen::CertifiedKey;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::receiver::{SECRET, event, secret};

/// A receiver with a certificate of its own, for this host: its URL and the certificate.
async fn receiver(host: &str) -> (String, String) {
    let CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed([host.to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![cert.der().clone()], key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://127.0.0.1:{}/", listener.local_addr().unwrap().port());
    tokio::spawn(async move {
        loop {
            let (connection, _) = listener.accept().await.unwrap();
            // One that does not trust the certificate ends here.
            let Ok(mut connection) = acceptor.accept(connection).await else { continue };
            let mut request = vec![0; 16 << 10];
            let read = connection.read(&mut request).await.unwrap();
            assert!(request[..read].starts_with(b"POST / HTTP/1.1\r\n"));
            connection.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
        }
    });
    (url, cert.pem())
}

#[tokio::test]
async fn a_receiver_is_trusted_by_its_certificate() {
    let (url, certificate) = receiver("127.0.0.1").await;
    let webhook = Webhook::new("billing", &url, secret(SECRET)).unwrap().trusting(certificate.as_bytes()).unwrap();
    webhook.publish(&event("order-42", 1)).await.unwrap();
}

#[tokio::test]
async fn a_receiver_whose_certificate_is_not_trusted_gets_nothing() {
    let (url, _) = receiver("127.0.0.1").await;
    let webhook = Webhook::new("billing", &url, secret(SECRET)).unwrap();
    let error = webhook.publish(&event("order-42", 1)).await.unwrap_err();
    assert!(error.is::<Unavailable>(), "{error}");
}

#[tokio::test]
async fn a_receiver_whose_certificate_is_for_another_host_gets_nothing() {
    let (url, certificate) = receiver("other.example.com").await;
    let webhook = Webhook::new("billing", &url, secret(SECRET)).unwrap().trusting(certificate.as_bytes()).unwrap();
    let error = webhook.publish(&event("order-42", 1)).await.unwrap_err();
    assert!(error.is::<Unavailable>(), "{error}");
}
