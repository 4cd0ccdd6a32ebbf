//! What real k3s 1.36 answered, recorded: the diagnosis of those hours.

use crate::world::of;
use etcd_cluster::{
    Member, MemberId, Reading, Role,
    fault::{Fault, Kind},
    reading::{Answer, Status},
};
use etcd_info::{
    causes::{Code, Verdict},
    local::{Data, Local, Unit, reason},
    state::{Beside, Endpoint, Observed},
};

/// A line of `etcdctl member list`.
fn member(line: &str) -> Member {
    let parts: Vec<&str> = line.split(", ").collect();
    Member {
        id: parts[0].parse().unwrap(),
        name: parts[2].to_owned(),
        role: if parts[5] == "true" { Role::Learner } else { Role::Voter },
        peer_urls: vec![parts[3].to_owned()],
        client_urls: vec![parts[4].to_owned()],
    }
}

/// Members that answer as they did, with the first as the leader.
fn reading(lines: &[&str]) -> Reading {
    let members: Vec<Member> = lines.iter().map(|line| member(line)).collect();
    let cluster_id = MemberId(0x9863_b097_530c_cfd9);
    let answer = |m: &Member| {
        let status = Status {
            member_id: m.id,
            cluster_id,
            version: "3.6.14".into(),
            leader: members[0].id,
            term: 3,
            learner: m.role == Role::Learner,
            ..Status::default()
        };
        let voter = m.is_voter();
        let list = voter.then(|| members.clone());
        (
            m.id,
            Answer {
                url: m.client_urls[0].clone(),
                status: Some(status),
                linearizable: voter,
                list,
                ..Answer::default()
            },
        )
    };
    let answers = members.iter().map(answer).collect();
    Reading {
        cluster_id,
        answers,
        linearizable: true,
        alarms: Some(vec![]),
        members: members.clone(),
        ..Reading::default()
    }
}

fn unit(show: &str) -> Unit {
    let of = |key: &str| {
        show.split(' ').find_map(|word| word.strip_prefix(key)).unwrap_or_default().to_owned()
    };
    Unit {
        name: "k3s.service".into(),
        active: of("ActiveState="),
        sub: of("SubState="),
        result: of("Result="),
        restarts: of("NRestarts=").parse().unwrap(),
    }
}

const S1: &str = "71ea0ea03f1cc0b1, started, s1-329b7bed, https://198.18.0.11:2380, https://198.18.0.11:2379, false";
const S3: &str = "655e3b2fd8deb614, started, s3-57cabc77, https://198.18.0.13:2380, https://198.18.0.13:2379, false";

#[test]
fn a_member_removed_under_a_running_k3s() {
    // the unit stays active, etcd is gone, and the data directory says why
    let refused = Fault { kind: Kind::Unreachable, text: "connection refused".into() };
    let endpoint = Endpoint { fault: Some(refused), ..Endpoint::default() };
    let local = Local {
        units: vec![unit(
            "Result=success NRestarts=0 ExecMainStatus=0 ActiveState=active SubState=running",
        )],
        data: Some(Data {
            path: "/var/lib/rancher/k3s/server/db/etcd".into(),
            member: true,
            name: Some("s2-f4f55cbd".into()),
            tombstone: true,
            ..Data::default()
        }),
        ..Local::default()
    };
    let beside = Beside {
        endpoints: [("https://127.0.0.1:2379".to_owned(), endpoint)].into(),
        local: Some(local),
        ..Beside::default()
    };
    let found = of(Observed { reading: reading(&[S3, S1]), beside, ..Observed::default() });
    let cause = found.causes.iter().find(|c| c.code == Code::NotInMemberList).unwrap();
    assert!(cause.evidence[0].contains("tombstone") && cause.way_out.contains("k3s"), "{found:#?}");
    // and two voters are what is left
    assert!(
        found.verdict == Verdict::AtRisk && found.causes.iter().any(|c| c.code == Code::FewVoters),
        "{found:#?}"
    );
}

#[test]
fn two_of_three_stopped_the_survivor_does_not_listen() {
    let local = Local {
        units: vec![unit(
            "Result=success NRestarts=1 ExecMainStatus=0 ActiveState=activating SubState=start",
        )],
        health: Some(reason(r#"{"health":"false","reason":"RAFT NO LEADER"}"#)),
        data: Some(Data {
            path: "/var/lib/rancher/k3s/server/db/etcd".into(),
            member: true,
            name: Some("s1-329b7bed".into()),
            ..Data::default()
        }),
        ..Local::default()
    };
    let beside = Beside {
        unread: Some("https://127.0.0.1:2379: connection refused".into()),
        local: Some(local),
        ..Beside::default()
    };
    let found = of(Observed { beside, ..Observed::default() });
    assert_eq!(found.verdict, Verdict::QuorumLost, "{found:#?}");
    assert!(
        found.causes[0].code == Code::NoLeader && found.causes[0].way_out.contains("etcd_recover"),
        "{found:#?}"
    );
    assert!(
        found
            .causes
            .iter()
            .any(|c| c.code == Code::Unreachable && c.evidence[0].contains("activating (start)")),
        "{found:#?}"
    );
}

#[test]
fn the_three_seconds_of_a_join() {
    // 10.31 s: the learner is there; 13.21 s: k3s has promoted it
    let learner = "96511f564dc2d7f, started, s2-8d2a6806, https://198.18.0.12:2380, https://198.18.0.12:2379, true";
    let at = |line: &str| of(Observed { reading: reading(&[S3, S1, line]), ..Observed::default() });
    let joining = at(learner);
    assert!(joining.causes.iter().any(|c| c.code == Code::LearnerStuck), "{joining:#?}");
    let joined = at(&learner.replace("true", "false"));
    assert_eq!((joined.verdict, joined.causes.len()), (Verdict::Healthy, 0));
}
