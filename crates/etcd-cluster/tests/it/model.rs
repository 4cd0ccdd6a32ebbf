//! A simulation of what an operation does to a cluster, written without the gate and without its formula.
//!
//! What was not seen to be healthy may be dead or alive: every combination of that is a *world*. In each world the
//! operation is carried out step by step on a small model of raft (who is listed with a vote, who runs, can a leader be
//! elected and commit) and of the server's own checks. An operation is safe when it goes through in every world, and the
//! cluster can commit at every point of it. Only the order of the steps and the user's permissions are looked up here.

/// One member of the model.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub struct M {
    pub voter: bool,
    pub named: bool,
    /// Seen to be healthy (for a learner: in sync).
    pub seen: bool,
    pub alarm: Option<Alarm>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub enum Alarm {
    Space,
    Corrupt,
}

/// An operation on member `T`, or on nobody.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Op {
    Remove { runs: bool, rejoin: bool },
    Stop,
    Start,
    Restart,
    Defragment,
    Promote,
    Add,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Rules {
    pub single: bool,
    pub downtime: bool,
    /// etcd before 3.5.30 and 3.6.11.
    pub old_server: bool,
    pub stale_list: bool,
}

/// What the model finds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Finding {
    Safe { stop_first: Option<bool> },
    Unsafe,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Act {
    Stop,
    Remove,
    Add,
    PromoteNew,
    PromoteTarget,
    Away { restart: bool },
}

/// A cluster in one world: one letter a member, by index; the newcomer has the last one.
struct Raft {
    voters: Vec<usize>,
    running: Vec<usize>,
}

impl Raft {
    /// Somebody can be elected by the running voters, and an entry of his is acknowledged by more of the voters than not.
    fn commits(&self) -> bool {
        let acks = |leader: &usize| {
            self.voters.iter().filter(|v| *v == leader || self.running.contains(v)).count()
        };
        let rest = |leader: &usize| self.voters.len() - acks(leader);
        self.voters
            .iter()
            .filter(|v| self.running.contains(v))
            .any(|leader| acks(leader) > rest(leader))
    }

    /// The server's own check before it proposes an addition: it counts the voters it is connected to.
    fn accepts_addition(&self, old: bool) -> bool {
        let connected = self.voters.iter().filter(|v| self.running.contains(v)).count();
        let missing = self.voters.len() - connected;
        if old {
            missing == 0
        } else {
            self.voters.len() == 1 && connected == 1
                || connected > missing + 1
                || (connected == missing + 1 && self.voters.len().is_multiple_of(2))
        }
    }
}

pub fn find(members: &[M], target: Option<usize>, op: Op, rules: Rules) -> Finding {
    let no_order =
        |yes: bool| if yes { Finding::Safe { stop_first: None } } else { Finding::Unsafe };
    if op == Op::Start {
        return no_order(true);
    }
    if rules.stale_list || disturbed(members, target, op) {
        return Finding::Unsafe;
    }
    let t = target.map(|at| members[at]);
    let tail = |rejoin: bool| if rejoin { vec![Act::Add, Act::PromoteNew] } else { vec![] };
    let goes = |acts: Vec<Act>| goes_through(members, target, &acts, rules);
    match op {
        Op::Remove { runs, rejoin } => {
            if t.is_some_and(|t| t.voter) && runs {
                return [true, false]
                    .into_iter()
                    .find(|stop_first| {
                        let first = if *stop_first {
                            [Act::Stop, Act::Remove]
                        } else {
                            [Act::Remove, Act::Stop]
                        };
                        goes([first.to_vec(), tail(rejoin)].concat())
                    })
                    .map_or(Finding::Unsafe, |stop_first| Finding::Safe {
                        stop_first: Some(stop_first),
                    });
            }
            no_order(goes([vec![Act::Remove], tail(rejoin)].concat()))
        }
        Op::Stop => no_order(goes(vec![Act::Stop])),
        Op::Restart => no_order(goes(vec![Act::Away { restart: true }])),
        Op::Defragment => no_order(goes(vec![Act::Away { restart: false }])),
        Op::Promote => no_order(goes(vec![Act::PromoteTarget])),
        Op::Add => no_order(goes(vec![Act::Add, Act::PromoteNew])),
        Op::Start => no_order(true),
    }
}

/// Somebody else's join, or an alarm that forbids it.
fn disturbed(members: &[M], target: Option<usize>, op: Op) -> bool {
    let removing = matches!(op, Op::Remove { .. });
    members.iter().enumerate().any(|(at, m)| {
        let own = Some(at) == target;
        let joining = !m.voter || !m.named;
        (joining && !own)
            || (m.alarm == Some(Alarm::Corrupt) && !(own && removing))
            || (m.alarm == Some(Alarm::Space) && op != Op::Defragment)
    })
}

/// Every world: each member that was not seen healthy is down in one half of them.
fn goes_through(members: &[M], target: Option<usize>, acts: &[Act], rules: Rules) -> bool {
    let unsure: Vec<usize> =
        (0..members.len()).filter(|at| !(members[*at].seen && members[*at].named)).collect();
    (0..1_u32 << unsure.len()).all(|world| {
        let up = |at: &usize| {
            unsure.iter().position(|u| u == at).is_none_or(|bit| world >> bit & 1 == 1)
        };
        let voters = (0..members.len()).filter(|at| members[*at].voter).collect();
        let raft = Raft { voters, running: (0..members.len()).filter(up).collect() };
        runs_in_world(members, raft, target, acts, rules)
    })
}

fn runs_in_world(
    members: &[M],
    mut raft: Raft,
    target: Option<usize>,
    acts: &[Act],
    rules: Rules,
) -> bool {
    let newcomer = members.len();
    acts.iter().all(|act| {
        let t = target.unwrap_or(usize::MAX);
        let votes = raft.voters.contains(&t);
        match act {
            // what has no vote takes none with it
            Act::Stop | Act::Remove | Act::Away { .. } if !votes => true,
            Act::Stop => {
                raft.running.retain(|m| *m != t);
                raft.commits()
            }
            Act::Remove => {
                let alone = raft.voters.len() < 2 || (raft.voters.len() == 2 && !rules.single);
                // the old configuration commits the change, the one after it must work
                let proposed = raft.commits();
                raft.voters.retain(|m| *m != t);
                // a removed member ends by itself
                raft.running.retain(|m| *m != t);
                !alone && proposed && raft.commits()
            }
            Act::Away { restart } => {
                let was = raft.running.contains(&t);
                raft.running.retain(|m| *m != t);
                let commits = raft.commits();
                raft.running.extend(was.then_some(t));
                commits || (*restart && rules.downtime && raft.voters.len() < 3)
            }
            Act::Add => raft.commits() && raft.accepts_addition(rules.old_server),
            Act::PromoteNew => {
                let proposed = raft.commits();
                // nobody has seen the newcomer healthy: it may die at once, unless the user took that risk with the last member
                let trusted = rules.single && raft.voters.len() == 1;
                raft.voters.push(newcomer);
                raft.running.extend(trusted.then_some(newcomer));
                proposed && raft.commits()
            }
            Act::PromoteTarget => {
                let learner = target
                    .is_some_and(|t| !members[t].voter && members[t].named && members[t].seen);
                let proposed = raft.commits();
                raft.voters.push(t);
                learner && proposed && raft.commits()
            }
        }
    })
}
