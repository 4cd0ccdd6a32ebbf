//! The gate and the simulation agree on every cluster of up to seven members.
//!
//! Members are told apart by what they are (role, name, health, alarm) and by being the target, and by nothing else: the
//! gate looks at sets, the simulation at counts over sets. So the others are enumerated as multisets. That this symmetry
//! is real is itself checked, on every ordered cluster of up to four members.

use crate::model::{self, Alarm, Finding, M, Op, Rules};
use etcd_cluster::{
    gate::{Fact, Facts, Operation, Order, Permit, decide},
    member::{MemberId, Role},
    reading::AlarmKind,
    version::AddRule,
};
use std::collections::BTreeMap;

fn kinds() -> Vec<M> {
    let alarms = [None, Some(Alarm::Space), Some(Alarm::Corrupt)];
    let bits = [false, true];
    let all = bits.iter().flat_map(|voter| bits.map(|named| (*voter, named))).flat_map(|(voter, named)| bits.map(|seen| (voter, named, seen)));
    let all = all.flat_map(|(voter, named, seen)| alarms.map(|alarm| M { voter, named, seen, alarm }));
    // an alarm is a doubt: who has one is not proven
    all.filter(|m| m.alarm.is_none() || !m.seen).collect()
}

const OPS: [Op; 10] = [
    Op::Remove { runs: true, rejoin: false },
    Op::Remove { runs: true, rejoin: true },
    Op::Remove { runs: false, rejoin: false },
    Op::Remove { runs: false, rejoin: true },
    Op::Stop,
    Op::Start,
    Op::Restart,
    Op::Defragment,
    Op::Promote,
    Op::Add,
];

fn rules() -> Vec<Rules> {
    let bits = [false, true];
    let two = bits.iter().flat_map(|single| bits.map(|downtime| (*single, downtime)));
    let mut all: Vec<Rules> =
        two.flat_map(|(single, downtime)| bits.map(|old_server| Rules { single, downtime, old_server, stale_list: false })).collect();
    all.push(Rules { stale_list: true, ..Rules::default() });
    all
}

fn facts(members: &[M], rules: Rules) -> Facts {
    let fact = |(at, m): (usize, &M)| Fact {
        id: MemberId(at as u64 + 1),
        label: format!("m{at}"),
        role: if m.voter { Role::Voter } else { Role::Learner },
        named: m.named,
        proven: m.seen,
        missing: vec![],
        may_pass: false,
        alarms: m.alarm.iter().map(|alarm| if *alarm == Alarm::Space { AlarmKind::NoSpace } else { AlarmKind::Corrupt }).collect(),
    };
    Facts {
        members: members.iter().enumerate().map(fact).collect(),
        linearizable: !rules.stale_list,
        add_rule: if rules.old_server { AddRule::AllConnected } else { AddRule::QuorumConnected },
        corrupt_unknown: false,
    }
}

fn gate(members: &[M], target: Option<usize>, op: Op, rules: Rules) -> (Finding, &'static str) {
    let id = target.map_or(MemberId(0), |at| MemberId(at as u64 + 1));
    let operation = match op {
        Op::Remove { runs, rejoin } => Operation::Remove { target: id, runs, then_rejoin: rejoin },
        Op::Stop => Operation::Stop(id),
        Op::Start => Operation::Start(id),
        Op::Restart => Operation::Restart(id),
        Op::Defragment => Operation::Defragment(id),
        Op::Promote => Operation::Promote(id),
        Op::Add => Operation::Add,
    };
    let permit = Permit { single_member: rules.single, downtime: rules.downtime };
    match decide(&facts(members, rules), operation, permit) {
        Ok(verdict) => {
            let path = verdict.order.map_or("no order", |o| if o == Order::StopFirst { "stop first" } else { "remove first" });
            (Finding::Safe { stop_first: verdict.order.map(|o| o == Order::StopFirst) }, path)
        }
        Err(no) => (Finding::Unsafe, no.code()),
    }
}

/// What was compared, and how it came out.
#[derive(Default)]
struct Count {
    clusters: usize,
    decisions: usize,
    outcomes: BTreeMap<&'static str, usize>,
}

impl Count {
    /// Operations of a target that must not matter (an addition has none) are asked once.
    fn compare(&mut self, members: &[M], target: usize, all_rules: &[Rules]) {
        self.clusters += 1;
        for op in OPS {
            let target = (op != Op::Add).then_some(target);
            for rules in all_rules {
                let (found, why) = gate(members, target, op, *rules);
                let model = model::find(members, target, op, *rules);
                assert_eq!(found, model, "the gate says {why}: {op:?} of {target:?} in {members:?} with {rules:?}");
                self.decisions += 1;
                *self.outcomes.entry(why).or_default() += 1;
            }
        }
    }
}

/// Calls back with every multiset of `size` kinds, as a sorted list appended to `chosen`.
fn multisets(kinds: &[M], size: usize, chosen: &mut Vec<M>, each: &mut dyn FnMut(&[M])) {
    if size == 0 {
        return each(chosen);
    }
    for (at, kind) in kinds.iter().enumerate() {
        chosen.push(*kind);
        multisets(&kinds[at..], size - 1, chosen, each);
        chosen.pop();
    }
}

#[test]
fn the_gate_agrees_with_the_simulation_for_every_cluster_of_up_to_seven_members() {
    let (kinds, rules, mut count) = (kinds(), rules(), Count::default());
    for size in 1..=7 {
        for target in &kinds {
            // more than two that join or have an alarm decide nothing that two do not: any one of them forbids all but a start
            // or, for NOSPACE, a defragmentation; the first place is the target's
            let mut each = |members: &[M]| {
                let odd = members[1..].iter().filter(|m| m.alarm.is_some() || !m.voter || !m.named).count();
                let sample = if odd > 2 { &rules[..1] } else { &rules[..] };
                count.compare(members, 0, sample);
            };
            multisets(&kinds, size - 1, &mut vec![*target], &mut each);
        }
    }
    println!("{} clusters with a target, {} decisions, 0 disagreements: {:?}", count.clusters, count.decisions, count.outcomes);
    assert!(count.outcomes.len() >= 9, "every reason occurs: {:?}", count.outcomes);
}

#[test]
fn who_stands_where_in_the_list_does_not_matter() {
    let (kinds, rules, mut count) = (kinds(), rules(), Count::default());
    let mut clusters: Vec<Vec<M>> = vec![vec![]];
    for size in 1..=4 {
        clusters = clusters.iter().flat_map(|c| kinds.iter().map(move |k| [c.as_slice(), &[*k]].concat())).collect();
        // the largest size with the rules that decide most
        let sample = if size == 4 { &rules[..2] } else { &rules[..] };
        for members in &clusters {
            for target in 0..size {
                count.compare(members, target, sample);
            }
        }
    }
    println!("{} ordered clusters with a target, {} decisions, 0 disagreements", count.clusters, count.decisions);
}

#[test]
fn plain_voters_in_any_order_up_to_seven() {
    let (rules, mut count) = (rules(), Count::default());
    for size in 1..=7_usize {
        for healthy in 0..1_u32 << size {
            let one = |at| M { voter: true, named: true, seen: healthy >> at & 1 == 1, alarm: None };
            let members: Vec<M> = (0..size).map(one).collect();
            (0..size).for_each(|target| count.compare(&members, target, &rules));
        }
    }
    println!("{} ordered clusters with a target, {} decisions, 0 disagreements: {:?}", count.clusters, count.decisions, count.outcomes);
}

fn voters(count: usize, unproven: usize) -> Vec<M> {
    // the target is the first and healthy
    (0..count).map(|at| M { voter: true, named: true, seen: at < count - unproven, alarm: None }).collect()
}

#[test]
fn the_worked_values() {
    let remove = Op::Remove { runs: true, rejoin: false };
    let of = |n, u| gate(&voters(n, u), Some(0), remove, Rules::default()).1;
    let rows = [(3, 0), (3, 1), (4, 0), (4, 1), (4, 2), (5, 1), (5, 2), (6, 1), (6, 2), (6, 3), (7, 2), (7, 3), (1, 0), (2, 0)];
    let said: Vec<String> = rows.iter().map(|(n, u)| format!("{n}-{u}: {}", of(*n, *u))).collect();
    assert_eq!(
        said,
        [
            "3-0: stop first", "3-1: quorum", "4-0: stop first", "4-1: remove first", "4-2: quorum", "5-1: stop first", "5-2: quorum",
            "6-1: stop first", "6-2: remove first", "6-3: quorum", "7-2: stop first", "7-3: quorum", "1-0: last_voter", "2-0: single_member"
        ]
    );
    let single = Rules { single: true, ..Rules::default() };
    assert_eq!(gate(&voters(2, 0), Some(0), remove, single).1, "remove first");
    assert_eq!(gate(&voters(2, 1), Some(0), remove, single).1, "quorum");
}

#[test]
fn four_voters_with_one_dead_lose_a_live_one_by_removal_first() {
    let dead_other = voters(4, 1);
    assert_eq!(gate(&dead_other, Some(0), Op::Remove { runs: true, rejoin: false }, Rules::default()).1, "remove first");
    // and the dead one itself is no trouble at all
    assert_eq!(gate(&dead_other, Some(3), Op::Remove { runs: false, rejoin: true }, Rules::default()).1, "no order");
}

#[test]
fn a_nameless_running_voter_beside_a_dead_one_is_not_removed() {
    let mut members = voters(3, 1);
    members[0] = M { named: false, seen: false, ..members[0] };
    assert_eq!(gate(&members, Some(0), Op::Remove { runs: true, rejoin: false }, Rules::default()).1, "quorum");
}
