//! The calls that only this module makes, each to one endpoint.

use etcd_client::{Client, CompactionOptions, GetOptions};
use etcd_cluster::{
    Connection,
    client::within,
    fault::{Fault, Kind},
};
use std::time::Duration;

/// A read, or a compaction that need not be waited for.
const PER_CALL: Duration = Duration::from_secs(10);

/// A connection to one member.
#[derive(Clone)]
pub struct Direct(Client);

impl From<&Connection> for Direct {
    fn from(connection: &Connection) -> Self {
        Self(connection.client())
    }
}

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
