//! Each point of evidence, missing alone, is one doubt and nothing else.

use etcd_cluster::{
    Doubt, Evidence, Member, MemberId, Reading, Role,
    evidence::{Kubernetes, MAX_LAG, NodeHealth},
    fault::{Fault, Kind},
    reading::{Alarm, AlarmKind, Answer, Status},
};

/// Three healthy voters with the ids 1, 2 and 3; 1 leads.
fn healthy() -> Reading {
    let member = |at: u64| Member {
        id: MemberId(at),
        name: format!("cp{at}"),
        role: Role::Voter,
        peer_urls: vec![format!("https://10.0.0.{at}:2380")],
        client_urls: vec![format!("https://10.0.0.{at}:2379")],
    };
    let members: Vec<Member> = (1..=3).map(member).collect();
    let answer = |m: &Member| {
        let status = Status {
            member_id: m.id,
            cluster_id: MemberId(9),
            leader: MemberId(1),
            term: 5,
            raft_index: 5000,
            applied_index: 5000,
            ..Status::default()
        };
        let answer = Answer {
            url: m.client_urls[0].clone(),
            status: Some(status),
            linearizable: true,
            list: Some(members.clone()),
            ..Answer::default()
        };
        (m.id, answer)
    };
    let answers = members.iter().map(answer).collect();
    Reading {
        cluster_id: MemberId(9),
        members: members.clone(),
        linearizable: true,
        answers,
        alarms: Some(vec![]),
        hashed_at: None,
    }
}

const TWO: MemberId = MemberId(2);

/// The doubts about member 2 when this is done to the reading.
fn doubts(harm: impl Fn(&mut Reading)) -> Vec<Doubt> {
    let mut reading = healthy();
    harm(&mut reading);
    let evidence = Evidence::weigh(&reading, None);
    assert!(evidence.is_proven(MemberId(3)) || !evidence.doubts(MemberId(3)).is_empty());
    evidence.doubts(TWO).to_vec()
}

fn answer(reading: &mut Reading) -> &mut Answer {
    reading.answers.get_mut(&TWO).unwrap()
}

fn status(reading: &mut Reading) -> &mut Status {
    answer(reading).status.as_mut().unwrap()
}

#[test]
fn a_healthy_member_has_none() {
    assert_eq!(doubts(|_| {}), []);
}

#[test]
fn each_missing_point_is_one_doubt() {
    let fault = Fault { kind: Kind::Deadline, text: "no answer within 5 s".into() };
    let silent = |r: &mut Reading| {
        let fault = Fault { kind: Kind::Deadline, text: "no answer within 5 s".into() };
        *answer(r) = Answer { fault: Some(fault), ..Answer::default() };
    };
    assert_eq!(doubts(silent), [Doubt::Silent(fault)]);
    assert_eq!(doubts(|r| drop(r.answers.remove(&TWO))), [Doubt::NotAsked]);
    assert_eq!(doubts(|r| status(r).member_id = MemberId(7)), [Doubt::OtherMember(MemberId(7))]);
    assert_eq!(doubts(|r| status(r).cluster_id = MemberId(7)), [Doubt::OtherCluster(MemberId(7))]);
    assert_eq!(doubts(|r| status(r).learner = true), [Doubt::Learner]);
    assert_eq!(doubts(|r| status(r).leader = MemberId(0)), [Doubt::NoLeader]);
    assert_eq!(doubts(|r| status(r).leader = MemberId(3)), [Doubt::LeaderDiffers(MemberId(3))]);
    assert_eq!(doubts(|r| answer(r).linearizable = false), [Doubt::NotLinearizable(None)]);
    assert_eq!(doubts(|r| answer(r).list = None), [Doubt::ListUnknown]);
    assert_eq!(doubts(|r| drop(answer(r).list.as_mut().unwrap().pop())), [Doubt::ListDiffers]);
    assert_eq!(doubts(|r| r.alarms = None), [Doubt::AlarmsUnknown]);
    let alarm = Alarm { member: TWO, kind: AlarmKind::Corrupt };
    assert_eq!(doubts(|r| r.alarms = Some(vec![alarm])), [Doubt::Alarm(AlarmKind::Corrupt)]);
}

#[test]
fn an_alarm_of_another_member_is_none_of_its_own() {
    let alarm = Alarm { member: MemberId(3), kind: AlarmKind::NoSpace };
    assert_eq!(doubts(|r| r.alarms = Some(vec![alarm])), []);
}

#[test]
fn its_log_may_be_a_little_behind_the_leaders_and_no_more() {
    assert_eq!(doubts(|r| status(r).applied_index -= MAX_LAG - 1), []);
    assert_eq!(doubts(|r| status(r).applied_index -= MAX_LAG), [Doubt::Lagging(MAX_LAG)]);
}

#[test]
fn the_one_in_another_term_is_in_doubt_and_the_majority_is_not() {
    let mut reading = healthy();
    status(&mut reading).term = 6;
    let evidence = Evidence::weigh(&reading, None);
    assert_eq!(evidence.doubts(TWO), [Doubt::TermDiffers(6)]);
    assert!(evidence.is_proven(MemberId(1)) && evidence.is_proven(MemberId(3)));
}

#[test]
fn a_member_that_was_not_weighed_is_not_proven() {
    assert!(!Evidence::default().is_proven(TWO));
}

#[test]
fn kubernetes_adds_what_etcd_cannot_tell() {
    let nodes = |lease_fresh, components_ready| -> Kubernetes {
        [("cp2".to_owned(), NodeHealth { lease_fresh, components_ready })].into()
    };
    let of = |nodes: Kubernetes| Evidence::weigh(&healthy(), Some(&nodes)).doubts(TWO).to_vec();
    assert_eq!(of(nodes(true, true)), []);
    assert_eq!(of(nodes(false, true)), [Doubt::LeaseStale]);
    assert_eq!(of(nodes(true, false)), [Doubt::ComponentsDown]);
    assert_eq!(of(Kubernetes::new()), [Doubt::NoNode]);
}
