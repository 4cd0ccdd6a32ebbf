//! How the API's certificate is verified.

use crate::Error;
use std::{env, fs, path::PathBuf};
use ureq::tls::{PemItem, RootCerts, TlsConfig, TlsProvider, parse_pem};

/// Where distributions keep the certificates they trust.
const SYSTEM: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Against one authority, against the system's, or not at all.
pub fn config(ca: Option<&PathBuf>, verify: bool) -> Result<TlsConfig, Error> {
    let builder = TlsConfig::builder().provider(TlsProvider::Rustls);
    if !verify {
        // Without roots ureq would look for a set that is not compiled in.
        return Ok(builder.root_certs(RootCerts::from([])).disable_verification(true).build());
    }
    let path = ca.cloned().or_else(system).ok_or_else(|| {
        Error::Setup("find no certificates that this machine trusts; give ca_path (/etc/pve/pve-root-ca.pem of the node)".into())
    })?;
    let pem = fs::read(&path).map_err(|error| {
        Error::Setup(format!("read the certificate authority {}: {error}", path.display()))
    })?;
    let certificates: Vec<_> = parse_pem(&pem)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    if certificates.is_empty() {
        return Err(Error::Setup(format!(
            "find a certificate in {}: it holds none in PEM form",
            path.display()
        )));
    }
    Ok(builder.root_certs(RootCerts::from(certificates)).build())
}

fn system() -> Option<PathBuf> {
    let named = env::var_os("SSL_CERT_FILE").map(PathBuf::from);
    named.into_iter().chain(SYSTEM.map(PathBuf::from)).find(|path| path.is_file())
}
