//! One connection to one endpoint, and the calls over it.
//!
//! Never a balanced client over several endpoints: what a member says must be known to come from that member, a
//! learner answers few calls, and `MoveLeader` is for the leader alone.

use crate::{
    certs::{BadCertificates, Files, Tls},
    fault::{Fault, Kind},
    member::{Member, MemberId, Role},
    reading::{Alarm, AlarmKind, Hash, Status},
};
use etcd_client::{
    AlarmAction, AlarmOptions, AlarmType, Certificate, Client, ConnectOptions, GetOptions,
    Identity, ResponseHeader, TlsOptions,
};
use std::{
    future::Future,
    path::{Path, PathBuf},
    time::Duration,
};

/// How endpoints are reached.
#[derive(Clone, Debug)]
pub struct Access {
    /// For `https`.
    pub tls: Option<Tls>,
    /// How long one call may take.
    pub per_call: Duration,
    /// How long one TCP connection may take: an address that nobody has must not cost a whole call.
    pub connect: Duration,
}

impl Access {
    /// The deadlines of the evidence: 5 s for a call.
    pub fn new(tls: Option<Tls>) -> Self {
        Self { tls, per_call: Duration::from_secs(5), connect: Duration::from_secs(2) }
    }

    /// Reads the certificates where an endpoint needs them: authority, client certificate and key as given, or from the usual layouts.
    ///
    /// # Errors
    /// When they are needed and not there, or are none.
    pub fn for_endpoints(
        endpoints: &[String],
        [ca, cert, key]: &[Option<PathBuf>; 3],
    ) -> Result<Self, BadCertificates> {
        if !endpoints.iter().any(|url| url.starts_with("https://")) {
            return Ok(Self::new(None));
        }
        let (ca, cert, key) = (ca.as_deref(), cert.as_deref(), key.as_deref());
        let files = Files::find(Path::new("/"), ca, cert, key);
        let files = files.map_err(|none| BadCertificates(none.to_string()))?;
        Tls::read(&files).map(Some).map(Self::new).map_err(BadCertificates)
    }

    fn options(&self, url: &str) -> ConnectOptions {
        let options = ConnectOptions::new().with_connect_timeout(self.connect);
        match &self.tls {
            Some(tls) if url.starts_with("https://") => {
                let identity = Identity::from_pem(&tls.cert, &tls.key);
                options.with_tls(
                    TlsOptions::new()
                        .ca_certificate(Certificate::from_pem(&tls.ca))
                        .identity(identity),
                )
            }
            _ => options,
        }
    }
}

/// A connection to one endpoint. Nothing is sent before the first call.
#[derive(Clone)]
pub struct Connection {
    url: String,
    access: Access,
    per_call: Duration,
    client: Client,
    /// Fails at once where no leader is known, instead of waiting for one.
    strict: Client,
}

impl Connection {
    /// Prepares the connection.
    ///
    /// # Errors
    /// When the URL or the certificates cannot be used.
    pub async fn new(access: &Access, url: &str) -> Result<Self, Fault> {
        let options = access.options(url);
        let strict = options.clone().with_require_leader(true);
        Ok(Self {
            url: url.to_owned(),
            access: access.clone(),
            per_call: access.per_call,
            // boxed: the future of a connection is tens of KiB, and would be part of every caller's
            client: Box::pin(Client::connect([url], Some(options))).await?,
            strict: Box::pin(Client::connect([url], Some(strict))).await?,
        })
    }

    /// Where it leads.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Finds out why a connection was closed as soon as it was open. What cannot be found out stays as it was.
    pub async fn explain(&self, fault: Fault) -> Fault {
        let closed = ["connection closed", "canceled", "reset by peer", "roken pipe"];
        let unsaid = closed.iter().any(|word| fault.text.contains(word));
        let Some(tls) = self.access.tls.clone().filter(|_| self.url.starts_with("https://")) else {
            return fault;
        };
        if fault.kind != Kind::Unreachable || !unsaid {
            return fault;
        }
        let (url, patience) = (self.url.clone(), self.access.connect);
        let ask = move || crate::handshake::last_word(&tls, &url, patience);
        match tokio::task::spawn_blocking(ask).await {
            Ok(Some(text)) => Fault { text, ..fault },
            _ => fault,
        }
    }

    async fn call<T>(
        &self,
        name: &str,
        call: impl Future<Output = Result<T, etcd_client::Error>>,
    ) -> Result<T, Fault> {
        within(self.per_call, name, call).await
    }

    /// The connection as etcd-client has it, for calls that only one module makes.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// Asks the member about itself; also a learner or one without a leader answers.
    pub async fn status(&self) -> Result<Status, Fault> {
        let answer = self.call("status", self.client.maintenance_client().status()).await?;
        let header = header(answer.header())?;
        Ok(Status {
            member_id: MemberId(header.member_id()),
            cluster_id: MemberId(header.cluster_id()),
            version: answer.version().to_owned(),
            learner: answer.is_learner(),
            leader: MemberId(answer.leader()),
            term: answer.raft_term(),
            revision: header.revision(),
            raft_index: answer.raft_index(),
            applied_index: answer.raft_applied_index(),
            db_size: answer.db_size(),
            db_in_use: answer.raft_used_db_size(),
            quota: answer.db_size_quota(),
        })
    }

    /// Reads one key linearizably, which needs a quorum; returns the revision. The key need not exist.
    pub async fn linearizable_get(&self) -> Result<i64, Fault> {
        let options = GetOptions::new().with_count_only();
        let answer = self
            .call("linearizable read", self.client.kv_client().get("quorate", Some(options)))
            .await?;
        header(answer.header()).map(ResponseHeader::revision)
    }

    /// Reads this member's own list.
    ///
    /// etcd-client always asks with `linearizable: false`, which is answered from what this member has applied. Right
    /// after a [`Self::linearizable_get`] on the *same* endpoint that is as fresh: the read index of the get was
    /// confirmed by a quorum and then awaited by this member's applier, and the member list is changed by the same applier.
    pub async fn local_members(&self) -> Result<Vec<Member>, Fault> {
        let answer = self.call("member list", self.client.cluster_client().member_list()).await?;
        Ok(sorted(answer.members()))
    }

    /// Reads the list as confirmed by a quorum.
    pub async fn members(&self) -> Result<Vec<Member>, Fault> {
        self.linearizable_get().await?;
        self.local_members().await
    }

    /// Lists the alarms; etcd answers this through its log, so it needs a quorum.
    pub async fn alarms(&self) -> Result<Vec<Alarm>, Fault> {
        self.alarms_over(&self.strict).await
    }

    /// The same of a member that has just proven a leader: over the connection that is open, which saves a handshake.
    pub(crate) async fn alarms_when_led(&self) -> Result<Vec<Alarm>, Fault> {
        self.alarms_over(&self.client).await
    }

    async fn alarms_over(&self, client: &Client) -> Result<Vec<Alarm>, Fault> {
        let mut client = client.maintenance_client();
        let answer =
            self.call("alarm list", client.alarm(AlarmAction::Get, AlarmType::None, None)).await?;
        let one = |alarm: &etcd_client::AlarmMember| {
            let kind = match alarm.alarm() {
                AlarmType::Nospace => AlarmKind::NoSpace,
                AlarmType::Corrupt => AlarmKind::Corrupt,
                AlarmType::None => return None,
            };
            Some(Alarm { member: MemberId(alarm.member_id()), kind })
        };
        let mut alarms: Vec<Alarm> = answer.alarms().iter().filter_map(one).collect();
        alarms.sort_unstable();
        Ok(alarms)
    }

    /// Hashes all keys up to a revision. Walks the whole keyspace: one member at a time, and not too often.
    pub async fn hash_kv(&self, revision: i64, deadline: Duration) -> Result<Hash, Fault> {
        let mut client = self.client.maintenance_client();
        let answer = within(deadline, "hash", client.hash_kv(revision)).await?;
        Ok(Hash { hash: answer.hash(), compact_revision: answer.compact_version() })
    }

    /// Hands leadership over; only the leader accepts it.
    pub async fn move_leader(&self, to: MemberId) -> Result<(), Fault> {
        self.call("move leader", self.strict.maintenance_client().move_leader(to.0))
            .await
            .map(|_| ())
    }

    /// Removes a member; returns the list that is left, as this endpoint has it.
    pub async fn remove(&self, id: MemberId) -> Result<Vec<Member>, Fault> {
        let answer =
            self.call("member remove", self.strict.cluster_client().member_remove(id.0)).await?;
        Ok(sorted(answer.members()))
    }

    /// Gives a learner its vote; the leader refuses while the learner's log is short.
    pub async fn promote(&self, id: MemberId) -> Result<(), Fault> {
        self.call("member promote", self.strict.cluster_client().member_promote(id.0))
            .await
            .map(|_| ())
    }

    /// Counts the keys of a range, from what this member has applied. No key is loaded.
    pub async fn count(&self, from: &[u8], to: &[u8]) -> Result<u64, Fault> {
        let options = GetOptions::new().with_range(to).with_count_only().with_serializable();
        let answer = self.call("count", self.client.kv_client().get(from, Some(options))).await?;
        Ok(u64::try_from(answer.count()).unwrap_or_default())
    }

    /// Reads the name of the first key of a range, from what this member has applied. Its value is not loaded.
    pub async fn first_key(&self, from: &[u8], to: &[u8]) -> Result<Option<Vec<u8>>, Fault> {
        let options =
            GetOptions::new().with_range(to).with_limit(1).with_keys_only().with_serializable();
        let answer =
            self.call("first key", self.client.kv_client().get(from, Some(options))).await?;
        Ok(answer.kvs().first().map(|kv| kv.key().to_vec()))
    }

    /// Takes an alarm back.
    pub async fn disarm(&self, alarm: Alarm) -> Result<(), Fault> {
        let kind = match alarm.kind {
            AlarmKind::NoSpace => AlarmType::Nospace,
            AlarmKind::Corrupt => AlarmType::Corrupt,
        };
        let mut options = AlarmOptions::new();
        options.with_member(alarm.member.0);
        let mut client = self.strict.maintenance_client();
        self.call("alarm disarm", client.alarm(AlarmAction::Deactivate, kind, Some(options)))
            .await
            .map(|_| ())
    }

    /// Begins a snapshot of this member. The caller reads the stream and bounds it.
    pub async fn snapshot(&self) -> Result<etcd_client::SnapshotStreaming, Fault> {
        self.call("snapshot", self.client.maintenance_client().snapshot()).await
    }
}

/// Waits for an answer, but no longer than that.
///
/// # Errors
/// When the call fails, or has no answer in time; names the call.
pub async fn within<T>(
    patience: Duration,
    name: &str,
    call: impl Future<Output = Result<T, etcd_client::Error>>,
) -> Result<T, Fault> {
    match tokio::time::timeout(patience, call).await {
        Ok(answer) => answer.map_err(Fault::from),
        Err(_) => Err(Fault::deadline(name, patience.as_secs_f32())),
    }
}

fn header(header: Option<&ResponseHeader>) -> Result<&ResponseHeader, Fault> {
    header.ok_or_else(|| Fault { kind: Kind::Other, text: "the answer has no header".to_owned() })
}

fn sorted(members: &[etcd_client::Member]) -> Vec<Member> {
    let one = |member: &etcd_client::Member| Member {
        id: MemberId(member.id()),
        name: member.name().to_owned(),
        role: if member.is_learner() { Role::Learner } else { Role::Voter },
        peer_urls: member.peer_urls().to_vec(),
        client_urls: member.client_urls().to_vec(),
    };
    let mut members: Vec<Member> = members.iter().map(one).collect();
    members.sort_by(|a, b| (&a.name, a.id).cmp(&(&b.name, b.id)));
    members
}
