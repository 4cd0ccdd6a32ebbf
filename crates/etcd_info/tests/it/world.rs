//! Worlds with one thing wrong, as plain values.

use etcd_cluster::{
    Evidence, Member, MemberId, Reading, Role,
    fault::{Fault, Kind},
    reading::{Alarm, AlarmKind, Answer, Status},
};
use etcd_info::{
    diagnose::{Diagnosis, diagnose},
    state::{Beside, Observed},
};

pub const CLUSTER: MemberId = MemberId(0xc1);

pub fn id(at: usize) -> MemberId {
    MemberId(0xa0 + at as u64)
}

pub fn member(at: usize) -> Member {
    Member {
        id: id(at),
        name: format!("cp{at}"),
        role: Role::Voter,
        peer_urls: vec![format!("https://10.0.0.{at}:2380")],
        client_urls: vec![format!("https://10.0.0.{at}:2379")],
    }
}

pub fn answer(at: usize, members: &[Member]) -> Answer {
    let status = Status {
        member_id: id(at),
        cluster_id: CLUSTER,
        version: "3.6.16".into(),
        leader: id(1),
        term: 4,
        revision: 900,
        raft_index: 1000,
        applied_index: 1000,
        db_size: 20 << 20,
        db_in_use: 10 << 20,
        ..Status::default()
    };
    Answer {
        url: format!("https://10.0.0.{at}:2379"),
        status: Some(status),
        linearizable: true,
        latency_ms: Some(2),
        list: Some(members.to_vec()),
        ..Answer::default()
    }
}

/// Healthy voters `cp1` and on; the first leads.
pub fn healthy(count: usize) -> Observed {
    let members: Vec<Member> = (1..=count).map(member).collect();
    let answers = (1..=count).map(|at| (id(at), answer(at, &members))).collect();
    let reading = Reading {
        cluster_id: CLUSTER,
        members,
        linearizable: true,
        answers,
        alarms: Some(vec![]),
        hashed_at: None,
    };
    let second = reading.answers.iter().filter_map(|(id, a)| Some((*id, a.status.clone()?)));
    let beside = Beside { second: second.collect(), between_ms: 40, ..Beside::default() };
    Observed { reading, beside, ..Observed::default() }
}

/// Weighs again, as the module does.
pub fn of(mut observed: Observed) -> Diagnosis {
    observed.evidence = Evidence::weigh(&observed.reading, None);
    diagnose(&observed)
}

pub fn status(observed: &mut Observed, at: usize) -> &mut Status {
    observed.reading.answers.get_mut(&id(at)).unwrap().status.as_mut().unwrap()
}

pub fn silence(observed: &mut Observed, at: usize, kind: Kind, text: &str) {
    let url = format!("https://10.0.0.{at}:2379");
    let fault = Some(Fault { kind, text: text.into() });
    observed.reading.answers.insert(id(at), Answer { url, fault, ..Answer::default() });
    observed.beside.second.remove(&id(at));
}

/// Adds one more member everywhere.
pub fn enlist(observed: &mut Observed, extra: &Member) {
    observed.reading.members.push(extra.clone());
    let list = observed.reading.members.clone();
    for answer in observed.reading.answers.values_mut().filter(|answer| answer.list.is_some()) {
        answer.list = Some(list.clone());
    }
}

pub fn with(count: usize, change: impl Fn(&mut Observed)) -> Observed {
    let mut observed = healthy(count);
    change(&mut observed);
    observed
}

pub fn alarm(observed: &mut Observed, at: usize, kind: AlarmKind) {
    observed.reading.alarms = Some(vec![Alarm { member: id(at), kind }]);
}
