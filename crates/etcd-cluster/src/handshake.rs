//! What a handshake tells that no call does: the certificate a server shows, and why it closed the connection right after.
//!
//! In TLS 1.3 a server judges the client's certificate after the client has finished its part of the handshake. gRPC has begun to send by
//! then, and sees a connection that ends; the alert that says why is lost. Here nothing is sent after the handshake, and the alert is read.

use crate::{
    calls::Cluster,
    certs::Tls,
    matching::host_and_port,
    member::{Member, MemberId},
};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
};
use std::{
    io::{Read, Write},
    net::{TcpStream, ToSocketAddrs},
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::task::JoinSet;

/// The certificate of a server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Shown {
    /// Whose it is.
    pub member: MemberId,
    /// Where it was shown.
    pub url: String,
    /// In DER.
    pub der: Vec<u8>,
}

impl Cluster {
    /// Looks at the certificates that members show to clients and to each other, at the first URL of each kind. Who does not answer, or has no TLS, shows
    /// none. One that is over is shown as well.
    pub fn certificates(
        &self,
        members: &[Member],
        patience: Duration,
    ) -> impl Future<Output = Vec<Shown>> + use<> {
        let mut tasks = JoinSet::new();
        for member in members {
            let urls = [member.client_urls.first(), member.peer_urls.first()];
            for url in urls.into_iter().flatten().filter(|url| url.starts_with("https://")) {
                let (Some(tls), id, url) = (self.access.tls.clone(), member.id, url.clone()) else {
                    continue;
                };
                tasks.spawn_blocking(move || {
                    let der = certificate(&tls, &url, patience)?;
                    Some(Shown { member: id, url, der })
                });
            }
        }
        async move {
            let mut all: Vec<Shown> = tasks.join_all().await.into_iter().flatten().collect();
            all.sort_by(|a, b| a.url.cmp(&b.url));
            all
        }
    }

    /// The client certificate that members are shown, in PEM.
    pub fn own_certificate(&self) -> Option<&[u8]> {
        self.access.tls.as_ref().map(|tls| tls.cert.as_slice())
    }
}

/// Tells what a server says when the handshake is over, none when it says nothing. Blocks.
pub(crate) fn last_word(tls: &Tls, url: &str, patience: Duration) -> Option<String> {
    let (mut session, mut socket) = open(config(tls, judge(tls)?)?, url, patience)?;
    // an alert may come in the handshake, or right after it
    while session.is_handshaking() {
        if let Err(error) = session.complete_io(&mut socket) {
            return said(&error);
        }
    }
    socket.flush().ok()?;
    rustls::Stream::new(&mut session, &mut socket).read(&mut [0]).err().as_ref().and_then(said)
}

/// Tells what certificate a server shows. Blocks.
fn certificate(tls: &Tls, url: &str, patience: Duration) -> Option<Vec<u8>> {
    let witness = Arc::new(Witness { judge: judge(tls)?, seen: Mutex::default() });
    let (mut session, mut socket) = open(config(tls, witness.clone())?, url, patience)?;
    let mut known = Ok((0, 0));
    while session.is_handshaking() && known.is_ok() {
        known = session.complete_io(&mut socket);
    }
    if known.is_ok() {
        // a connection that is cut is a line in the server's log, one that is closed is none: so its own end is waited for
        session.send_close_notify();
        _ = rustls::Stream::new(&mut session, &mut socket).read(&mut [0]);
    }
    witness.seen.lock().ok()?.take()
}

/// Keeps the certificate that a server shows, whatever is thought of it, and judges it as ever.
#[derive(Debug)]
struct Witness {
    judge: Arc<WebPkiServerVerifier>,
    seen: Mutex<Option<Vec<u8>>>,
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        own: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if let Ok(mut seen) = self.seen.lock() {
            *seen = Some(own.to_vec());
        }
        self.judge.verify_server_cert(own, chain, name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.judge.verify_tls12_signature(message, cert, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.judge.verify_tls13_signature(message, cert, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.judge.supported_verify_schemes()
    }
}

fn open(
    config: ClientConfig,
    url: &str,
    patience: Duration,
) -> Option<(ClientConnection, TcpStream)> {
    let (host, port) = host_and_port(url);
    let address = (host.as_str(), port.unwrap_or(443)).to_socket_addrs().ok()?.next()?;
    let socket = TcpStream::connect_timeout(&address, patience).ok()?;
    socket.set_read_timeout(Some(patience)).ok()?;
    socket.set_write_timeout(Some(patience)).ok()?;
    let name = ServerName::try_from(host).ok()?;
    Some((ClientConnection::new(Arc::new(config), name).ok()?, socket))
}

/// Only what TLS itself says: that nothing came in time says nothing.
fn said(error: &std::io::Error) -> Option<String> {
    let inner = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    Some(inner.to_string())
}

/// Who trusts the authority given, and nobody else.
fn judge(tls: &Tls) -> Option<Arc<WebPkiServerVerifier>> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(CertificateDer::pem_slice_iter(&tls.ca).flatten());
    let provider = Arc::new(ring::default_provider());
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().ok()
}

fn config(tls: &Tls, judge: Arc<dyn ServerCertVerifier>) -> Option<ClientConfig> {
    let own: Vec<CertificateDer> = CertificateDer::pem_slice_iter(&tls.cert).flatten().collect();
    let key = PrivateKeyDer::from_pem_slice(&tls.key).ok()?;
    let provider = Arc::new(ring::default_provider());
    let config =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.ok()?.dangerous().with_custom_certificate_verifier(judge);
    config.with_client_auth_cert(own, key).ok()
}
