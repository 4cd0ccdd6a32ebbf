//! What each etcd member says of itself and of the others, as it changes.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use etcd_client::{Certificate, Client, ConnectOptions, GetOptions, Identity, TlsOptions};
use hyper::Uri;
use tokio::time::timeout;

use crate::event::{Event, Member, Role};
use crate::journal::Journal;

const EVERY: Duration = Duration::from_millis(500);
/// A member that takes longer is silent: a healthy one answers within milliseconds, on a busy machine within a second.
const ANSWER: Duration = Duration::from_secs(2);

/// The members' addresses and the certificates to use there.
#[derive(Clone, Debug, Default)]
pub struct Endpoints {
    /// Client URLs.
    pub urls: Vec<String>,
    /// The authority's certificate.
    pub ca: PathBuf,
    /// The client's certificate.
    pub cert: PathBuf,
    /// The client's key.
    pub key: PathBuf,
}

/// One member's own endpoint.
#[derive(Clone)]
pub struct Endpoint {
    /// Its URL.
    pub url: String,
    client: Client,
}

/// One reading of one endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The endpoint's host.
    pub host: String,
    /// What it says of itself: id, leader, learner. `None` when it does not answer.
    pub own: Option<(u64, u64, bool)>,
    /// The member list as it shows it.
    pub list: Vec<Listed>,
}

/// A member in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its id.
    pub id: u64,
    /// Its name; empty while it has not started yet.
    pub name: String,
    /// It does not vote.
    pub learner: bool,
    /// The hosts of its peer URLs.
    pub hosts: Vec<String>,
}

impl Endpoints {
    /// Makes a client for each endpoint; connections come about at the first call.
    pub async fn open(&self) -> anyhow::Result<Vec<Endpoint>> {
        let read = |path: &PathBuf| {
            std::fs::read(path).with_context(|| format!("read {}", path.display()))
        };
        let mut endpoints = Vec::new();
        for url in &self.urls {
            let tls = TlsOptions::new()
                .ca_certificate(Certificate::from_pem(read(&self.ca)?))
                .identity(Identity::from_pem(read(&self.cert)?, read(&self.key)?));
            let options = ConnectOptions::new()
                .with_tls(tls)
                .with_connect_timeout(ANSWER)
                .with_timeout(ANSWER * 10);
            let client = Client::connect([url.as_str()], Some(options))
                .await
                .with_context(|| format!("open {url}"))?;
            endpoints.push(Endpoint { url: url.clone(), client });
        }
        Ok(endpoints)
    }
}

impl Endpoint {
    /// Gives the host of the URL.
    pub fn host(&self) -> String {
        host(&self.url)
    }

    /// Reads what the member says.
    pub async fn read(&mut self) -> Reading {
        let status = timeout(ANSWER, self.client.status()).await.ok().and_then(Result::ok);
        let own = status.and_then(|status| {
            status.header().map(|header| (header.member_id(), status.leader(), status.is_learner()))
        });
        let mut list = Vec::new();
        if own.is_some()
            && let Ok(Ok(answer)) = timeout(ANSWER, self.client.member_list()).await
        {
            list = answer.members().iter().map(listed).collect();
        }
        Reading { host: self.host(), own, list }
    }

    /// Reads the keys below a prefix from this member's own store, without asking the others.
    pub async fn own_keys(&mut self, prefix: &str) -> anyhow::Result<Vec<String>> {
        let options = GetOptions::new().with_prefix().with_serializable().with_keys_only();
        let answer = timeout(ANSWER * 10, self.client.get(prefix, Some(options)))
            .await
            .with_context(|| format!("read {prefix} from {}: no answer in time", self.url))?
            .with_context(|| format!("read {prefix} from {}", self.url))?;
        Ok(answer
            .kvs()
            .iter()
            .filter_map(|entry| entry.key_str().ok())
            .map(str::to_string)
            .collect())
    }
}

fn listed(member: &etcd_client::Member) -> Listed {
    Listed {
        id: member.id(),
        name: member.name().to_string(),
        learner: member.is_learner(),
        hosts: member.peer_urls().iter().map(|url| host(url)).collect(),
    }
}

fn host(url: &str) -> String {
    url.parse::<Uri>()
        .ok()
        .and_then(|uri| uri.host().map(str::to_string))
        .unwrap_or_else(|| url.to_string())
}

/// Gives a member list in the shape of the report.
pub fn members(list: &[Listed]) -> Vec<Member> {
    let mut members: Vec<Member> = list
        .iter()
        .map(|member| Member {
            name: member.name.clone(),
            id: format!("{:x}", member.id),
            role: if member.learner { "learner" } else { "voter" }.into(),
        })
        .collect();
    members.sort();
    members
}

/// Says what each endpoint's member is.
///
/// A member that does not answer is what the others' lists say of its host: still listed (silent) or not (absent).
/// The list comes from the member with a leader that answers; a member cut off from the others knows none.
pub fn roles(readings: &[Reading]) -> Vec<(String, Role)> {
    let list = readings
        .iter()
        .find(|reading| {
            reading.own.is_some_and(|(_, leader, _)| leader != 0) && !reading.list.is_empty()
        })
        .map(|reading| &reading.list);
    let role = |reading: &Reading| {
        let Some(list) = list else {
            return Role::Unknown;
        };
        let entry = list.iter().find(|entry| entry.hosts.contains(&reading.host));
        match (entry, reading.own) {
            (None, _) => Role::Absent,
            (Some(_), None) => Role::Silent,
            // An answer from an id that is not the listed one is another member's ghost on the same address.
            (Some(entry), Some((id, ..))) if id != entry.id => Role::Silent,
            (Some(_), Some((id, leader, _))) if id == leader => Role::Leader,
            (Some(entry), Some(_)) if entry.learner => Role::Learner,
            (Some(_), Some(_)) => Role::Voter,
        }
    };
    readings.iter().map(|reading| (reading.host.clone(), role(reading))).collect()
}

/// Writes a line whenever a member changes, for ever; the caller ends it.
pub async fn follow(endpoints: Vec<Endpoint>, journal: Journal) {
    let mut known: BTreeMap<String, Role> = BTreeMap::new();
    let mut names: BTreeMap<String, String> = BTreeMap::new();
    let mut tick = tokio::time::interval(EVERY);
    loop {
        tick.tick().await;
        let readings = read_all(&endpoints).await;
        for entry in
            readings.iter().flat_map(|reading| &reading.list).filter(|entry| !entry.name.is_empty())
        {
            for host in &entry.hosts {
                names.insert(host.clone(), entry.name.clone());
            }
        }
        for (host, role) in roles(&readings) {
            if known.get(&host) != Some(&role) {
                known.insert(host.clone(), role);
                let name = names.get(&host).cloned().unwrap_or(host);
                journal.put(Event::Etcd { at: journal.now(), name, role });
            }
        }
    }
}

/// Reads all endpoints at the same time, so that a silent one does not make the others late.
pub async fn read_all(endpoints: &[Endpoint]) -> Vec<Reading> {
    let mut reading = tokio::task::JoinSet::new();
    for (index, endpoint) in endpoints.iter().enumerate() {
        let mut endpoint = endpoint.clone();
        reading.spawn(async move { (index, endpoint.read().await) });
    }
    let mut readings = reading.join_all().await;
    readings.sort_by_key(|(index, _)| *index);
    readings.into_iter().map(|(_, reading)| reading).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(id: u64, host: &str, learner: bool) -> Listed {
        Listed { id, name: format!("m{id}"), learner, hosts: vec![host.into()] }
    }

    fn reading(host: &str, own: Option<(u64, u64, bool)>, list: &[Listed]) -> Reading {
        Reading { host: host.into(), own, list: list.to_vec() }
    }

    fn told(readings: &[Reading]) -> Vec<Role> {
        roles(readings).into_iter().map(|(_, role)| role).collect()
    }

    #[test]
    fn a_member_is_what_it_and_the_lists_say() {
        let three = [entry(1, "a", false), entry(2, "b", false), entry(3, "c", false)];
        let all = [
            reading("a", Some((1, 1, false)), &three),
            reading("b", Some((2, 1, false)), &three),
            reading("c", None, &[]),
        ];
        assert_eq!(told(&all), [Role::Leader, Role::Voter, Role::Silent]);

        let two = [entry(1, "a", false), entry(2, "b", false)];
        let removed = [reading("a", Some((1, 1, false)), &two), reading("c", None, &[])];
        assert_eq!(told(&removed), [Role::Leader, Role::Absent]);

        let joining = [entry(1, "a", false), entry(4, "c", true)];
        let learner = [
            reading("a", Some((1, 1, false)), &joining),
            reading("c", Some((4, 1, true)), &joining),
        ];
        assert_eq!(told(&learner), [Role::Leader, Role::Learner]);

        assert_eq!(told(&[reading("a", Some((1, 0, false)), &three)]), [Role::Unknown]);
        let ghost = [
            reading("a", Some((1, 1, false)), &joining),
            reading("c", Some((3, 1, false)), &joining),
        ];
        assert_eq!(told(&ghost), [Role::Leader, Role::Silent]);
    }
}
