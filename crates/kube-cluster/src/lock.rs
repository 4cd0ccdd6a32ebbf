//! The lock of a control-plane operation, and the record of the operation, as one Lease.
//!
//! The Lease says who works on the control plane; its annotations say at what, so that a run that was killed can be resumed by the next and an
//! operator reads the whole with `kubectl get lease -n kube-system quorate-control-plane -o yaml`.

use crate::{Holder, Timestamp, call::Meta};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::{collections::BTreeMap, time::Duration};

const OPERATION: &str = "quorate.io/operation";
const TARGET: &str = "quorate.io/target";
const ACQUIRED: &str = "quorate.io/acquired";
const TAKEN_OVER_FROM: &str = "quorate.io/taken-over-from";
const ABOUT: &str = "quorate.io/about";
const OUSTED: &str = "quorate.io/ousted";
const LAST: &str = "quorate.io/last-operation";
const RECORD: &str = "record.quorate.io/";
/// Runs that are remembered to have lost the lock. One that was paused wakes up before that many others were.
const REMEMBERED: usize = 8;

/// The Lease as a value.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Lock {
    /// Tells it from an earlier or later Lease of the same name.
    pub uid: String,
    /// The version that was read; every write is under it.
    pub resource_version: String,
    /// Who holds it; nobody when it is free.
    pub holder: Option<Holder>,
    /// When the holder last proved itself, by an apiserver's clock.
    pub renewed: Option<Timestamp>,
    /// How long after that it may count on the lock.
    pub duration: Duration,
    /// How often it changed hands.
    pub transitions: u32,
    /// The operation that is under way; open until it is released.
    pub operation: Option<Operation>,
    /// The operation before, for people.
    pub last: Option<String>,
    /// Runs that the lock was taken from. One of them may have been paused: it must not take a lock that is free again for its own, because what it
    /// saw before is not so any more.
    pub ousted: Vec<Holder>,
}

/// The operation under way.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Operation {
    /// What is done: `replace`.
    pub name: String,
    /// What it is done to: the Node's name.
    pub target: String,
    /// When it began; whoever resumes it keeps this.
    pub acquired: String,
    /// Whom it was last taken over from.
    pub taken_over_from: Option<Holder>,
    /// Facts that cannot be observed any more once a step is done: the old member's id, the old Node's UID, the condemned volume.
    pub record: BTreeMap<String, String>,
}

/// What a run wants of the lock.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Claim {
    /// Who it is.
    pub holder: Holder,
    /// What is to be done.
    pub operation: String,
    /// What it is to be done to.
    pub target: String,
    /// How long it may count on the lock without proving itself.
    pub duration: Duration,
}

/// One reading of the lock.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Seen {
    /// The lock; none when there is no Lease.
    pub lock: Option<Lock>,
    /// The server's clock.
    pub date: Timestamp,
}

impl Operation {
    /// Whether a claim is for the same thing, so that it resumes this operation.
    pub fn is_resumed_by(&self, claim: &Claim) -> bool {
        self.name == claim.operation && self.target == claim.target
    }
}

impl Seen {
    /// How long ago the holder last proved itself, by the servers' clocks.
    pub fn age(&self) -> Option<Duration> {
        let renewed = self.lock.as_ref()?.renewed?;
        Some(self.date.duration_since(renewed).try_into().unwrap_or_default())
    }

    /// Whether the holder itself may no longer count on the lock. For others this is no reason to take it: they judge by their own clock.
    pub fn is_expired(&self) -> bool {
        let duration = self.lock.as_ref().map(|lock| lock.duration).unwrap_or_default();
        self.age().is_none_or(|age| age > duration)
    }

    /// Who holds the lock.
    pub fn holder(&self) -> Option<&Holder> {
        self.lock.as_ref()?.holder.as_ref()
    }

    /// The operation under way.
    pub fn operation(&self) -> Option<&Operation> {
        self.lock.as_ref()?.operation.as_ref()
    }

    /// Whether this holder may still count on the lock.
    ///
    /// # Errors
    /// Why not, in words.
    pub fn held_by(&self, holder: &Holder) -> Result<&Lock, String> {
        let Some(lock) = &self.lock else { return Err("there is no such lock any more".into()) };
        match &lock.holder {
            None => Err("it was released".into()),
            Some(other) if other != holder => {
                let since = self.operation().map(|operation| {
                    format!(", for operation {:?} on {:?}", operation.name, operation.target)
                });
                Err(format!("{other} holds it{}", since.unwrap_or_default()))
            }
            Some(_) if self.is_expired() => Err(format!(
                "it was last renewed {} s ago and holds for {} s: this run was paused for too long",
                self.age().unwrap_or_default().as_secs(),
                lock.duration.as_secs()
            )),
            Some(_) => Ok(lock),
        }
    }

    /// The Lease that makes the claim, where there is none yet.
    pub(crate) fn created(&self, claim: &Claim, record: &BTreeMap<String, String>) -> Value {
        let mut part = self.taken(claim, record);
        if let Some(annotations) =
            part.pointer_mut("/metadata/annotations").and_then(Value::as_object_mut)
        {
            annotations.retain(|_, value| !value.is_null());
        }
        part
    }

    /// The part of the Lease that makes the claim. An operation it resumes keeps its beginning and its record.
    pub(crate) fn taken(&self, claim: &Claim, record: &BTreeMap<String, String>) -> Value {
        let open = self.operation();
        let resumed = open.filter(|operation| operation.is_resumed_by(claim));
        let begun =
            resumed.map_or_else(|| self.date.to_string(), |operation| operation.acquired.clone());
        let from = resumed.and(self.holder()).filter(|holder| **holder != claim.holder);
        let Claim { holder, operation, target, duration } = claim;
        let about = format!(
            "{operation} of {target}, begun {begun}, by {holder}{}; run the same again to resume it; to give it up: control_plane_lock with state=released and abandon=true",
            from.map(|other| format!(", who took it over from {other}")).unwrap_or_default()
        );
        let mut annotations = Map::new();
        if resumed.is_none() {
            let stale = open.iter().flat_map(|operation| operation.record.keys());
            annotations.extend(stale.map(|key| (format!("{RECORD}{key}"), Value::Null)));
        }
        annotations.extend(recorded(record));
        annotations.insert(OPERATION.into(), operation.as_str().into());
        annotations.insert(TARGET.into(), target.as_str().into());
        annotations.insert(ACQUIRED.into(), begun.into());
        annotations.insert(ABOUT.into(), about.into());
        annotations.insert(TAKEN_OVER_FROM.into(), from.map(Holder::as_str).into());
        annotations.extend(self.ousting(holder));
        let transitions = self.lock.as_ref().map_or(0, |lock| lock.transitions.saturating_add(1));
        let now = micro(self.date);
        let spec = json!({"holderIdentity": holder.as_str(), "acquireTime": now, "renewTime": now,
            "leaseDurationSeconds": duration.as_secs(), "leaseTransitions": transitions});
        self.part(&annotations, &spec)
    }

    /// The part that proves the holder alive and adds facts to the record.
    pub(crate) fn renewed(&self, record: &BTreeMap<String, String>) -> Value {
        self.part(&recorded(record), &json!({"renewTime": micro(self.date)}))
    }

    /// The part that frees the lock and closes the record, of which one line is kept for people.
    pub(crate) fn released(&self, by: &Holder, word: &str) -> Value {
        let mut annotations = self.ousting(by);
        if let Some(open) = self.operation() {
            let keys = [OPERATION, TARGET, ACQUIRED, TAKEN_OVER_FROM, ABOUT].map(str::to_owned);
            let facts = open.record.keys().map(|key| format!("{RECORD}{key}"));
            annotations.extend(keys.into_iter().chain(facts).map(|key| (key, Value::Null)));
            let holder = self.holder().map(|holder| format!(" by {holder}")).unwrap_or_default();
            let (Operation { name, target, acquired, .. }, end) = (open, self.date);
            annotations.insert(
                LAST.into(),
                format!("{name} of {target}, begun {acquired}, {word} {end}{holder}").into(),
            );
        }
        self.part(&annotations, &json!({"holderIdentity": null, "renewTime": micro(self.date)}))
    }

    /// A run that loses the lock to another is remembered. Only the name of a process is nobody else's later on.
    fn ousting(&self, by: &Holder) -> Map<String, Value> {
        let lost = self.holder().filter(|holder| *holder != by && holder.process().is_some());
        let known =
            self.lock.iter().flat_map(|lock| &lock.ousted).filter(|known| Some(*known) != lost);
        let all: Vec<_> = known.chain(lost).map(Holder::as_str).collect();
        let recent = all.iter().skip(all.len().saturating_sub(REMEMBERED)).copied();
        let text = recent.collect::<Vec<_>>().join(" ");
        lost.map(|_| (OUSTED.to_owned(), text.into())).into_iter().collect()
    }

    /// The resourceVersion is the precondition that makes two writers one after the other.
    fn part(&self, annotations: &Map<String, Value>, spec: &Value) -> Value {
        let mut metadata = json!({"annotations": annotations});
        if let (Some(lock), Some(metadata)) = (&self.lock, metadata.as_object_mut()) {
            metadata.insert("uid".into(), lock.uid.as_str().into());
            metadata.insert("resourceVersion".into(), lock.resource_version.as_str().into());
        }
        json!({"metadata": metadata, "spec": spec})
    }
}

fn recorded(record: &BTreeMap<String, String>) -> Map<String, Value> {
    record.iter().map(|(key, value)| (format!("{RECORD}{key}"), value.as_str().into())).collect()
}

/// The form the API demands of a `MicroTime`.
fn micro(time: Timestamp) -> String {
    format!("{time:.6}")
}

/// What is read of a Lease.
#[derive(Deserialize)]
pub(crate) struct LockObject {
    metadata: Meta,
    #[serde(default)]
    spec: LockSpec,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct LockSpec {
    holder_identity: Option<String>,
    renew_time: Option<String>,
    lease_duration_seconds: u64,
    lease_transitions: u32,
}

impl LockObject {
    pub(crate) fn value(self) -> Lock {
        let Self { metadata, spec } = self;
        let note = |key: &str| metadata.annotations.get(key).cloned();
        let facts = metadata
            .annotations
            .iter()
            .filter_map(|(key, value)| Some((key.strip_prefix(RECORD)?.to_owned(), value.clone())));
        let operation = note(OPERATION).map(|name| Operation {
            name,
            target: note(TARGET).unwrap_or_default(),
            acquired: note(ACQUIRED).unwrap_or_default(),
            taken_over_from: note(TAKEN_OVER_FROM).map(Holder::new),
            record: facts.collect(),
        });
        Lock {
            operation,
            last: note(LAST),
            ousted: note(OUSTED)
                .iter()
                .flat_map(|text| text.split_whitespace())
                .map(Holder::new)
                .collect(),
            uid: metadata.uid,
            resource_version: metadata.resource_version,
            holder: spec.holder_identity.filter(|holder| !holder.is_empty()).map(Holder::new),
            renewed: spec.renew_time.and_then(|time| time.parse().ok()),
            duration: Duration::from_secs(spec.lease_duration_seconds),
            transitions: spec.lease_transitions,
        }
    }
}

#[cfg(test)]
mod tests;
