//! The laws, over every small world of two load balancers.

use std::time::Duration;

use haproxy_api::{Address, Level, Name};
use haproxy_pool::HaproxyPool;
use haproxy_pool::args::{State, Wanted};
use haproxy_pool::state::{Admin, Balancer, Checks, Observed, Server, Verdict};

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn server(name_: &str, admin: Admin, up: bool) -> Server {
    let check = if up { Verdict::Passed } else { Verdict::Failed };
    let (backend, server) = (name("kube"), name(name_));
    let (checks, words, tracks) = (Checks::On, String::new(), None);
    Server {
        backend,
        server,
        target: name_ == "cp2",
        admin,
        up,
        checks,
        check,
        words,
        sessions: 0,
        weight: 1,
        tracks,
        probed: false,
        waited: 0,
    }
}

/// One digit of a number that counts through all worlds.
fn digit(world: &mut usize, base: usize) -> usize {
    let digit = *world % base;
    *world /= base;
    digit
}

fn balancer(socket: &str, world: &mut usize) -> Balancer {
    let admin = [Admin::Ready, Admin::Drained, Admin::Maintenance][digit(world, 3)];
    let mut target = server("cp2", admin, digit(world, 2) == 1 && admin != Admin::Maintenance);
    target.sessions = digit(world, 2) as u64 * 5;
    target.checks = [Checks::On, Checks::Off][digit(world, 2)];
    let others =
        [server("cp1", Admin::Ready, digit(world, 2) == 1), server("cp3", Admin::Ready, true)];
    Balancer {
        socket: socket.into(),
        unreachable: None,
        level: Level::Admin,
        servers: [vec![target], others.to_vec()].concat(),
    }
}

fn wanted(state: State, shutdown_sessions: bool) -> Wanted {
    let sockets = ["/one", "/two"].map(|path| Address::Unix(path.into())).to_vec();
    let (drain_timeout, ready_timeout) = (Duration::from_secs(30), Duration::from_mins(1));
    Wanted {
        sockets,
        backends: vec![],
        server: name("cp2"),
        state,
        drain_timeout,
        shutdown_sessions,
        ready_timeout,
        min_up: 1,
        lock_until: None,
    }
}

fn serving(observed: &Observed) -> Vec<usize> {
    observed
        .balancers
        .iter()
        .map(|balancer| balancer.servers.iter().filter(|server| server.serves()).count())
        .collect()
}

/// A server that was out gets connections only when its checks have passed.
fn returns_proven(before: &Observed, now: &Observed) -> bool {
    before.balancers.iter().zip(&now.balancers).all(|(before, now)| {
        before.servers.iter().zip(&now.servers).all(|(before, now)| {
            before.admin == Admin::Ready || now.admin != Admin::Ready || now.is_proven()
        })
    })
}

#[test]
fn every_state_keeps_the_laws_in_small_worlds() {
    let mut plans = 0;
    let mut steps = 0;
    // Every seventh of the pairs: every state of each load balancer still meets every kind of state of the other.
    for number in (0..48 * 48).step_by(7) {
        let mut left = number;
        let world =
            Observed { balancers: vec![balancer("/one", &mut left), balancer("/two", &mut left)] };
        for wanted in [
            wanted(State::Drained, false),
            wanted(State::Drained, true),
            wanted(State::Maintenance, true),
            wanted(State::Maintenance, false),
            wanted(State::Ready, false),
        ] {
            let invariant = |now: &Observed| {
                serving(now).iter().all(|serving| *serving >= 1) && returns_proven(&world, now)
            };
            plans += usize::from(testkit::laws::check::<HaproxyPool>(&wanted, &world, invariant));
            steps += haproxy_pool::plan::plan(&wanted, &world).map_or(0, |plan| plan.len());
        }
    }
    assert!(plans > 1500 && steps > 4000, "{plans} plans of {steps} steps prove nothing");
}

#[test]
fn what_dies_with_a_run_is_no_part_of_the_result() {
    for number in 0..48 {
        let world = Observed { balancers: vec![balancer("/one", &mut { number })] };
        let wanted = wanted(State::Ready, false);
        let mut now = world.clone();
        for step in haproxy_pool::plan::plan(&wanted, &world).unwrap() {
            now = haproxy_pool::state::project(&now, &step);
            let mut killed = now.clone();
            killed.balancers[0].servers[0].probed = false;
            let end = haproxy_pool::plan::plan(&wanted, &killed)
                .unwrap()
                .iter()
                .fold(killed, |now, step| haproxy_pool::state::project(&now, step));
            assert_eq!(
                haproxy_pool::state::view(&end).load_balancers[0].backends[0].state,
                "ready"
            );
        }
    }
}
