use crate::world;
use kube_cluster::{Claim, Fence, Holder, LockName, Unproven, Written, assert_held};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

fn name(name: &str) -> LockName {
    LockName { name: name.into(), ..LockName::default() }
}

fn claim(holder: &str, seconds: u64) -> Claim {
    let (operation, target) = ("replace".into(), "cp2".into());
    Claim { holder: Holder::new(holder), operation, target, duration: Duration::from_secs(seconds) }
}

fn nothing() -> BTreeMap<String, String> {
    BTreeMap::new()
}

#[test]
fn of_two_controllers_that_race_one_has_the_lock() {
    world::with(async |_, cluster| {
        let lock = name("race");
        let seen = cluster.lock(&lock).await.unwrap();
        let (a, b) = (claim("a", 900), claim("b", 900));
        let nothing = nothing();
        let (first, second) = tokio::join!(
            cluster.take_lock(&lock, &seen, &a, &nothing),
            cluster.take_lock(&lock, &seen, &b, &nothing)
        );
        let won = [first.unwrap(), second.unwrap()]
            .into_iter()
            .filter(|written| *written == Written::Done)
            .count();
        assert_eq!(won, 1, "a Lease is created once");

        let seen = cluster.lock(&lock).await.unwrap();
        let (a, b) = (claim("c", 900), claim("d", 900));
        let (first, second) = tokio::join!(
            cluster.take_lock(&lock, &seen, &a, &nothing),
            cluster.take_lock(&lock, &seen, &b, &nothing)
        );
        let won = [first.unwrap(), second.unwrap()]
            .into_iter()
            .filter(|written| *written == Written::Done)
            .count();
        assert_eq!(won, 1, "a Lease is taken over once under one resourceVersion");
    });
}

#[test]
fn a_holder_that_was_paused_has_lost_the_lock() {
    world::with(async |api, cluster| {
        let lock = name("paused");
        let seen = cluster.lock(&lock).await.unwrap();
        cluster.take_lock(&lock, &seen, &claim("a", 2), &nothing()).await.unwrap();
        let fence = Fence { name: "paused".into(), ..Fence::new(Some(api.kubeconfig()), "a") };
        let held = assert_held(&fence).await.unwrap();
        assert_eq!(held.operation.unwrap().target, "cp2");
        // The pause: this run does nothing until its lock has expired by the server's clock.
        let until = Instant::now() + Duration::from_secs(30);
        while !cluster.lock(&lock).await.unwrap().is_expired() {
            assert!(Instant::now() < until, "the lock does not expire");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        let lost = assert_held(&fence).await.unwrap_err();
        assert_eq!(lost.code(), "lock_lost");
        assert!(lost.to_string().contains("paused for too long"), "{lost}");

        let seen = cluster.lock(&lock).await.unwrap();
        cluster.take_lock(&lock, &seen, &claim("b", 900), &nothing()).await.unwrap();
        let lost = assert_held(&fence).await.unwrap_err();
        assert!(
            matches!(&lost, Unproven::Lost(_)) && lost.to_string().contains("\"b\" holds it"),
            "{lost}"
        );
        assert_held(&Fence { holder: "b".into(), ..fence }).await.unwrap();
    });
}

#[test]
fn a_fence_that_cannot_ask_lets_nothing_pass() {
    world::with(async |api, _| {
        let none = Fence { name: "no-such-lock".into(), ..Fence::new(Some(api.kubeconfig()), "a") };
        assert_eq!(assert_held(&none).await.unwrap_err().code(), "lock_lost");
        let dark = Fence::new(Some("/nonexistent".into()), "a");
        assert_eq!(assert_held(&dark).await.unwrap_err().code(), "lock_unknown");
    });
}

#[test]
fn an_operator_reads_everything_in_the_lease() {
    world::with(async |api, cluster| {
        let lock = name("readable");
        let seen = cluster.lock(&lock).await.unwrap();
        let facts = BTreeMap::from([("old_member_id".to_owned(), "8e9e05c52164694d".to_owned())]);
        let text = "ctl/0b5f/4242/987654/1f3c";
        cluster.take_lock(&lock, &seen, &claim(text, 900), &facts).await.unwrap();
        let seen = cluster.lock(&lock).await.unwrap();
        let facts =
            BTreeMap::from([("condemned_volid".to_owned(), "lab:vm-102-disk-0".to_owned())]);
        assert_eq!(cluster.renew_lock(&lock, &seen, &facts).await.unwrap(), Written::Done);
        let yaml = api
            .kubectl(&["get", "lease", "-n", "kube-system", "readable", "-o", "yaml"], None)
            .unwrap();
        for line in [
            "quorate.io/operation: replace",
            "quorate.io/target: cp2",
            "record.quorate.io/old_member_id: 8e9e05c52164694d",
            "record.quorate.io/condemned_volid: lab:vm-102-disk-0",
            "holderIdentity: ctl/0b5f/4242/987654/1f3c",
            "replace of cp2, begun ",
        ] {
            assert!(yaml.contains(line), "{line} is not in\n{yaml}");
        }
        let seen = cluster.lock(&lock).await.unwrap();
        assert_eq!(
            cluster.release_lock(&lock, &seen, &Holder::new(text), "released").await.unwrap(),
            Written::Done
        );
        let yaml = api
            .kubectl(&["get", "lease", "-n", "kube-system", "readable", "-o", "yaml"], None)
            .unwrap();
        assert!(!yaml.contains("holderIdentity") && !yaml.contains("record.quorate.io"), "{yaml}");
        assert!(yaml.contains("quorate.io/last-operation: replace of cp2, begun "), "{yaml}");
    });
}
