//! Requests whose every failure keeps its name.
//!
//! A pooled client retries by itself and hides on which connection a request travelled. Here a connection is made
//! where the caller asks for one, and a failure says how far the request had come.

use std::fmt;
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context as Task, Poll};
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use bytes::Bytes;
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper::{Method, Request, Uri};
use hyper_util::rt::TokioIo;
use kube::client::ConfigExt as _;
use kube::config::{Config, KubeConfigOptions, Kubeconfig};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::Resumption;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, crypto::ring};

use crate::answer::Answer;

/// Says why a request got no whole answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// No connection came about: nothing was sent.
    Unreached(String),
    /// The connection closed before the first byte of an answer.
    ClosedEarly {
        /// Part of the request may have reached a server.
        sent: bool,
        /// What the connection said.
        text: String,
    },
    /// The answer began and did not end.
    Broken(String),
    /// Nothing came in time.
    Timeout(Duration),
}

impl Fault {
    /// Tells whether a GET may be tried once more: only after a connection that closed before the first byte.
    pub fn may_retry(&self) -> bool {
        matches!(self, Self::ClosedEarly { .. })
    }

    /// Tells whether a server may have acted on the request.
    pub fn may_have_arrived(&self) -> bool {
        match self {
            Self::Unreached(_) => false,
            Self::ClosedEarly { sent, .. } => *sent,
            Self::Broken(_) | Self::Timeout(_) => true,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreached(text) => write!(f, "not reached: {text}"),
            Self::ClosedEarly { text, .. } => write!(f, "closed before the first byte: {text}"),
            Self::Broken(text) => write!(f, "answer broke off: {text}"),
            Self::Timeout(limit) => write!(f, "no answer in {} s", limit.as_secs()),
        }
    }
}

/// The bytes of a connection, and whether any has come back.
pub struct Counted {
    stream: TlsStream<TcpStream>,
    answered: Arc<AtomicBool>,
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        task: &mut Task<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(task, buf);
        if buf.filled().len() > before {
            self.answered.store(true, Ordering::Relaxed);
        }
        polled
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        task: &mut Task<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(task, buf)
    }
    fn poll_flush(mut self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(task)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(task)
    }
}

/// Selects the protocol that TLS agrees on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1
    One,
    /// HTTP/2
    Two,
}

/// A kube-apiserver, or the load balancer in front of several, with the identity to use there.
#[derive(Clone)]
pub struct Server {
    host: String,
    port: u16,
    name: ServerName<'static>,
    one: Arc<ClientConfig>,
    two: Arc<ClientConfig>,
}

impl Server {
    /// Reads address, authority and client certificate from a kubeconfig; `url` replaces the address.
    pub async fn from_kubeconfig(path: &Path, url: Option<&str>) -> anyhow::Result<Self> {
        // A second call finds the provider set, which is what is wanted.
        let _ = ring::default_provider().install_default();
        let file = Kubeconfig::read_from(path)
            .with_context(|| format!("read kubeconfig {}", path.display()))?;
        let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default())
            .await
            .with_context(|| format!("read kubeconfig {}", path.display()))?;
        let mut tls = config.rustls_client_config().context("use the kubeconfig's certificates")?;
        // A resumed session would make the connection less than fresh.
        tls.resumption = Resumption::disabled();
        let url = url.map_or_else(|| config.cluster_url.to_string(), str::to_string);
        let (host, port, name) = address(&url)?;
        let agreeing_on = |protocol: &[u8]| {
            let mut tls = tls.clone();
            tls.alpn_protocols = vec![protocol.to_vec()];
            Arc::new(tls)
        };
        Ok(Self { host, port, name, one: agreeing_on(b"http/1.1"), two: agreeing_on(b"h2") })
    }

    /// Gives the same identity at another address.
    pub fn at(&self, url: &str) -> anyhow::Result<Self> {
        let (host, port, name) = address(url)?;
        Ok(Self { host, port, name, ..self.clone() })
    }

    /// Gives `host:port`.
    pub fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// Makes a request: HTTP/1.1 names only the path in its first line, HTTP/2 the whole address.
    pub fn request(
        &self,
        protocol: Protocol,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<Request<Full<Bytes>>, Fault> {
        let request = Request::builder().method(method);
        let request = match protocol {
            Protocol::One => request.uri(path).header("host", self.authority()),
            Protocol::Two => request.uri(format!("https://{}{path}", self.authority())),
        };
        request
            .header("accept", "application/json")
            .header("content-type", "application/json")
            .header("user-agent", "quorate-witness")
            .body(Full::new(body))
            .map_err(|error| Fault::Unreached(error.to_string()))
    }

    /// Opens a TLS connection; the flag tells whether a byte has come back on it.
    pub async fn dial(&self, protocol: Protocol) -> Result<(Counted, Arc<AtomicBool>), Fault> {
        let stream = TcpStream::connect((self.host.as_str(), self.port))
            .await
            .map_err(|error| Fault::Unreached(error.to_string()))?;
        stream.set_nodelay(true).map_err(|error| Fault::Unreached(error.to_string()))?;
        let config = match protocol {
            Protocol::One => &self.one,
            Protocol::Two => &self.two,
        };
        let stream = TlsConnector::from(Arc::clone(config))
            .connect(self.name.clone(), stream)
            .await
            .map_err(|error| during_handshake(&error))?;
        let answered = Arc::new(AtomicBool::new(false));
        Ok((Counted { stream, answered: Arc::clone(&answered) }, answered))
    }

    /// Sends one request on a connection of its own and reads the whole answer.
    pub async fn fresh(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
        limit: Duration,
    ) -> Result<Answer, Fault> {
        let exchange = async {
            let (response, answered) = self.open(method, path, body).await?;
            Answer::read(response, |error| after(&answered, error)).await
        };
        tokio::time::timeout(limit, exchange).await.unwrap_or(Err(Fault::Timeout(limit)))
    }

    /// Sends one request on a connection of its own and gives the answer as soon as its head is there.
    pub async fn open(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<(hyper::Response<hyper::body::Incoming>, Arc<AtomicBool>), Fault> {
        let request = self.request(Protocol::One, method, path, body)?;
        let (stream, answered) = self.dial(Protocol::One).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| after(&answered, &error))?;
        // Ends when the answer is read or dropped: this connection is used once.
        tokio::spawn(connection);
        let response =
            sender.send_request(request).await.map_err(|error| after(&answered, &error))?;
        // The dispatcher must not see its sender go before the body is read; an idle sender costs nothing.
        tokio::spawn(async move { poll_fn(|task| closed(&mut sender, task)).await });
        Ok((response, answered))
    }
}

/// Waits until the connection has ended, so that the sender lives as long as its body.
fn closed(sender: &mut http1::SendRequest<Full<Bytes>>, task: &mut Task<'_>) -> Poll<()> {
    match sender.poll_ready(task) {
        Poll::Pending => Poll::Pending,
        Poll::Ready(_) => Poll::Ready(()),
    }
}

/// Names a fault after the connection was up.
fn after(answered: &AtomicBool, error: &hyper::Error) -> Fault {
    let text = chain(error);
    if answered.load(Ordering::Relaxed) {
        Fault::Broken(text)
    } else {
        Fault::ClosedEarly { sent: true, text }
    }
}

/// Names a fault of the TLS handshake: a peer that went away is another thing than a certificate that is refused.
fn during_handshake(error: &io::Error) -> Fault {
    match error.kind() {
        ErrorKind::UnexpectedEof
        | ErrorKind::ConnectionReset
        | ErrorKind::ConnectionAborted
        | ErrorKind::BrokenPipe => {
            Fault::ClosedEarly { sent: false, text: format!("TLS handshake: {error}") }
        }
        _ => Fault::Unreached(format!("TLS handshake: {error}")),
    }
}

/// Joins an error and its sources.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    // rustls ends some of its texts with the address of a manual; in a table that is noise.
    text.split(": https://docs.rs/").next().unwrap_or_default().to_string()
}

fn address(url: &str) -> anyhow::Result<(String, u16, ServerName<'static>)> {
    let uri: Uri = url.parse().with_context(|| format!("read the server address {url:?}"))?;
    if uri.scheme_str() != Some("https") {
        return Err(anyhow!("server address {url:?} does not begin with https://"));
    }
    let host = uri.host().ok_or_else(|| anyhow!("server address {url:?} names no host"))?;
    let host = host.trim_start_matches('[').trim_end_matches(']').to_string();
    let name = ServerName::try_from(host.clone())
        .with_context(|| format!("use {host:?} as a server name"))?;
    Ok((host, uri.port_u16().unwrap_or(6443), name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_connection_closed_before_the_first_byte_allows_a_retry() {
        let early = |sent| Fault::ClosedEarly { sent, text: String::new() };
        let table = [
            (Fault::Unreached(String::new()), false, false),
            (early(false), true, false),
            (early(true), true, true),
            (Fault::Broken(String::new()), false, true),
            (Fault::Timeout(Duration::from_secs(1)), false, true),
        ];
        for (fault, may_retry, may_have_arrived) in table {
            assert_eq!(fault.may_retry(), may_retry, "{fault}");
            assert_eq!(fault.may_have_arrived(), may_have_arrived, "{fault}");
        }
    }

    #[test]
    fn addresses_are_read() {
        let (host, port, _) = address("https://198.18.0.10:6443").unwrap();
        assert_eq!((host.as_str(), port), ("198.18.0.10", 6443));
        let (host, port, _) = address("https://[::1]").unwrap();
        assert_eq!((host.as_str(), port), ("::1", 6443));
        assert!(address("http://198.18.0.10").is_err());
    }
}
