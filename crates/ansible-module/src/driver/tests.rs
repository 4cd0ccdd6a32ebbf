//! Two toy modules: a drain whose pods come and go, and a rolling defragmentation whose leader moves by itself.

use super::*;
use crate::{BadArgs, Limit, Options, Returns};
use std::{collections::BTreeMap, collections::BTreeSet, fmt, time::SystemTime};

type Name = &'static str;

/// Does nothing that needs options.
#[derive(Options, Debug)]
struct NoArgs {
    /// Unused.
    force: Option<u64>,
}

/// What is shown.
#[derive(Returns, serde::Serialize, PartialEq, Debug)]
struct Shown {
    /// All of it.
    text: String,
}

/// Pods come and go, budgets say "not now", and after a deadline the plan goes on by force.
#[derive(Clone, Default, Debug)]
struct Node {
    cordoned: bool,
    /// Name, and whether it is terminating.
    pods: BTreeMap<Name, bool>,
}

#[derive(Default)]
struct Drain {
    node: Node,
    /// Evictions that are answered 429.
    held: u32,
    /// Evicted pods never go.
    stuck: bool,
    /// One tolerant pod at each reading.
    arrives: Vec<Name>,
    /// The lock is somebody else's after this many changes.
    fenced_after: Option<u32>,
}

impl Module for Drain {
    const NAME: &'static str = "drain";
    const EXAMPLES: &'static str = "";
    type Args = NoArgs;
    type Wanted = Option<Duration>;
    type Observed = Node;
    type Step = Name;
    type View = Shown;

    fn wanted(args: NoArgs, _: SystemTime) -> Result<Self::Wanted, BadArgs> {
        Ok(args.force.map(Duration::from_secs))
    }
    fn plan(force: &Self::Wanted, node: &Node) -> Result<Vec<Name>, Refusal> {
        let (some, staying) = (!node.pods.is_empty(), node.pods.values().any(|going| !going));
        // The worst case: the wait before it was in vain.
        let delete = some && force.is_some();
        let steps = [
            (!node.cordoned, "cordon"),
            (staying, "evict"),
            (some, "await gone"),
            (delete, "delete"),
        ];
        Ok(steps.into_iter().filter(|(needed, _)| *needed).map(|(_, step)| step).collect())
    }
    fn project(node: &Node, step: &Name) -> Node {
        let (cordoned, mut pods) = (node.cordoned || *step == "cordon", node.pods.clone());
        for going in pods.values_mut() {
            *going |= *step == "evict";
        }
        pods.retain(|_, _| ["cordon", "evict"].contains(step));
        Node { cordoned, pods }
    }
    fn view(node: &Node) -> Shown {
        Shown { text: format!("{} {:?}", node.cordoned, node.pods.keys()) }
    }
    fn kind(step: &Name) -> Kind {
        if *step == "await gone" { Kind::Wait } else { Kind::Change }
    }
    fn limit(force: &Self::Wanted, _: &Node, step: &Name) -> Limit {
        let force = force.filter(|_| *step == "await gone");
        Limit { after: force.unwrap_or(Duration::from_mins(2)), go_on: force.is_some() }
    }
    async fn open(_: &Self::Wanted) -> anyhow::Result<Self> {
        Ok(Self::default())
    }
    async fn observe(&mut self, _: &Self::Wanted) -> anyhow::Result<Node> {
        let seen = self.node.clone();
        self.node.pods.retain(|_, going| !*going || self.stuck);
        self.node.pods.extend(self.arrives.pop().map(|name| (name, false)));
        Ok(seen)
    }
    async fn fence(&mut self, _: &Self::Wanted) -> Result<(), Refusal> {
        let left = self.fenced_after.map_or(1, |left| left);
        self.fenced_after = self.fenced_after.map(|left| left.saturating_sub(1));
        if left == 0 {
            Err(Refusal::finally("lock_lost", "the lock is held by another run"))
        } else {
            Ok(())
        }
    }
    async fn apply(&mut self, step: &Name, _: &Node) -> anyhow::Result<Applied> {
        let held = *step == "evict" && self.held > 0;
        self.held -= u32::from(held);
        self.node = if held { self.node.clone() } else { Self::project(&self.node, step) };
        let again = Applied::Again(Duration::from_secs(5), "a budget may hold some".into());
        Ok(if *step == "evict" { again } else { Applied::Sent })
    }
}

/// Rolling defragmentation: what was done shows only in a reply, and leadership moves by itself.
#[derive(Clone, Default, Debug)]
struct Cluster {
    leader: Name,
    /// Name, and whether it is fragmented and healthy.
    members: BTreeMap<Name, (bool, bool)>,
    /// Done by this run: a reply is an observation too.
    fresh: BTreeSet<Name>,
}

/// A change defragments, upkeep moves leadership off, a wait is for health.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Step(Kind, Name);

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

type Event = fn(&mut Cluster) -> anyhow::Result<()>;
/// The events happen right after a defragmentation.
struct Defrag(Cluster, Vec<Event>);

impl Module for Defrag {
    const NAME: &'static str = "defrag";
    const EXAMPLES: &'static str = "";
    type Args = NoArgs;
    type Wanted = ();
    type Observed = Cluster;
    type Step = Step;
    type View = Shown;

    fn wanted(_: NoArgs, _: SystemTime) -> Result<(), BadArgs> {
        Ok(())
    }
    fn plan((): &(), cluster: &Cluster) -> Result<Vec<Step>, Refusal> {
        let ill = cluster.members.iter().filter(|(_, member)| !member.1).map(|(name, _)| *name);
        if let Some(name) = ill.clone().find(|name| !cluster.fresh.contains(name)) {
            return Err(Refusal::passing("member_unhealthy", format!("{name:?} is not healthy")));
        }
        let due = |name: &Name| cluster.members[name].0 && !cluster.fresh.contains(name);
        let mut targets: Vec<_> = cluster.members.keys().copied().filter(due).collect();
        targets.sort_by_key(|name| *name == cluster.leader);
        let mut steps: Vec<_> = ill.map(|name| Step(Kind::Wait, name)).collect();
        for name in targets {
            steps.extend((name == cluster.leader).then_some(Step(Kind::Upkeep, name)));
            steps.extend([Step(Kind::Change, name), Step(Kind::Wait, name)]);
        }
        Ok(steps)
    }
    fn project(cluster: &Cluster, step: &Step) -> Cluster {
        let mut cluster = cluster.clone();
        match *step {
            Step(Kind::Upkeep, from) => cluster.leader = if from == "a" { "b" } else { "a" },
            Step(Kind::Wait, name) => cluster.members.entry(name).or_default().1 = true,
            Step(Kind::Change, name) => {
                // The worst case: it must prove itself again.
                cluster.members.insert(name, (false, false));
                cluster.fresh.insert(name);
            }
        }
        cluster
    }
    fn view(cluster: &Cluster) -> Shown {
        Shown { text: format!("{:?}", cluster.members) }
    }
    fn kind(step: &Step) -> Kind {
        step.0
    }
    async fn open((): &()) -> anyhow::Result<Self> {
        anyhow::bail!("made by the tests")
    }
    async fn observe(&mut self, (): &()) -> anyhow::Result<Cluster> {
        let seen = self.0.clone();
        self.0.members.values_mut().for_each(|member| member.1 = true);
        Ok(seen)
    }
    async fn apply(&mut self, step: &Step, _: &Cluster) -> anyhow::Result<Applied> {
        if *step == Step(Kind::Change, self.0.leader) {
            return Ok(Applied::Again(Duration::ZERO, "it became the leader".into()));
        }
        assert!(self.0.members.values().all(|member| member.1), "two members away at once");
        self.0 = Self::project(&self.0, step);
        let event = self.1.pop().filter(|_| step.0 == Kind::Change);
        event.map_or(Ok(()), |happens| happens(&mut self.0)).map(|()| Applied::Sent)
    }
}

fn cluster(fragmented: usize, healthy: usize, leader: usize) -> Cluster {
    let names = ["a", "b", "c"];
    let members =
        (0..3).map(|at| (names[at], (fragmented >> at & 1 == 1, healthy >> at & 1 == 1))).collect();
    Cluster { leader: names[leader], members, fresh: [].into() }
}

fn node() -> Node {
    Node { cordoned: false, pods: [("x", false)].into() }
}

/// The result, the steps done, how many are in doubt. Stops when a step of this name is sent.
async fn run<M: Module>(
    module: &mut M,
    wanted: M::Wanted,
    stop_at: &str,
) -> (Result<M::View, End>, Vec<M::Step>, usize) {
    let (tx, stop) = watch::channel(false);
    let mut tell = |said: Said<M::Step>| {
        if let Said::Sending(step) = said {
            tx.send_modify(|stop| *stop |= step.to_string() == stop_at);
        }
    };
    let heard = || Hearing::on_the_line(stop_at != "unheard");
    let mut run = Run::<M>::new(&wanted, Around { stop, heard: &heard, tell: &mut tell });
    let end = run.drive(module, stop_at == "check").await.map(|now| M::view(&now));
    (end, run.done, run.in_doubt.len())
}

#[tokio::test(start_paused = true)]
async fn a_drain_outlasts_budgets_and_late_pods_and_goes_on_at_its_deadline() {
    let mut drain =
        Drain { node: node(), held: 4, arrives: vec!["late", "later"], ..Drain::default() };
    let (end, done, _) = run(&mut drain, None, "").await;
    assert!(
        end.is_ok_and(|shown| shown.text == "true []") && done == ["cordon", "evict"],
        "{done:?}"
    );
    let mut drain = Drain { node: node(), stuck: true, ..Drain::default() };
    assert!(
        matches!(run(&mut drain, None, "").await.0, Err(End::Unsettled { step, .. }) if step == "await gone")
    );
    assert!(run(&mut drain, Some(Duration::from_mins(1)), "").await.1 == ["delete"]);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_lost_its_lock_or_its_listener_makes_no_further_change() {
    let mut drain = Drain { node: node(), fenced_after: Some(1), ..Drain::default() };
    let (end, done, _) = run(&mut drain, None, "").await;
    assert!(
        matches!(end, Err(End::Refused(refusal)) if refusal.code == "lock_lost")
            && done == ["cordon"],
        "{done:?}"
    );
    assert!(!drain.node.pods["x"]);
    let mut drain = Drain { node: node(), ..Drain::default() };
    assert!(matches!(run(&mut drain, None, "unheard").await.0, Err(End::Unheard)));
    assert!(!drain.node.cordoned);
}

#[tokio::test(start_paused = true)]
async fn while_nobody_listens_nothing_is_changed_and_no_time_is_lost() {
    let mut drain = Drain { node: node(), ..Drain::default() };
    let (_stop, stop) = watch::channel(false);
    let begun = Instant::now();
    // Longer than a step may take.
    let heard = || match begun.elapsed() {
        waited if waited < Duration::from_mins(5) => Hearing::NotNow,
        _ => Hearing::Yes,
    };
    let mut sent = vec![];
    let mut tell = |said: Said<Name>| {
        if let Said::Sending(step) = said {
            sent.push((*step, begun.elapsed() >= Duration::from_mins(5)));
        }
    };
    let mut run = Run::<Drain>::new(&None, Around { stop, heard: &heard, tell: &mut tell });
    assert!(run.drive(&mut drain, false).await.is_ok());
    assert_eq!(sent, [("cordon", true), ("evict", true)]);
}

#[tokio::test(start_paused = true)]
async fn the_world_may_reorder_the_plan_or_lose_a_reply_and_may_not_add_to_it() {
    // a before c: the plan is never again "exactly the rest".
    let moves: Event = |cluster| {
        cluster.leader = "c";
        Ok(())
    };
    let lost: Event = |_| Err(anyhow::anyhow!("deadline exceeded"));
    let joins: Event = |cluster| {
        cluster.members.insert("d", (true, true));
        Ok(())
    };
    for (event, order, whole) in [
        (moves, vec!["b", "a", "c"], true),
        (lost, vec!["b", "c", "a"], true),
        (joins, vec!["b"], false),
    ] {
        let (end, done, _) = run(&mut Defrag(cluster(7, 7, 0), vec![event]), (), "").await;
        assert!(
            done.iter()
                .eq(&order.into_iter().map(|name| Step(Kind::Change, name)).collect::<Vec<_>>()),
            "{end:?} {done:?}"
        );
        assert!(if whole { end.is_ok() } else { matches!(end, Err(End::Surprise(_))) });
    }
}

#[tokio::test(start_paused = true)]
async fn stopped_in_any_step_it_says_so_and_the_next_run_ends_the_same() {
    for name in ["a", "b", "c"] {
        let mut defrag = Defrag(cluster(7, 7, 0), vec![]);
        let (end, _, doubt) = run(&mut defrag, (), &Step(Kind::Change, name).to_string()).await;
        assert!(matches!(end, Err(End::Stopped)) && doubt == 1, "{end:?}");
        // What only the process knew.
        defrag.0.fresh.clear();
        let (check, end) =
            (run(&mut defrag, (), "check").await.0, run(&mut defrag, (), "").await.0);
        assert!(end.is_ok_and(|end| check.is_ok_and(|check| check == end)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_passing_refusal_is_waited_out_and_a_lasting_one_is_not() {
    // An unhealthy member is seen healthy at the next reading.
    assert!(run(&mut Defrag(cluster(7, 3, 0), vec![]), (), "").await.0.is_ok());
}
