//! Certificates, good ones and bad.

use super::Etcd;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, date_time_ymd,
};
use std::{
    fs,
    path::PathBuf,
    time::{Duration, SystemTime},
};

/// What is wrong with a certificate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flaw {
    /// Its time is over.
    Expired,
    /// Five days are left of the year that it lives.
    EndsSoon,
    /// It is for servers only.
    NotForClients,
    /// Another authority signed it.
    OtherAuthority,
}

impl Etcd {
    /// Makes one more client or server certificate; returns the paths of certificate and key. One of that name is replaced, which etcd
    /// notices at the next connection.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn issue(&self, name: &str, addresses: &[String]) -> anyhow::Result<(PathBuf, PathBuf)> {
        self.write_certificate(name, addresses, None)
    }

    /// The same with something wrong with it.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn issue_flawed(
        &self,
        name: &str,
        addresses: &[String],
        flaw: Flaw,
    ) -> anyhow::Result<(PathBuf, PathBuf)> {
        self.write_certificate(name, addresses, Some(flaw))
    }

    fn write_certificate(
        &self,
        name: &str,
        addresses: &[String],
        flaw: Option<Flaw>,
    ) -> anyhow::Result<(PathBuf, PathBuf)> {
        let (key, mut params) = (KeyPair::generate()?, CertificateParams::new(addresses.to_vec())?);
        params.distinguished_name.push(DnType::CommonName, name);
        match flaw {
            Some(Flaw::Expired) => {
                params.not_before = date_time_ymd(2020, 1, 1);
                params.not_after = date_time_ymd(2021, 1, 1);
            }
            Some(Flaw::EndsSoon) => {
                let days = |count: u64| Duration::from_secs(count * 86_400);
                let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
                let now = date_time_ymd(1970, 1, 1) + now;
                params.not_before = now - days(360);
                // and half a day: whole days are told
                params.not_after = now + days(11) / 2;
            }
            Some(Flaw::NotForClients) => {
                params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
            }
            Some(Flaw::OtherAuthority) | None => {}
        }
        let signed = if flaw == Some(Flaw::OtherAuthority) {
            params.signed_by(&key, &*authority()?)?
        } else {
            params.signed_by(&key, &self.issuer)?
        };
        let (cert_at, key_at) =
            (self.pki().join(format!("{name}.crt")), self.pki().join(format!("{name}.key")));
        fs::write(&cert_at, signed.pem())?;
        fs::write(&key_at, key.serialize_pem())?;
        Ok((cert_at, key_at))
    }
}

pub(super) fn authority() -> anyhow::Result<CertifiedIssuer<'static, KeyPair>> {
    let mut params = CertificateParams::new(vec![])?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "etcd-ca");
    Ok(CertifiedIssuer::self_signed(params, KeyPair::generate()?)?)
}
