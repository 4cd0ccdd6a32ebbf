//! The gate: whether an operation may begin, judged over its whole path and in the worst case.
//!
//! A path is a list of [`SubStep`]s on membership and liveness. After every one of them, and before each that
//! needs a commit, the proven voters alive must be at least a quorum of the voters listed. A member that is stopped
//! or not proven is listed and not alive; a nameless voter counts as listed. The functions here know nothing but
//! what they are given, and they are compared with a simulation for every cluster of up to seven members.

use crate::{
    evidence::{Doubt, Evidence},
    member::{MemberId, Role},
    reading::{AlarmKind, Reading},
    version::AddRule,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

mod refusal;
pub use refusal::{Unsafe, phrase};

/// What the gate knows of one member.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fact {
    /// Its id.
    pub id: MemberId,
    /// How it is called in a refusal.
    pub label: String,
    /// Voter or learner.
    pub role: Role,
    /// It has started at least once.
    pub named: bool,
    /// All evidence was seen. For a learner: it is in sync.
    pub proven: bool,
    /// What is missing, in words.
    pub missing: Vec<String>,
    /// What is missing commonly goes away by itself.
    pub may_pass: bool,
    /// Its own alarms.
    pub alarms: BTreeSet<AlarmKind>,
}

impl Fact {
    /// A nameless member has published nothing, so nothing can have been seen of it.
    fn is_alive(&self) -> bool {
        self.proven && self.named
    }
}

/// Everything the gate knows.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Facts {
    /// All listed members.
    pub members: Vec<Fact>,
    /// The list was confirmed by a quorum.
    pub linearizable: bool,
    /// How the servers judge an addition.
    pub add_rule: AddRule,
    /// A CORRUPT alarm that etcd cannot attribute.
    pub corrupt_unknown: bool,
}

impl Facts {
    /// Gathers what one reading and its evidence tell.
    pub fn new(reading: &Reading, evidence: &Evidence) -> Self {
        let fact = |member: &crate::Member| {
            let doubts = evidence.doubts(member.id);
            // a learner is asked for no more than being one allows
            let learner = |doubt: &&Doubt| {
                member.is_voter()
                    || !matches!(
                        doubt,
                        Doubt::Learner | Doubt::NotLinearizable(_) | Doubt::ListUnknown
                    )
            };
            let open: Vec<&Doubt> = doubts.iter().filter(learner).collect();
            let alarms = reading.alarms.iter().flatten().filter(|alarm| alarm.member == member.id);
            Fact {
                id: member.id,
                label: member.label(),
                role: member.role,
                named: !member.is_nameless(),
                proven: open.is_empty() && evidence.0.contains_key(&member.id),
                missing: open.iter().map(ToString::to_string).collect(),
                may_pass: open.iter().all(|doubt| doubt.may_pass()),
                alarms: alarms.map(|alarm| alarm.kind).collect(),
            }
        };
        let versions = reading
            .answers
            .values()
            .filter_map(|answer| answer.status.as_ref())
            .map(|s| s.version.as_str());
        let unknown = |alarm: &crate::reading::Alarm| {
            alarm.member == MemberId(0) && alarm.kind == AlarmKind::Corrupt
        };
        Self {
            members: reading.members.iter().map(fact).collect(),
            linearizable: reading.linearizable,
            add_rule: AddRule::of(versions),
            corrupt_unknown: reading.alarms.iter().flatten().any(unknown),
        }
    }

    /// Supposes that what commonly passes has passed: a refusal that stands even then will not go away by waiting.
    #[must_use]
    pub fn settled(&self) -> Self {
        let settle = |fact: &Fact| Fact { proven: fact.proven || fact.may_pass, ..fact.clone() };
        Self {
            members: self.members.iter().map(settle).collect(),
            linearizable: true,
            ..self.clone()
        }
    }

    fn get(&self, id: MemberId) -> Option<&Fact> {
        self.members.iter().find(|fact| fact.id == id)
    }
}

/// One indivisible change of membership or liveness.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SubStep {
    /// Its process or host ends.
    Stop(MemberId),
    /// It is listed no more.
    Remove(MemberId),
    /// A learner is added.
    Add,
    /// A learner becomes a voter; `None` is the one added on this path.
    Promote(Option<MemberId>),
    /// Its process begins. It is not alive before it is proven again.
    Start(MemberId),
    /// It is away until it is proven again, which is waited for.
    Restart(MemberId),
    /// It serves nothing until it is done, which is waited for.
    Defragment(MemberId),
}

/// What somebody wants to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// Take a member out of the cluster, and perhaps bring a fresh one in its place.
    Remove {
        /// Which.
        target: MemberId,
        /// It still runs and is to be stopped on the way.
        runs: bool,
        /// A fresh member joins afterwards.
        then_rejoin: bool,
    },
    /// Stop a member for good.
    Stop(MemberId),
    /// Start a member.
    Start(MemberId),
    /// Restart a member and wait for it.
    Restart(MemberId),
    /// Defragment a member.
    Defragment(MemberId),
    /// Add a member as a learner, which then becomes a voter.
    Add,
    /// Make a learner a voter.
    Promote(MemberId),
}

/// What the user has allowed explicitly.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Permit {
    /// Going from two voters to one.
    pub single_member: bool,
    /// Restarting one of one or two voters, which stops every write meanwhile.
    pub downtime: bool,
}

/// What comes first where a member is both stopped and removed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// The rule: what does not run cannot come back by itself.
    StopFirst,
    /// With an even number of voters the stop alone can cost the quorum, and the removal could never commit.
    RemoveFirst,
}

/// A yes, and the path that was judged.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Verdict {
    /// The sub-steps in their order.
    pub path: Vec<SubStep>,
    /// Set where a running voter is removed.
    pub order: Option<Order>,
    /// What would have been the reason against it without the user's permission; to be shown and logged.
    pub exception: Option<Unsafe>,
}

/// Decides on an operation, and on the order of its sub-steps.
///
/// # Errors
/// The reason against it.
pub fn decide(facts: &Facts, operation: Operation, permit: Permit) -> Result<Verdict, Unsafe> {
    let rejoin = |yes: bool| if yes { vec![SubStep::Add, SubStep::Promote(None)] } else { vec![] };
    let pass = |path: Vec<SubStep>, order: Option<Order>| {
        judge(facts, &path, permit)?;
        let exception = judge(facts, &path, Permit::default()).err();
        Ok(Verdict { path, order, exception })
    };
    let plain = |path: Vec<SubStep>| pass(path, None);
    match operation {
        Operation::Remove { target, runs, then_rejoin } => {
            let voter = facts.get(target).is_some_and(|fact| fact.role == Role::Voter);
            if !runs || !voter {
                return plain([vec![SubStep::Remove(target)], rejoin(then_rejoin)].concat());
            }
            let ordered = |order: Order| {
                let (stop, remove) = (SubStep::Stop(target), SubStep::Remove(target));
                let first =
                    if order == Order::StopFirst { vec![stop, remove] } else { vec![remove, stop] };
                pass([first, rejoin(then_rejoin)].concat(), Some(order))
            };
            // whatever passes with the stop first passes with the removal first too: the reason of the latter is the real one
            ordered(Order::StopFirst).or_else(|_| ordered(Order::RemoveFirst))
        }
        Operation::Stop(id) => plain(vec![SubStep::Stop(id)]),
        Operation::Start(id) => plain(vec![SubStep::Start(id)]),
        Operation::Restart(id) => plain(vec![SubStep::Restart(id)]),
        Operation::Defragment(id) => plain(vec![SubStep::Defragment(id)]),
        Operation::Add => plain(vec![SubStep::Add, SubStep::Promote(None)]),
        Operation::Promote(id) => plain(vec![SubStep::Promote(Some(id))]),
    }
}

/// Judges a path as it stands.
///
/// # Errors
/// The reason against it.
pub fn judge(facts: &Facts, path: &[SubStep], permit: Permit) -> Result<(), Unsafe> {
    // starting what is listed can only help, and must work when nothing else does
    if path.iter().all(|step| matches!(step, SubStep::Start(_))) {
        return Ok(());
    }
    refusal::always(facts, path)?;
    let mut world = World::new(facts);
    path.iter().try_for_each(|step| world.take(facts, *step, permit))
}

/// Who is listed with a vote, and who of them is alive, at one point of the path.
struct World {
    listed: BTreeSet<MemberId>,
    alive: BTreeSet<MemberId>,
    /// The member added on this path, once it has a vote: whether it is alive.
    joined: Option<bool>,
}

impl World {
    fn new(facts: &Facts) -> Self {
        let voters = || facts.members.iter().filter(|fact| fact.role == Role::Voter);
        let alive = voters().filter(|fact| fact.is_alive()).map(|fact| fact.id).collect();
        Self { listed: voters().map(|fact| fact.id).collect(), alive, joined: None }
    }

    fn voters(&self) -> usize {
        self.listed.len() + usize::from(self.joined.is_some())
    }

    fn living(&self) -> usize {
        self.alive.len() + usize::from(self.joined == Some(true))
    }

    fn take(&mut self, facts: &Facts, step: SubStep, permit: Permit) -> Result<(), Unsafe> {
        match step {
            SubStep::Stop(id) if self.listed.contains(&id) => {
                self.alive.remove(&id);
                self.hold(facts, step)
            }
            SubStep::Restart(id) | SubStep::Defragment(id) if self.listed.contains(&id) => {
                self.be_away(facts, step, id, permit)
            }
            SubStep::Remove(id) if self.listed.contains(&id) => {
                self.remove(facts, step, id, permit)
            }
            SubStep::Add => self.add(facts, step),
            SubStep::Promote(id) => self.promote(facts, step, id, permit),
            // a learner that goes away or leaves takes no vote with it, and whoever comes back is not alive before it is proven
            SubStep::Stop(_)
            | SubStep::Remove(_)
            | SubStep::Start(_)
            | SubStep::Restart(_)
            | SubStep::Defragment(_) => Ok(()),
        }
    }

    fn be_away(
        &mut self,
        facts: &Facts,
        step: SubStep,
        id: MemberId,
        permit: Permit,
    ) -> Result<(), Unsafe> {
        let allowed = permit.downtime && matches!(step, SubStep::Restart(_)) && self.voters() <= 2;
        let was = self.alive.remove(&id);
        if !allowed {
            self.hold(facts, step)?;
        }
        if was {
            self.alive.insert(id);
        }
        Ok(())
    }

    fn remove(
        &mut self,
        facts: &Facts,
        step: SubStep,
        id: MemberId,
        permit: Permit,
    ) -> Result<(), Unsafe> {
        let label = || facts.get(id).map_or_else(|| id.to_string(), |fact| fact.label.clone());
        match self.voters() {
            0 | 1 => return Err(Unsafe::LastVoter { member: label() }),
            2 if !permit.single_member => return Err(Unsafe::SingleMember { member: label() }),
            _ => {}
        }
        // the removal itself is committed by a quorum of the voters listed before it
        self.hold(facts, step)?;
        self.listed.remove(&id);
        self.alive.remove(&id);
        self.hold(facts, step)
    }

    fn add(&mut self, facts: &Facts, step: SubStep) -> Result<(), Unsafe> {
        self.hold(facts, step)?;
        let (voters, connected) = (self.voters(), self.living());
        let needed = match facts.add_rule {
            AddRule::AllConnected => voters,
            AddRule::QuorumConnected if voters == 1 => 1,
            AddRule::QuorumConnected => quorum(voters + 1),
        };
        if connected >= needed {
            Ok(())
        } else {
            Err(Unsafe::AddRefused { connected, needed, missing: self.missing(facts) })
        }
    }

    fn promote(
        &mut self,
        facts: &Facts,
        step: SubStep,
        id: Option<MemberId>,
        permit: Permit,
    ) -> Result<(), Unsafe> {
        self.hold(facts, step)?;
        match id {
            // etcd refuses to promote a learner that is behind, which proves no health; from one voter there is no other way to two
            None => self.joined = Some(permit.single_member && self.voters() == 1),
            Some(id) => {
                let fact = facts.get(id).filter(|fact| fact.role == Role::Learner);
                let fact = fact.ok_or_else(|| Unsafe::NotALearner { member: id.to_string() })?;
                if !fact.is_alive() {
                    let missing = fact.missing.join(", ");
                    return Err(Unsafe::NotInSync { member: fact.label.clone(), missing });
                }
                self.listed.insert(id);
                self.alive.insert(id);
            }
        }
        self.hold(facts, step)
    }

    /// The one inequality.
    fn hold(&self, facts: &Facts, step: SubStep) -> Result<(), Unsafe> {
        let (voters, alive, needed) = (self.voters(), self.living(), quorum(self.voters()));
        if alive >= needed {
            return Ok(());
        }
        Err(Unsafe::NoQuorum {
            step: refusal::phrase(facts, step),
            voters,
            alive,
            needed,
            missing: self.missing(facts),
        })
    }

    fn missing(&self, facts: &Facts) -> Vec<String> {
        let down = facts
            .members
            .iter()
            .filter(|fact| self.listed.contains(&fact.id) && !self.alive.contains(&fact.id));
        down.map(refusal::missing).collect()
    }
}

/// How many voters must agree.
pub const fn quorum(voters: usize) -> usize {
    voters / 2 + 1
}
