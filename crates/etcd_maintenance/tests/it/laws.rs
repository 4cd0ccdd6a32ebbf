//! The laws, over every cluster of up to four members with each of them empty, fragmented, dead or in doubt.

use ansible_module::{
    Module,
    options::{At, Value},
};
use etcd_cluster::{
    Evidence, Member, MemberId, Reading, Role,
    fault::{Fault, Kind},
    gate::quorum,
    reading::{Alarm, AlarmKind, Answer, Hash, Status},
};
use etcd_maintenance::{
    EtcdMaintenance,
    args::{Args, Wanted},
    state::{Compaction, Observed, Step, without_no_space},
};
use serde_json::{Value as Json, json};

const MIB: i64 = 1 << 20;

fn wanted(args: &Json) -> Wanted {
    let args = Args::decode(&At::ROOT, args).unwrap();
    EtcdMaintenance::wanted(args, testkit::cases::started()).unwrap()
}

/// How one member is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Is {
    /// Nothing to win.
    Full,
    Fragmented,
    Dead,
    /// It answers and has no leader.
    Lost,
}

fn member(at: usize, role: Role) -> Member {
    let host = format!("10.0.0.{}", at + 1);
    Member {
        id: MemberId(0xa0 + at as u64),
        name: format!("cp{}", at + 1),
        role,
        peer_urls: vec![format!("https://{host}:2380")],
        client_urls: vec![format!("https://{host}:2379")],
    }
}

fn answer(is: Is, at: usize, leader: usize, members: &[Member]) -> Answer {
    let url = members[at].client_urls[0].clone();
    let refused = || Fault { kind: Kind::Unreachable, text: "refused".into() };
    if is == Is::Dead {
        return Answer { url, fault: Some(refused()), ..Answer::default() };
    }
    let status = Status {
        member_id: members[at].id,
        cluster_id: MemberId(0xc1),
        version: "3.6.16".into(),
        leader: if is == Is::Lost { MemberId(0) } else { members[leader].id },
        term: 2,
        revision: 1000,
        db_size: (200 + i64::try_from(at).unwrap()) * MIB,
        db_in_use: if is == Is::Fragmented { 50 * MIB } else { 190 * MIB },
        quota: 2048 * MIB,
        ..Status::default()
    };
    Answer {
        url,
        status: Some(status),
        linearizable: is != Is::Lost,
        list: Some(members.to_vec()),
        hash: Some(Hash { hash: 1, compact_revision: 1 }),
        ..Answer::default()
    }
}

fn world(how: &[Is], leader: usize, learner: bool, alarms: &[Alarm]) -> Observed {
    let mut members: Vec<Member> = (0..how.len()).map(|at| member(at, Role::Voter)).collect();
    if learner {
        members.push(member(how.len(), Role::Learner));
    }
    let answers = how.iter().enumerate();
    let answers = answers.map(|(at, is)| (members[at].id, answer(*is, at, leader, &members)));
    let reading = Reading {
        cluster_id: MemberId(0xc1),
        answers: answers.collect(),
        members,
        linearizable: true,
        alarms: Some(alarms.to_vec()),
        hashed_at: None,
    };
    Observed { reading, ..Observed::default() }
}

fn all_states(count: usize) -> Vec<Vec<Is>> {
    let mut all = vec![vec![]];
    for _ in 0..count {
        let more = |states: &Vec<Is>| {
            [Is::Full, Is::Fragmented, Is::Dead, Is::Lost]
                .map(|is| [states.as_slice(), &[is]].concat())
        };
        all = all.iter().flat_map(more).collect();
    }
    all
}

/// The voters proven alive are a quorum of those listed, also without the one that the next step takes away.
fn holds_quorum(observed: &Observed, wanted: &Wanted) -> bool {
    let evidence = Evidence::weigh(&without_no_space(&observed.reading), None);
    let voters: Vec<&Member> = observed.reading.members.iter().filter(|m| m.is_voter()).collect();
    let alive = voters.iter().filter(|m| evidence.is_proven(m.id)).count();
    let away = match EtcdMaintenance::plan(wanted, observed).unwrap_or_default().first() {
        Some(Step::Defragment(_)) => usize::from(!(wanted.downtime && voters.len() <= 2)),
        _ => 0,
    };
    alive >= quorum(voters.len()) + away
}

#[test]
fn every_small_world_keeps_the_laws() {
    let (mut plans, mut refusals, mut idle) = (0, 0, 0);
    for count in 1..=4 {
        for states in all_states(count) {
            for (leader, learner, downtime, compact, alarmed) in variants(count) {
                let alarm = Alarm { member: MemberId(0xa0), kind: AlarmKind::NoSpace };
                let stale = Alarm { member: MemberId(0xee), kind: AlarmKind::Corrupt };
                let alarms = if alarmed { vec![alarm, stale] } else { vec![] };
                let mut world = world(&states, leader, learner, &alarms);
                let mut args = json!({"allow_unknown_disk": true, "allow_downtime": downtime});
                if compact {
                    args["compact_revision"] = json!(900);
                    let (revision, newest) = (900, 1000);
                    let compaction = Compaction { revision, newest, ..Compaction::default() };
                    world.compaction = Some(compaction);
                }
                let wanted = wanted(&args);
                if EtcdMaintenance::plan(&wanted, &world).is_ok_and(|steps| steps.is_empty()) {
                    idle += 1;
                } else if testkit::laws::check::<EtcdMaintenance>(&wanted, &world, |now| {
                    holds_quorum(now, &wanted)
                }) {
                    plans += 1;
                } else {
                    refusals += 1;
                }
            }
        }
    }
    println!("{plans} worlds with a plan, {idle} with nothing to do, {refusals} refused");
    assert!(plans > 100 && idle > 10 && refusals > plans);
}

fn variants(count: usize) -> Vec<(usize, bool, bool, bool, bool)> {
    let bits = [false, true];
    let mut all = vec![];
    for leader in [0, count - 1] {
        for learner in bits {
            for downtime in bits {
                for compact in bits {
                    all.extend(bits.map(|alarmed| (leader, learner, downtime, compact, alarmed)));
                }
            }
        }
    }
    all.dedup();
    all
}

#[test]
fn the_leader_is_last_and_nobody_is_away_beside_another() {
    for count in 3..=4 {
        for leader in 0..count {
            let world = world(&vec![Is::Fragmented; count], leader, false, &[]);
            let wanted = wanted(&json!({"allow_unknown_disk": true}));
            let steps = EtcdMaintenance::plan(&wanted, &world).unwrap();
            let order: Vec<u64> = steps
                .iter()
                .filter_map(|step| match step {
                    Step::Defragment(which) => Some(which.id.0),
                    _ => None,
                })
                .collect();
            assert_eq!(order.len(), count);
            assert_eq!(order.last(), Some(&(0xa0 + leader as u64)));
            let followers = &order[..count - 1];
            assert!(followers.is_sorted(), "the smallest first: {order:?}");
            for pair in steps.windows(2) {
                let both = matches!(pair, [Step::Defragment(_), Step::Defragment(_)]);
                assert!(!both, "health is proven in between: {steps:?}");
            }
            assert_eq!(steps.last(), Some(&Step::AwaitHealthy));
        }
    }
}
