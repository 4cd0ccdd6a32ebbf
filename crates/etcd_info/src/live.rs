//! The calls: one reading.

use crate::{args::Wanted, state::Observed};
use anyhow::Context;
use etcd_cluster::{Access, Cluster};
use std::time::SystemTime;

/// An open cluster.
pub struct Live(Cluster);

impl Live {
    /// Reads the certificates. Nothing is sent.
    pub fn open(wanted: &Wanted) -> anyhow::Result<Self> {
        let access =
            Access::for_endpoints(&wanted.endpoints, &wanted.files).context("reach etcd")?;
        Ok(Self(Cluster::new(access, &wanted.endpoints)))
    }

    /// Reads the cluster once.
    pub async fn observe(&mut self, wanted: &Wanted) -> anyhow::Result<Observed> {
        let reading = self.0.read(wanted.hashkv).await.context("read the etcd cluster")?;
        Ok(Observed::of(wanted, reading, SystemTime::now()))
    }
}
