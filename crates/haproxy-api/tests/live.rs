//! Every typed answer, from a real HAProxy.
// Always set here; written out, it tells clippy that helpers of tests are tests.
#![cfg(test)]

use std::time::{Duration, Instant};

use haproxy_api::servers::OpState;
use haproxy_api::{Address, Denial, Error, Level, Name, Runtime, ServerRef};
use testkit::haproxy::{Backend, Haproxy, Target};

fn at(address: &str) -> Runtime {
    Runtime::new(Address::parse(address).unwrap(), Duration::from_secs(2))
}

fn server(backend: &str, server: &str) -> ServerRef {
    ServerRef { backend: Name::new(backend).unwrap(), server: Name::new(server).unwrap() }
}

fn denial<T: std::fmt::Debug>(result: Result<T, Error>) -> Denial {
    match result {
        Err(Error::Denied { denial, .. }) => denial,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn every_no_is_a_denial_of_its_own() {
    let target = Target::start("s");
    let tail = |rest: &'static str| (rest, &target);
    let lines = [tail("check"), tail("track be/s0"), tail("")];
    let backend = lines
        .iter()
        .zip(["s0", "s1", "s2"])
        .fold(Backend::new("be"), |be, ((rest, target), name)| be.server_with(name, target, rest));
    let haproxy = Haproxy::start(&[backend]);
    let (admin, operator) = (at(haproxy.tcp()), at(&haproxy.operator()));
    assert_eq!(
        (admin.level().await.unwrap(), operator.level().await.unwrap()),
        (Level::Admin, Level::Operator)
    );
    assert_eq!(denial(admin.drain(&server("be", "s9")).await), Denial::NoSuchServer);
    assert_eq!(denial(admin.maint(&server("eb", "s0")).await), Denial::NoSuchBackend);
    assert_eq!(denial(admin.shutdown_sessions(&server("be", "s9")).await), Denial::NoSuchServer);
    assert_eq!(denial(operator.drain(&server("be", "s0")).await), Denial::Permission);
    assert_eq!(denial(operator.probe(&server("be", "s0")).await), Denial::Permission);
    assert_eq!(denial(operator.shutdown_sessions(&server("be", "s0")).await), Denial::Permission);
    assert_eq!(denial(admin.enable_health(&server("be", "s2")).await), Denial::NoCheck);
    assert_eq!(denial(admin.enable_health(&server("be", "s1")).await), Denial::NoCheck);
    assert!(
        admin
            .request("nonsense")
            .await
            .is_ok_and(|answer| Denial::read(&answer) == Some(Denial::Unknown))
    );
    let info = admin.info().await.unwrap();
    assert!(info.pid > 0 && info.version.starts_with(|c: char| c.is_ascii_digit()), "{info:?}");
}

#[tokio::test]
async fn a_probed_server_is_drained_and_down_until_it_has_passed_rise_times() {
    let target = Target::start("s");
    let haproxy = Haproxy::start(&[Backend::new("be").server("s0", &target)]);
    let (runtime, place) = (at(&haproxy.admin()), server("be", "s0"));
    runtime.maint(&place).await.unwrap();
    let out = runtime.servers().await.unwrap().remove(0);
    assert!(out.admin.is_maint_forced() && out.check.is_paused());
    runtime.probe(&place).await.unwrap();
    let checked = target.checked();
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        let seen = runtime.servers().await.unwrap().remove(0);
        assert!(seen.admin.is_drain_forced() && Instant::now() < end, "{seen:?}");
        if seen.op == OpState::Running {
            break;
        }
    }
    assert!(target.checked() >= checked + 3, "rise is 3");
    let stat = runtime.stat().await.unwrap().remove(0);
    assert!(
        stat.status == "DRAIN"
            && stat.rise == Some(3)
            && stat.check.is_some_and(|check| check.is_passed())
    );
    runtime.ready(&place).await.unwrap();
    assert_eq!(runtime.servers().await.unwrap().remove(0).op, OpState::Running);
}

#[tokio::test]
async fn nobody_there_and_nobody_answering_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.sock");
    let nobody = at(&path.display().to_string()).level().await;
    assert!(matches!(nobody, Err(Error::Unreachable { .. })), "{nobody:?}");
    let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let silent = Runtime::new(Address::Unix(path), Duration::from_millis(100)).level().await;
    assert!(matches!(silent, Err(Error::TimedOut { .. })), "{silent:?}");
}
