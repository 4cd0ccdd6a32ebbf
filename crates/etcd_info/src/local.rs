//! What this host itself shows of its member, for when no endpoint tells anything: units, etcd's own word on its health, its data.

use etcd_cluster::http;
use host::{file, systemd};
use serde::{Deserialize, Serialize};
use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

/// What runs an etcd member: itself, k3s, RKE2, or the kubelet through a static pod.
const UNITS: [&str; 4] = ["etcd.service", "k3s.service", "rke2-server.service", "kubelet.service"];
/// Where members keep their data: kubeadm and plain etcd, k3s, RKE2.
const DATA: [&str; 3] =
    ["var/lib/etcd", "var/lib/rancher/k3s/server/db/etcd", "var/lib/rancher/rke2/server/db/etcd"];
const MANIFEST: &str = "etc/kubernetes/manifests/etcd.yaml";

/// What was found on this host.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Local {
    /// Units that could run a member, those that are there.
    pub units: Vec<Unit>,
    /// Whether the static pod of kubeadm is to run.
    pub manifest: bool,
    /// What etcd says of its own health at its listener for metrics: `true`, or the reason against it.
    pub health: Option<String>,
    /// Its data.
    pub data: Option<Data>,
}

/// One unit.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Unit {
    /// With its suffix.
    pub name: String,
    /// `active`, `activating`, `failed` and so on.
    pub active: String,
    /// Finer: `running`, `auto-restart`, `start`.
    pub sub: String,
    /// How its last run ended.
    pub result: String,
    /// How often it was restarted by itself.
    pub restarts: u32,
}

/// The data of a member.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Data {
    /// Where it lies.
    pub path: String,
    /// There is a log and a database in it.
    pub member: bool,
    /// The name that k3s gave its member.
    pub name: Option<String>,
    /// k3s: its member was removed from the cluster while it ran.
    pub tombstone: bool,
    /// k3s: its membership was reset to itself alone.
    pub was_reset: bool,
    /// Bytes of the database.
    pub db_size: u64,
    /// How many seconds ago its log was written last.
    pub written_s_ago: Option<u64>,
}

impl Local {
    /// Looks at a host, none when it shows no trace of etcd.
    pub async fn read(root: &Path, now: SystemTime) -> Option<Self> {
        let mut found = Self {
            manifest: file::exists(root.join(MANIFEST)).unwrap_or(false),
            data: DATA.iter().find_map(|dir| data(root, dir, now)),
            ..Self::default()
        };
        if !found.manifest && found.data.is_none() {
            return None;
        }
        for name in UNITS {
            if let Ok(Some(unit)) = systemd::unit(name).await {
                found.units.push(Unit {
                    name: unit.name,
                    active: format!("{:?}", unit.active).to_lowercase(),
                    sub: unit.sub,
                    result: unit.result,
                    restarts: unit.restarts,
                });
            }
        }
        found.health = health().await;
        Some(found)
    }
}

/// The listener has no TLS and answers also without a leader; k3s opens it before it listens to clients.
async fn health() -> Option<String> {
    let ask = || http::get(None, &format!("{}/health", http::LOCAL), Duration::from_secs(2));
    let answer = tokio::task::spawn_blocking(ask).await.ok()?.ok()?;
    Some(reason(&answer.text))
}

/// Reads `{"health":"false","reason":"RAFT NO LEADER"}`.
pub fn reason(text: &str) -> String {
    let json: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
    let word = |key: &str| json.get(key).and_then(|value| value.as_str()).unwrap_or_default();
    match (word("health"), word("reason")) {
        ("true", _) => "true".to_owned(),
        (_, "") => "false".to_owned(),
        (_, reason) => reason.to_owned(),
    }
}

fn data(root: &Path, dir: &str, now: SystemTime) -> Option<Data> {
    let path = root.join(dir);
    path.is_dir().then_some(())?;
    let there = |name: &str| path.join(name).exists();
    let size = |name: &str| fs::metadata(path.join(name)).map_or(0, |about| about.len());
    Some(Data {
        path: path.display().to_string(),
        member: there("member"),
        name: file::read_text(path.join("name")).ok().flatten().map(|name| name.trim().to_owned()),
        tombstone: there("tombstone"),
        was_reset: path.parent().is_some_and(|db| db.join("reset-flag").exists()),
        db_size: size("member/snap/db"),
        written_s_ago: newest(&path.join("member/wal"), now),
    })
}

/// The file names in a log end in `.wal`; a temporary one is made ahead of need and says nothing.
fn newest(wal: &Path, now: SystemTime) -> Option<u64> {
    let logs = fs::read_dir(wal).ok()?.flatten().map(|entry| entry.path());
    let written = |path: PathBuf| fs::metadata(path).and_then(|about| about.modified()).ok();
    let newest = logs.filter(|path| path.extension().is_some_and(|end| end == "wal"));
    let age = now.duration_since(newest.filter_map(written).max()?).unwrap_or_default();
    Some(age.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn etcds_own_word_on_its_health_is_read() {
        assert_eq!(reason(r#"{"health":"false","reason":"RAFT NO LEADER"}"#), "RAFT NO LEADER");
        assert_eq!(reason(r#"{"health":"true","reason":""}"#), "true");
        assert_eq!(reason(r#"{"health":"true"}"#), "true");
        assert_eq!(reason("404 page not found"), "false");
    }

    #[test]
    fn the_data_of_a_removed_k3s_server_is_told_from_that_of_a_member() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("var/lib/rancher/k3s/server/db/etcd");
        assert_eq!(
            data(root.path(), "var/lib/rancher/k3s/server/db/etcd", SystemTime::now()),
            None
        );
        fs::create_dir_all(dir.join("member/wal")).unwrap();
        fs::create_dir_all(dir.join("member/snap")).unwrap();
        fs::write(dir.join("member/snap/db"), [0; 4096]).unwrap();
        fs::write(dir.join("member/wal/0000000000000000-0000000000000000.wal"), "").unwrap();
        fs::write(dir.join("name"), "s2-f4f55cbd\n").unwrap();
        fs::write(dir.join("tombstone"), "").unwrap();
        let later = SystemTime::now() + Duration::from_secs(90);
        let found = data(root.path(), "var/lib/rancher/k3s/server/db/etcd", later).unwrap();
        assert!(found.member && found.tombstone && !found.was_reset, "{found:?}");
        assert_eq!((found.name.as_deref(), found.db_size), (Some("s2-f4f55cbd"), 4096));
        assert!(found.written_s_ago >= Some(89), "{found:?}");
    }
}
