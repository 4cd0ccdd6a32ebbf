//! What etcd tells over HTTP: metrics, and why it calls itself unhealthy. At its client URLs, and at a plain listener of the host.

use crate::{
    certs::Tls,
    metrics::{Metrics, http_date},
};
use std::time::{Duration, SystemTime};
use ureq::{
    Agent,
    tls::{
        Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig, TlsProvider, parse_pem,
    },
};

/// Where kubeadm and k3s let etcd listen for its own host, without TLS.
pub const LOCAL: &str = "http://127.0.0.1:2381";
/// Metrics are some hundred kilobytes.
const LIMIT: u64 = 8 << 20;

/// An answer: its status, its `Date`, its text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    /// 200, and 503 for the health of a member without a leader.
    pub status: u16,
    /// When the server sent it, in seconds since 1970 by its own clock.
    pub date: Option<u64>,
    /// The body.
    pub text: String,
}

/// Gets a page, and blocks meanwhile.
///
/// # Errors
/// In words: no connection, no TLS, no answer in time.
pub fn get(tls: Option<&Tls>, url: &str, patience: Duration) -> Result<Answer, String> {
    let mut config = Agent::config_builder()
        .http_status_as_error(false)
        .proxy(None)
        .timeout_global(Some(patience));
    if let Some(tls) = tls.filter(|_| url.starts_with("https://")) {
        config = config.tls_config(configured(tls)?);
    }
    let agent = Agent::new_with_config(config.build());
    let mut answer = agent.get(url).call().map_err(|error| format!("{url}: {error}"))?;
    let date = answer.headers().get("date").and_then(|value| value.to_str().ok());
    let (status, date) = (answer.status().as_u16(), date.and_then(http_date));
    let body = answer.body_mut().with_config().limit(LIMIT).read_to_string();
    Ok(Answer { status, date, text: body.map_err(|error| format!("{url}: {error}"))? })
}

/// Gets the metrics of a member at a URL of it, and tells how far its clock is from ours.
///
/// # Errors
/// In words.
pub fn metrics(tls: Option<&Tls>, url: &str, patience: Duration) -> Result<Metrics, String> {
    let url = format!("{}/metrics", url.trim_end_matches('/'));
    let answer = get(tls, &url, patience)?;
    if answer.status != 200 {
        return Err(format!("{url}: answers {}", answer.status));
    }
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let ahead =
        |theirs: u64| i64::try_from(theirs).unwrap_or(0).saturating_sub_unsigned(now.as_secs());
    Ok(Metrics {
        clock: answer.date,
        ahead_s: answer.date.map(ahead),
        ..Metrics::parse(&answer.text)
    })
}

fn configured(tls: &Tls) -> Result<TlsConfig, String> {
    let roots = certificates(&tls.ca);
    let key = PrivateKey::from_pem(&tls.key).map_err(|error| format!("client key: {error}"))?;
    let own = ClientCert::new_with_certs(&certificates(&tls.cert), key);
    Ok(TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .root_certs(RootCerts::from(roots))
        .client_cert(Some(own))
        .build())
}

fn certificates(pem: &[u8]) -> Vec<Certificate<'static>> {
    let certificate = |item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(certificate),
        _ => None,
    };
    parse_pem(pem).filter_map(certificate).collect()
}
