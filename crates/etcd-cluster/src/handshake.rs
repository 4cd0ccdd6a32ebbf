//! Why a server closed a connection right after its handshake.
//!
//! In TLS 1.3 a server judges the client's certificate after the client has finished its part of the handshake. gRPC has begun to send by
//! then, and sees a connection that ends; the alert that says why is lost. Here nothing is sent after the handshake, and the alert is read.

use crate::{certs::Tls, matching::host_and_port};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};
use std::{
    io::{Read, Write},
    net::{TcpStream, ToSocketAddrs},
    sync::Arc,
    time::Duration,
};

/// Tells what a server says when the handshake is over, none when it says nothing. Blocks.
pub(crate) fn last_word(tls: &Tls, url: &str, patience: Duration) -> Option<String> {
    let (host, port) = host_and_port(url);
    let address = (host.as_str(), port.unwrap_or(443)).to_socket_addrs().ok()?.next()?;
    let mut socket = TcpStream::connect_timeout(&address, patience).ok()?;
    socket.set_read_timeout(Some(patience)).ok()?;
    socket.set_write_timeout(Some(patience)).ok()?;
    let name = ServerName::try_from(host).ok()?;
    let mut session = ClientConnection::new(Arc::new(config(tls)?), name).ok()?;
    // an alert may come in the handshake, or right after it
    while session.is_handshaking() {
        if let Err(error) = session.complete_io(&mut socket) {
            return said(&error);
        }
    }
    socket.flush().ok()?;
    rustls::Stream::new(&mut session, &mut socket).read(&mut [0]).err().as_ref().and_then(said)
}

/// Only what TLS itself says: that nothing came in time says nothing.
fn said(error: &std::io::Error) -> Option<String> {
    let inner = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    Some(inner.to_string())
}

fn config(tls: &Tls) -> Option<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(CertificateDer::pem_slice_iter(&tls.ca).flatten());
    let own: Vec<CertificateDer> = CertificateDer::pem_slice_iter(&tls.cert).flatten().collect();
    let key = PrivateKeyDer::from_pem_slice(&tls.key).ok()?;
    let provider = Arc::new(ring::default_provider());
    let config =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    config.ok()?.with_root_certificates(roots).with_client_auth_cert(own, key).ok()
}
