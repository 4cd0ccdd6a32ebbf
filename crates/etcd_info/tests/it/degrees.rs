//! Cases of causes that are a matter of degree, and of those that a host shows.

use crate::{
    causes::Case,
    world::{CLUSTER, id, silence, with},
};
use etcd_cluster::{
    fault::{Fault, Kind},
    metrics::{Metrics, Timing},
};
use etcd_info::{
    causes::{Code, Verdict},
    local::{Data, Local, Unit},
    state::{Beside, Certificate, Endpoint, Node, Observed},
};

pub fn of_certificates() -> Vec<Case> {
    use Code as C;
    use Verdict::{Degraded, Healthy};
    let dated = |certificate: Certificate| {
        with(3, move |o| o.beside.certificates.push(certificate.clone()))
    };
    let peer = |days_left, lifetime_days| Certificate {
        member_id: Some(id(2).to_string()),
        url: Some("https://10.0.0.2:2380".into()),
        subject: "cp2".into(),
        not_after: "2026-12-01T00:00:00Z".into(),
        days_left,
        lifetime_days,
    };
    vec![
        (
            "a certificate that ends soon",
            dated(peer(29, 365)),
            Healthy,
            C::CertificateEnds,
            Some("cp2"),
            "https://10.0.0.2:2380: certificate \"cp2\" is over in 29 days: 2026-12-01",
            "kubeadm certs renew",
        ),
        (
            "one that peers refuse already",
            dated(peer(-1, 365)),
            Degraded,
            C::Certificate,
            Some("cp2"),
            "is over since 2026-12-01",
            "renew",
        ),
        (
            "our own ends soon",
            dated(Certificate { member_id: None, url: None, ..peer(3, 30) }),
            Healthy,
            C::CertificateEnds,
            Some("the client certificate that was used"),
            "in 3 days",
            "etcd-healthcheck-client",
        ),
    ]
}

pub fn of_degree() -> Vec<Case> {
    use Code as C;
    use Verdict::Degraded;
    let timing = |p99_ms| Some(Timing { count: 5000, mean_ms: 40.0, p99_ms });
    let measured = |metrics: Metrics| {
        with(3, move |o| {
            o.beside.metrics.insert(id(2), metrics.clone());
        })
    };
    let clocks = |two: i64| {
        with(3, move |o| {
            for (at, ahead) in [(1, 40), (2, 40 + two), (3, 41)] {
                let metrics = Metrics { ahead_s: Some(ahead), ..Metrics::default() };
                o.beside.metrics.insert(id(at), metrics);
            }
        })
    };
    vec![
        (
            "a log that syncs slowly",
            measured(Metrics { fsync: timing(Some(512.0)), ..Metrics::default() }),
            Degraded,
            C::SlowDisk,
            Some("cp2"),
            "up to 512 ms (99 of 100), 40.0 ms on average",
            "state=follower",
        ),
        (
            "a database that commits beyond all bounds",
            measured(Metrics { commit: timing(None), ..Metrics::default() }),
            Degraded,
            C::SlowDisk,
            Some("cp2"),
            "more than 8 s",
            "replace",
        ),
        (
            "a read that takes long",
            with(3, |o| o.reading.answers.get_mut(&id(3)).unwrap().latency_ms = Some(1800)),
            Degraded,
            C::SlowDisk,
            Some("cp3"),
            "took 1800 ms",
            "disk",
        ),
        (
            "a storm",
            with(3, |o| {
                o.beside.second.get_mut(&id(1)).unwrap().raft_index = 7000;
                o.beside.between_ms = 1500;
            }),
            Degraded,
            C::WriteStorm,
            None,
            "4000 log entries a second, over 1500 ms",
            "count_keys=/registry/",
        ),
        (
            "a queue",
            measured(Metrics { pending: Some(400), ..Metrics::default() }),
            Degraded,
            C::WriteStorm,
            None,
            "400 proposals wait at \"cp2\"",
            "count_keys",
        ),
        (
            "one clock is off, and ours with the others'",
            clocks(-90),
            Degraded,
            C::Clock,
            Some("cp2"),
            "90 s behind the others'",
            "chrony",
        ),
    ]
}

#[expect(clippy::too_many_lines, reason = "a table")]
pub fn of_hosts() -> Vec<Case> {
    use Code as C;
    use Verdict::{AtRisk, Degraded, QuorumLost, Unknown};
    let url = "https://127.0.0.1:2379";
    let refused = Endpoint {
        fault: Some(Fault { kind: Kind::Unreachable, text: "connection refused".into() }),
        ..Endpoint::default()
    };
    let stranger = Endpoint { member: Some(id(9)), cluster: Some(CLUSTER), fault: None };
    let removed =
        Data { path: "/db/etcd".into(), member: true, tombstone: true, ..Data::default() };
    let unlisted = Data { path: "/db/etcd".into(), name: Some("s2-old".into()), ..Data::default() };
    let host = |data: Data| Some(Local { data: Some(data), ..Local::default() });
    let unit = Unit {
        name: "k3s.service".into(),
        active: "activating".into(),
        sub: "auto-restart".into(),
        result: "exit-code".into(),
        restarts: 7,
    };
    let node =
        |name: &str, control_plane| Node { name: name.into(), member: name.into(), control_plane };
    let nodes = vec![node("cp1", true), node("cp2", true), node("cp4", true), node("w1", false)];
    let alone = |local: Local| {
        let beside =
            Beside { unread: Some("nobody".into()), local: Some(local), ..Beside::default() };
        Observed { beside, ..Observed::default() }
    };
    let no_leader = Local {
        health: Some("RAFT NO LEADER".into()),
        data: Some(Data::default()),
        ..Local::default()
    };
    let stopped = Local { units: vec![unit], data: Some(Data::default()), ..Local::default() };
    vec![
        (
            "an endpoint that nobody lists is dead",
            with(3, |o| {
                o.beside.endpoints.insert(url.into(), refused.clone());
            }),
            Degraded,
            C::Unreachable,
            Some(url),
            "refused",
            "start it",
        ),
        (
            "an endpoint leads to one that is not listed",
            with(3, |o| {
                o.beside.endpoints.insert(url.into(), stranger.clone());
            }),
            Degraded,
            C::NotInMemberList,
            Some(url),
            "member a9 answers there, and is not listed",
            "join again",
        ),
        (
            "removed under a running k3s",
            with(3, |o| o.beside.local = host(removed.clone())),
            Degraded,
            C::NotInMemberList,
            Some("this host"),
            "tombstone",
            "restart of the service",
        ),
        (
            "data of another name",
            with(3, |o| o.beside.local = host(unlisted.clone())),
            Degraded,
            C::NotInMemberList,
            Some("this host"),
            "\"s2-old\", which is not listed",
            "remove its data",
        ),
        (
            "a member without a Node",
            with(3, |o| o.beside.nodes = Some(nodes.clone())),
            Degraded,
            C::Node,
            Some("cp3"),
            "no Node belongs to it",
            "k8s_node",
        ),
        (
            "a Node without a member",
            with(3, |o| o.beside.nodes = Some(nodes.clone())),
            Degraded,
            C::NotInMemberList,
            Some("cp4"),
            "no listed member belongs",
            "kubeadm_join",
        ),
        (
            "nobody answers, and etcd here knows no leader",
            alone(no_leader),
            QuorumLost,
            C::NoLeader,
            Some("this host"),
            "RAFT NO LEADER",
            "etcd_recover",
        ),
        (
            "nobody answers, and the service here does not come up",
            alone(stopped),
            Unknown,
            C::Unreachable,
            Some("this host"),
            "activating (auto-restart)",
            "start it",
        ),
        (
            "nobody is to blame",
            with(3, |o| {
                o.reading.linearizable = false;
                o.reading.answers.clear();
            }),
            QuorumLost,
            C::NoLeader,
            None,
            "no endpoint serves",
            "etcd_recover",
        ),
        (
            "two of three voters are left, one with a bad clock",
            with(3, |o| {
                silence(o, 3, Kind::Unreachable, "refused");
                o.beside.metrics.insert(id(2), Metrics { ahead_s: Some(30), ..Metrics::default() });
                o.beside.metrics.insert(id(1), Metrics { ahead_s: Some(0), ..Metrics::default() });
            }),
            AtRisk,
            C::Clock,
            Some("cp2"),
            "30 s ahead",
            "clock",
        ),
    ]
}
