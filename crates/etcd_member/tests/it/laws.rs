//! The laws, over every cluster of up to five members with each member healthy, dead or in doubt.

use ansible_module::{
    Module,
    options::{At, Value},
};
use etcd_cluster::{
    Evidence, Facts, Member, MemberId, Reading, Role,
    fault::{Fault, Kind},
    gate::{Operation, Permit, decide, quorum},
    reading::{Alarm, AlarmKind, Answer, Hash, Status},
};
use etcd_member::{
    EtcdMember,
    args::{Args, Wanted},
    state::Observed,
};
use serde_json::{Value as Json, json};

fn wanted(args: &Json) -> Wanted {
    let args = Args::decode(&At::ROOT, args).unwrap();
    EtcdMember::wanted(args, testkit::cases::started()).unwrap()
}

fn member(at: usize, role: Role, named: bool) -> Member {
    let host = format!("10.0.0.{}", at + 1);
    Member {
        id: MemberId(0xa0 + at as u64),
        name: if named { format!("cp{}", at + 1) } else { String::new() },
        role,
        peer_urls: vec![format!("https://{host}:2380")],
        client_urls: if named { vec![format!("https://{host}:2379")] } else { vec![] },
    }
}

/// How one member is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Is {
    Well,
    Dead,
    /// It answers and has no leader.
    Lost,
}

fn world(how: &[Is], leader: usize, learner: bool, alarm: Option<Alarm>) -> Observed {
    let mut members: Vec<Member> = (0..how.len()).map(|at| member(at, Role::Voter, true)).collect();
    if learner {
        members.push(member(how.len(), Role::Learner, false));
    }
    let answer = |(at, is): (usize, &Is)| {
        let id = members[at].id;
        let url = members[at].client_urls[0].clone();
        let hash = Some(Hash { hash: 1, compact_revision: 1 });
        let status = Status {
            member_id: id,
            cluster_id: MemberId(0xc1),
            version: "3.6.16".into(),
            leader: if *is == Is::Lost { MemberId(0) } else { members[leader].id },
            term: 2,
            ..Status::default()
        };
        let answer = match is {
            Is::Well => Answer {
                url,
                status: Some(status),
                linearizable: true,
                list: Some(members.clone()),
                hash,
                ..Answer::default()
            },
            Is::Lost => Answer {
                url,
                status: Some(status),
                list: Some(members.clone()),
                hash,
                ..Answer::default()
            },
            Is::Dead => Answer {
                url,
                fault: Some(Fault { kind: Kind::Unreachable, text: "refused".into() }),
                ..Answer::default()
            },
        };
        (id, answer)
    };
    let answers = how.iter().enumerate().map(answer).collect();
    let alarms = Some(alarm.into_iter().collect());
    let reading = Reading {
        cluster_id: MemberId(0xc1),
        members,
        linearizable: true,
        answers,
        alarms,
        hashed_at: None,
    };
    Observed { reading, proven_for_ms: [].into() }
}

fn all_states(count: usize) -> Vec<Vec<Is>> {
    let mut all = vec![vec![]];
    for _ in 0..count {
        let more = |states: &Vec<Is>| {
            [Is::Well, Is::Dead, Is::Lost].map(|is| [states.as_slice(), &[is]].concat())
        };
        all = all.iter().flat_map(more).collect();
    }
    all
}

/// The voters proven alive, a dead target left out, are a quorum of the voters listed.
fn holds_quorum(observed: &Observed, single: bool) -> bool {
    let evidence = Evidence::weigh(&observed.reading, None);
    let voters: Vec<&Member> = observed.reading.members.iter().filter(|m| m.is_voter()).collect();
    // right after a removal the lists of the peers differ for a moment: who answers linearizably is alive
    let alive = |m: &&&Member| {
        let answer = observed.reading.answers.get(&m.id);
        evidence.is_proven(m.id) || answer.is_some_and(|answer| answer.linearizable)
    };
    let enough = voters.iter().filter(alive).count() >= quorum(voters.len());
    enough && (voters.len() > 1 || single)
}

#[test]
fn removal_keeps_the_laws_in_every_small_world() {
    let (mut plans, mut refusals) = (0, 0);
    for count in 1..=4 {
        for states in all_states(count) {
            for (target, leader, learner, stopped, single, alarmed) in variants(count) {
                let id = MemberId(0xa0 + target as u64);
                let alarm = alarmed.then_some(Alarm { member: id, kind: AlarmKind::Corrupt });
                let world = world(&states, leader, learner, alarm);
                let wanted = wanted(&json!({
                    "state": "absent", "name": format!("cp{}", target + 1), "target_stopped": stopped, "allow_single_member": single,
                }));
                if testkit::laws::check::<EtcdMember>(&wanted, &world, |now| {
                    holds_quorum(now, single)
                }) {
                    plans += 1;
                } else {
                    refusals += 1;
                }
            }
        }
    }
    println!("{plans} worlds with a plan, {refusals} refused");
    assert!(plans > 100 && refusals > plans);
}

fn variants(count: usize) -> Vec<(usize, usize, bool, bool, bool, bool)> {
    let bits = [false, true];
    let mut all = vec![];
    for target in 0..count {
        // the leader is the target, or it is not
        for leader in [target, (target + 1) % count] {
            for learner in bits {
                for stopped in bits {
                    for single in bits {
                        all.extend(
                            bits.map(|alarmed| (target, leader, learner, stopped, single, alarmed)),
                        );
                    }
                }
            }
        }
    }
    all.dedup();
    all
}

#[test]
fn a_plan_is_never_made_where_the_gate_says_no() {
    for states in all_states(4) {
        for (target, leader, learner, stopped, single, _) in variants(4) {
            let world = world(&states, leader, learner, None);
            let id = MemberId(0xa0 + target as u64);
            let wanted = wanted(&json!({
                "state": "absent", "name": format!("cp{}", target + 1), "target_stopped": stopped, "allow_single_member": single,
            }));
            let facts = Facts::new(&world.reading, &Evidence::weigh(&world.reading, None));
            let operation = Operation::Remove { target: id, runs: !stopped, then_rejoin: false };
            let gate = decide(&facts, operation, Permit { single_member: single, downtime: false });
            let plan = EtcdMember::plan(&wanted, &world);
            assert!(plan.is_err() || gate.is_ok(), "{world:?}: {plan:?}");
        }
    }
}

#[test]
fn learners_leftovers_and_joins_keep_the_laws() {
    let by_peer =
        |at: usize| json!({"state": "absent", "peer_address": format!("10.0.0.{}", at + 1)});
    for states in all_states(3) {
        // the learner itself goes; the voters are not asked
        let learner = world(&states, 0, true, None);
        testkit::laws::check::<EtcdMember>(&wanted(&by_peer(3)), &learner, |_| true);
        // the leader hands over, and is a member still
        let lead = json!({"state": "follower", "name": "cp1"});
        testkit::laws::check::<EtcdMember>(&wanted(&lead), &world(&states, 0, false, None), |_| {
            true
        });
        for leader in 0..3 {
            let lead = wanted(&json!({"leader": "cp2"}));
            testkit::laws::check::<EtcdMember>(&lead, &world(&states, leader, false, None), |_| {
                true
            });
        }
        // a join whose owner is gone: not there yet, or there and never started
        let forced =
            json!({"state": "voter", "name": "cp4", "peer_address": "10.0.0.4", "force": true});
        for learner in [false, true] {
            testkit::laws::check::<EtcdMember>(
                &wanted(&forced),
                &world(&states, 0, learner, None),
                |_| true,
            );
        }
        // it is gone already, and has left an alarm
        let left = world(
            &states,
            0,
            false,
            Some(Alarm { member: MemberId(0xa3), kind: AlarmKind::NoSpace }),
        );
        assert!(testkit::laws::check::<EtcdMember>(&wanted(&by_peer(3)), &left, |_| true));
        // it is to come
        for learner in [false, true] {
            let join = json!({"state": "voter", "name": "cp4", "peer_address": "10.0.0.4"});
            assert!(testkit::laws::check::<EtcdMember>(
                &wanted(&join),
                &world(&states, 0, learner, None),
                |_| true
            ));
        }
    }
}
