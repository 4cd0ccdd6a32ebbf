//! Takes a server out of HAProxy backends, and puts it back.
//!
//! For one server on one or several load balancers, over the runtime socket. Not for changing the configuration: what is set here is
//! gone when HAProxy is reloaded, and is set again by the next run, which sees it.
//!
//! The invariant: on every load balancer, every backend the server is in keeps `min_up` other servers that get connections and whose
//! last check passed; and no connection is balanced to a server whose check did not pass `rise` times after it came back.
//!
//! Steps: drain, wait for the sessions (bounded), maintenance, shut down what is left; and back: checks from nothing while drained, wait
//! for UP, ready. What can go wrong, and why each step keeps the invariant: `docs/safety/haproxy_pool.md`.

#[expect(clippy::doc_markdown, reason = "the markup of Ansible's documentation")]
pub mod args;
pub mod live;
pub mod plan;
pub mod refuse;
pub mod state;

use std::time::{Duration, SystemTime};

use ansible_module::{Applied, BadArgs, Kind, Limit, Module, Refusal, Until};

use args::{Args, State, Wanted};
use state::{Observed, Step, View};

/// The module.
pub struct HaproxyPool(live::Pool);

impl Module for HaproxyPool {
    const NAME: &'static str = "haproxy_pool";
    const EXAMPLES: &'static str = include_str!("../examples.yml");
    type Args = Args;
    type Wanted = Wanted;
    type Observed = Observed;
    type Step = Step;
    type View = View;

    fn wanted(args: Args, _: SystemTime) -> Result<Wanted, BadArgs> {
        args::wanted(&args)
    }

    fn plan(wanted: &Wanted, observed: &Observed) -> Result<Vec<Step>, Refusal> {
        plan::plan(wanted, observed)
    }

    fn project(observed: &Observed, step: &Step) -> Observed {
        state::project(observed, step)
    }

    fn view(observed: &Observed) -> View {
        state::view(observed)
    }

    fn kind(step: &Step) -> Kind {
        plan::kind(step)
    }

    fn limit(wanted: &Wanted, _: &Observed, step: &Step) -> Limit {
        plan::limit(wanted, step)
    }

    fn deadline(wanted: &Wanted) -> Duration {
        let each =
            if wanted.state == State::Ready { wanted.ready_timeout } else { wanted.drain_timeout };
        each * 2 + Duration::from_mins(5)
    }

    fn seen(_: &Wanted, observed: &Observed, step: &Step) -> Option<String> {
        let all = observed.balancers.iter().flat_map(|balancer| &balancer.servers);
        let targets = all.filter(|server| server.target);
        match step {
            Step::AwaitSessions(_) => {
                let left: u64 = targets.map(|server| server.sessions).sum();
                Some(format!("{left} left"))
            }
            Step::AwaitUp(_) => {
                let down = targets.filter(|server| !server.is_proven());
                let found = down.map(|server| format!("{}: {}", server.path(), server.words));
                Some(found.collect::<Vec<_>>().join(", "))
            }
            _ => None,
        }
    }

    fn warnings(wanted: &Wanted, observed: &Observed) -> Vec<String> {
        let all = observed
            .balancers
            .iter()
            .flat_map(|balancer| balancer.servers.iter().map(move |server| (balancer, server)));
        let idle = all.filter(|(_, server)| {
            wanted.state == State::Ready && server.target && server.weight == 0
        });
        idle.map(|(balancer, server)| {
            format!("{} on {} has weight 0: it gets no connections", server.path(), balancer.socket)
        })
        .collect()
    }

    async fn open(wanted: &Wanted) -> anyhow::Result<Self> {
        Ok(Self(live::Pool::open(wanted)))
    }

    async fn observe(&mut self, wanted: &Wanted) -> anyhow::Result<Observed> {
        self.0.observe(wanted).await
    }

    async fn fence(&mut self, wanted: &Wanted) -> Result<(), Refusal> {
        Until::fence(wanted.lock_until, SystemTime::now())
    }

    async fn apply(&mut self, step: &Step, _: &Observed) -> anyhow::Result<Applied> {
        self.0.apply(step).await
    }
}
