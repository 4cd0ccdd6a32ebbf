//! The calls around the lock. Each write is under the resourceVersion that was read: of two that decide on the same reading, one is told so.

use crate::{
    Claim, Cluster, Error, Holder, Seen,
    call::{Answer, Bare},
    lock::LockObject,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Where the lock lies.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LockName {
    /// Namespace.
    pub namespace: String,
    /// Name of the Lease.
    pub name: String,
}

impl Default for LockName {
    fn default() -> Self {
        Self { namespace: "kube-system".into(), name: "quorate-control-plane".into() }
    }
}

impl std::fmt::Display for LockName {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl LockName {
    fn all(&self) -> String {
        format!("/apis/coordination.k8s.io/v1/namespaces/{}/leases", self.namespace)
    }

    fn path(&self) -> String {
        format!("{}/{}", self.all(), self.name)
    }
}

/// What became of a write.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Written {
    /// It is as written.
    Done,
    /// Somebody else wrote first: read again.
    Outrun,
}

impl Cluster {
    /// Reads the lock and the server's clock.
    pub async fn lock(&self, name: &LockName) -> Result<Seen, Error> {
        let path = name.path();
        let (lock, date) = match self.get_dated::<LockObject>(&path).await {
            Ok(Answer { value, date }) => (Some(value.value()), date),
            // An error has no clock of its own here; the namespace is there for certain.
            Err(Error::NotFound { .. }) => {
                let namespace = format!("/api/v1/namespaces/{}", name.namespace);
                (None, self.get_dated::<Bare>(&namespace).await?.date)
            }
            Err(error) => return Err(error),
        };
        let why = || "it carries no date, by which leases are judged".to_owned();
        let date =
            date.ok_or_else(|| Error::Garbled { call: format!("GET {path}"), why: why() })?;
        Ok(Seen { lock, date })
    }

    /// Makes the claim, on a lock that is free or that the caller decided to take over. Resuming keeps the record.
    pub async fn take_lock(
        &self,
        name: &LockName,
        seen: &Seen,
        claim: &Claim,
        record: &BTreeMap<String, String>,
    ) -> Result<Written, Error> {
        if seen.lock.is_some() {
            return self.write_lock(name, &seen.taken(claim, record)).await;
        }
        let mut object = seen.created(claim, record);
        if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.insert("name".into(), name.name.as_str().into());
            metadata.insert("labels".into(), json!({"app.kubernetes.io/managed-by": "quorate"}));
        }
        written(self.post::<Bare>(&name.all(), &object).await)
    }

    /// Proves the holder alive and adds facts to the record. Of the caller that it is still the holder is asked before, see [`Seen::held_by`].
    pub async fn renew_lock(
        &self,
        name: &LockName,
        seen: &Seen,
        record: &BTreeMap<String, String>,
    ) -> Result<Written, Error> {
        self.write_lock(name, &seen.renewed(record)).await
    }

    /// Frees the lock and closes the record; `word` says how, in the line that is kept for people. Another run than the holder ousts it.
    pub async fn release_lock(
        &self,
        name: &LockName,
        seen: &Seen,
        by: &Holder,
        word: &str,
    ) -> Result<Written, Error> {
        self.write_lock(name, &seen.released(by, word)).await
    }

    async fn write_lock(&self, name: &LockName, part: &Value) -> Result<Written, Error> {
        written(self.merge::<Bare>(&name.path(), part).await)
    }
}

fn written(answer: Result<Bare, Error>) -> Result<Written, Error> {
    match answer {
        Ok(_) => Ok(Written::Done),
        Err(Error::Conflict { .. } | Error::NotFound { .. }) => Ok(Written::Outrun),
        Err(error) => Err(error),
    }
}
