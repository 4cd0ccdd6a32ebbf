//! What is written beside a snapshot: what somebody who restores it has to know, and cannot ask the cluster any more.

use etcd_cluster::fault::Fault;
use etcd_cluster::reading::Reading;
use etcd_cluster::{Connection, Member, MemberId};

use crate::state::{About, HashKv, Listed};

/// k3s keeps its bootstrap data below this, encrypted with the server token, under the first 12 digits of the token's SHA-256
/// (`pkg/cluster/encrypt.go`, `storageKey`).
const BOOTSTRAP: &[u8] = b"/bootstrap/";
const AFTER_BOOTSTRAP: &[u8] = b"/bootstrap0";
/// A token that was rotated leaves its own.
const TOKENS: usize = 8;

/// What one reading tells, before the snapshot is begun.
pub fn about(reading: &Reading, id: MemberId) -> About {
    let listed = |member: &Member| Listed {
        id: member.id,
        name: member.name.clone(),
        learner: !member.is_voter(),
        peer_urls: member.peer_urls.clone(),
        version: reading.status(member.id).map(|s| s.version.clone()).unwrap_or_default(),
    };
    let hash = reading.answers.get(&id).and_then(|answer| answer.hash);
    let hashkv = reading.hashed_at.zip(hash).map(|(revision, hash)| HashKv {
        revision,
        compact_revision: hash.compact_revision,
        hash: hash.hash,
    });
    About {
        cluster_id: reading.cluster_id,
        member_id: id,
        member: reading.member(id).map(|member| member.name.clone()).unwrap_or_default(),
        members: reading.members.iter().map(listed).collect(),
        hashkv,
        ..About::default()
    }
}

/// The fingerprints of the tokens, by the names of keys alone: no value is read.
pub async fn k3s_tokens(member: &Connection) -> Result<Vec<String>, Fault> {
    let (mut found, mut at) = (vec![], BOOTSTRAP.to_vec());
    while found.len() < TOKENS {
        let Some(key) = member.first_key(&at, AFTER_BOOTSTRAP).await? else { break };
        let name = String::from_utf8_lossy(key.get(BOOTSTRAP.len()..).unwrap_or_default());
        let is_fingerprint = name.len() == 12 && name.bytes().all(|b| b.is_ascii_hexdigit());
        found.extend(is_fingerprint.then(|| name.into_owned()));
        at = [key.as_slice(), &[0]].concat();
    }
    Ok(found)
}
