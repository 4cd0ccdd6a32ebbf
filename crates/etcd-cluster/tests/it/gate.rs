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

/// Every role, name and health; and every alarm where that is asked for.
fn kinds(with_alarms: bool) -> Vec<M> {
    let all = [None, Some(Alarm::Space), Some(Alarm::Corrupt)];
    let alarms = if with_alarms { &all[..] } else { &all[..1] };
    let bits = [false, true];
    let all = bits
        .iter()
        .flat_map(|voter| bits.map(|named| (*voter, named)))
        .flat_map(|(voter, named)| bits.map(|seen| (voter, named, seen)));
    let all = all.flat_map(|(voter, named, seen)| {
        alarms.iter().map(move |alarm| M { voter, named, seen, alarm: *alarm })
    });
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
    let mut all: Vec<Rules> = two
        .flat_map(|(single, downtime)| {
            bits.map(|old_server| Rules { single, downtime, old_server, stale_list: false })
        })
        .collect();
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
        alarms: m
            .alarm
            .iter()
            .map(
                |alarm| {
                    if *alarm == Alarm::Space { AlarmKind::NoSpace } else { AlarmKind::Corrupt }
                },
            )
            .collect(),
    };
    Facts {
        members: members.iter().enumerate().map(fact).collect(),
        linearizable: !rules.stale_list,
        add_rule: if rules.old_server { AddRule::AllConnected } else { AddRule::QuorumConnected },
        corrupt_unknown: false,
    }
}

fn gate(members: &[M], target: Option<usize>, op: Op, rules: Rules) -> (Finding, &'static str) {
    ask(&facts(members, rules), target, op, rules)
}

fn ask(facts: &Facts, target: Option<usize>, op: Op, rules: Rules) -> (Finding, &'static str) {
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
    match decide(facts, operation, permit) {
        Ok(verdict) => {
            let path = verdict.order.map_or("no order", |o| {
                if o == Order::StopFirst { "stop first" } else { "remove first" }
            });
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
    /// Compares every operation under every rule that can matter to it; where `all` is set, under the others too.
    fn compare(&mut self, members: &[M], target: usize, all: bool) {
        self.clusters += 1;
        let facts = [false, true]
            .map(|old_server| facts(members, Rules { old_server, ..Rules::default() }));
        for op in OPS {
            // an addition has no target
            let target = (op != Op::Add).then_some(target);
            for rules in rules().into_iter().filter(|rules| all || matters(op, *rules)) {
                let facts = Facts {
                    linearizable: !rules.stale_list,
                    ..facts[usize::from(rules.old_server)].clone()
                };
                let (found, why) = ask(&facts, target, op, rules);
                let model = model::find(members, target, op, rules);
                assert_eq!(
                    found, model,
                    "the gate says {why}: {op:?} of {target:?} in {members:?} with {rules:?}"
                );
                self.decisions += 1;
                *self.outcomes.entry(why).or_default() += 1;
            }
        }
    }

    fn print(&self, what: &str) {
        println!(
            "{what}: {} clusters with a target, {} decisions, 0 disagreements: {:?}",
            self.clusters, self.decisions, self.outcomes
        );
    }
}

/// Permissions and server rules speak of some operations only; that they mean nothing to the others is checked on small clusters.
fn matters(op: Op, rules: Rules) -> bool {
    let adds = matches!(op, Op::Add | Op::Remove { rejoin: true, .. });
    let removes = matches!(op, Op::Remove { .. });
    (!rules.single || adds || removes)
        && (!rules.downtime || op == Op::Restart)
        && (!rules.old_server || adds)
        && !rules.stale_list
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

/// The target comes first, the others as multisets.
fn compare_multisets(kinds: &[M], up_to: usize) -> Count {
    let mut count = Count::default();
    for size in 1..=up_to {
        for target in kinds {
            let mut each = |members: &[M]| count.compare(members, 0, size <= 3);
            multisets(kinds, size - 1, &mut vec![*target], &mut each);
        }
    }
    count
}

fn compare_ordered(kinds: &[M], up_to: usize) -> Count {
    let (mut count, mut clusters) = (Count::default(), vec![vec![]]);
    for size in 1..=up_to {
        clusters = clusters
            .iter()
            .flat_map(|c: &Vec<M>| kinds.iter().map(move |k| [c.as_slice(), &[*k]].concat()))
            .collect();
        for members in &clusters {
            (0..size).for_each(|target| count.compare(members, target, false));
        }
    }
    count
}

#[test]
fn the_gate_agrees_with_the_simulation_for_every_cluster_of_up_to_seven_members() {
    let count = compare_multisets(&kinds(false), 7);
    count.print("up to seven, any order");
    assert!(
        ["stop first", "remove first", "no order", "quorum"]
            .iter()
            .all(|why| count.outcomes.contains_key(why))
    );
}

#[test]
fn with_every_alarm_up_to_four_members() {
    let count = compare_multisets(&kinds(true), 4);
    count.print("up to four with alarms, any order");
    assert!(
        ["corrupt", "no_space", "stale_list"].iter().all(|why| count.outcomes.contains_key(why))
    );
}

#[test]
fn who_stands_where_in_the_list_does_not_matter() {
    compare_ordered(&kinds(false), 3).print("up to three, every order");
    compare_ordered(&kinds(true), 2).print("up to two with alarms, every order");
}

#[test]
fn plain_voters_in_every_order_up_to_seven() {
    let mut count = Count::default();
    for size in 1..=7_usize {
        for healthy in 0..1_u32 << size {
            let one =
                |at| M { voter: true, named: true, seen: healthy >> at & 1 == 1, alarm: None };
            let members: Vec<M> = (0..size).map(one).collect();
            (0..size).for_each(|target| count.compare(&members, target, false));
        }
    }
    count.print("plain voters up to seven, every order");
}

fn voters(count: usize, unproven: usize) -> Vec<M> {
    // the target is the first and healthy
    (0..count)
        .map(|at| M { voter: true, named: true, seen: at < count - unproven, alarm: None })
        .collect()
}

#[test]
fn the_worked_values() {
    let remove = Op::Remove { runs: true, rejoin: false };
    let of = |n, u| gate(&voters(n, u), Some(0), remove, Rules::default()).1;
    let rows = [
        (3, 0),
        (3, 1),
        (4, 0),
        (4, 1),
        (4, 2),
        (5, 1),
        (5, 2),
        (6, 1),
        (6, 2),
        (6, 3),
        (7, 2),
        (7, 3),
        (1, 0),
        (2, 0),
    ];
    let said: Vec<String> = rows.iter().map(|(n, u)| format!("{n}-{u}: {}", of(*n, *u))).collect();
    assert_eq!(
        said,
        [
            "3-0: stop first",
            "3-1: quorum",
            "4-0: stop first",
            "4-1: remove first",
            "4-2: quorum",
            "5-1: stop first",
            "5-2: quorum",
            "6-1: stop first",
            "6-2: remove first",
            "6-3: quorum",
            "7-2: stop first",
            "7-3: quorum",
            "1-0: last_voter",
            "2-0: single_member"
        ]
    );
    let single = Rules { single: true, ..Rules::default() };
    assert_eq!(gate(&voters(2, 0), Some(0), remove, single).1, "remove first");
    assert_eq!(gate(&voters(2, 1), Some(0), remove, single).1, "quorum");
}

#[test]
fn four_voters_with_one_dead_lose_a_live_one_by_removal_first() {
    let dead_other = voters(4, 1);
    assert_eq!(
        gate(&dead_other, Some(0), Op::Remove { runs: true, rejoin: false }, Rules::default()).1,
        "remove first"
    );
    // and the dead one itself is no trouble at all
    assert_eq!(
        gate(&dead_other, Some(3), Op::Remove { runs: false, rejoin: true }, Rules::default()).1,
        "no order"
    );
}

#[test]
fn a_nameless_running_voter_beside_a_dead_one_is_not_removed() {
    let mut members = voters(3, 1);
    members[0] = M { named: false, seen: false, ..members[0] };
    assert_eq!(
        gate(&members, Some(0), Op::Remove { runs: true, rejoin: false }, Rules::default()).1,
        "quorum"
    );
}
