//! Certificates of one cluster.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// An authority, and where its certificates lie.
pub struct Pki {
    dir: PathBuf,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Pki {
    /// Makes an authority and a client's certificate.
    pub fn new(dir: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(dir)?;
        let mut params = CertificateParams::new(vec![])?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "etcd-ca");
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        let own = Self { dir: dir.to_owned(), issuer };
        fs::write(own.ca(), own.issuer.pem())?;
        own.issue("client", &[])?;
        Ok(own)
    }

    /// Makes a certificate for servers and clients.
    pub fn issue(&self, name: &str, addresses: &[String]) -> anyhow::Result<()> {
        let mut params = CertificateParams::new(addresses.to_vec())?;
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate()?;
        fs::write(self.cert(name), params.signed_by(&key, &self.issuer)?.pem())?;
        Ok(fs::write(self.key(name), key.serialize_pem())?)
    }

    /// The directory of all of them.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The authority's certificate.
    pub fn ca(&self) -> PathBuf {
        self.dir.join("ca.crt")
    }

    /// A certificate.
    pub fn cert(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.crt"))
    }

    /// Its key.
    pub fn key(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.key"))
    }
}
