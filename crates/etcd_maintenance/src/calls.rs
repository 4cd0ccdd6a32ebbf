//! The calls that only this module makes, each to one endpoint.

use anyhow::{Context, Result};
use etcd_client::{
    Certificate, Client, CompactionOptions, ConnectOptions, GetOptions, Identity, TlsOptions,
};
use etcd_cluster::{
    certs::Files,
    fault::{Fault, Kind},
};
use std::{
    fs,
    future::Future,
    path::{Path, PathBuf},
    time::Duration,
};

/// A read, or a compaction that need not be waited for.
const PER_CALL: Duration = Duration::from_secs(10);

/// What an endpoint over TLS is reached with.
pub struct Door(Option<TlsOptions>);

impl Door {
    /// Reads the certificates where an endpoint needs them.
    pub fn open(endpoints: &[String], [ca, cert, key]: &[Option<PathBuf>; 3]) -> Result<Self> {
        if !endpoints.iter().any(|url| url.starts_with("https://")) {
            return Ok(Self(None));
        }
        let (ca, cert, key) = (ca.as_deref(), cert.as_deref(), key.as_deref());
        let files = Files::find(Path::new("/"), ca, cert, key)?;
        let read =
            |path: &PathBuf| fs::read(path).with_context(|| format!("read {}", path.display()));
        let identity = Identity::from_pem(read(&files.cert)?, read(&files.key)?);
        let authority = Certificate::from_pem(read(&files.ca)?);
        Ok(Self(Some(TlsOptions::new().ca_certificate(authority).identity(identity))))
    }

    /// Prepares a connection. Nothing is sent.
    pub async fn to(&self, url: &str) -> Result<Direct, Fault> {
        let options = ConnectOptions::new().with_connect_timeout(Duration::from_secs(2));
        let options = match &self.0 {
            Some(tls) if url.starts_with("https://") => options.with_tls(tls.clone()),
            _ => options,
        };
        Ok(Direct(Box::pin(Client::connect([url], Some(options))).await?))
    }
}

/// A connection to one member.
#[derive(Clone)]
pub struct Direct(Client);

/// What of a revision can be read.
pub enum Past {
    /// These values.
    Values(Vec<Vec<u8>>),
    /// It is compacted.
    Compacted,
}

impl Direct {
    /// Drops what is older than a revision, and waits until this member has freed it. What is dropped already is no error.
    pub async fn compact(&self, revision: i64, patience: Duration) -> Result<(), Fault> {
        let options = CompactionOptions::new().with_physical();
        let mut client = self.0.kv_client();
        match within(patience, "compact", client.compact(revision, Some(options))).await {
            Err(fault) if fault.kind == Kind::Compacted => Ok(()),
            other => other.map(|_| ()),
        }
    }

    /// Writes the file of this member anew. It serves nothing until that is done, also when the call is given up.
    pub async fn defragment(&self, patience: Duration) -> Result<(), Fault> {
        within(patience, "defragment", self.0.maintenance_client().defragment()).await.map(|_| ())
    }

    /// Reads the first values below a prefix as they were at a revision.
    pub async fn past(&self, prefix: &str, revision: i64, limit: i64) -> Result<Past, Fault> {
        let options = GetOptions::new().with_prefix().with_revision(revision).with_limit(limit);
        let mut client = self.0.kv_client();
        match within(PER_CALL, "read", client.get(prefix, Some(options))).await {
            Ok(answer) => {
                Ok(Past::Values(answer.kvs().iter().map(|kv| kv.value().to_vec()).collect()))
            }
            Err(fault) if fault.kind == Kind::Compacted => Ok(Past::Compacted),
            Err(fault) => Err(fault),
        }
    }
}

async fn within<T>(
    patience: Duration,
    name: &str,
    call: impl Future<Output = Result<T, etcd_client::Error>>,
) -> Result<T, Fault> {
    match tokio::time::timeout(patience, call).await {
        Ok(answer) => answer.map_err(Fault::from),
        Err(_) => Err(Fault::deadline(name, patience.as_secs_f32())),
    }
}
