//! The built module against real etcd.

use crate::world::{PROGRAM, add_unstarted, call, id, leader, list, names, sample, spawn};
use etcd_client::{AlarmAction, AlarmOptions, AlarmType};
use kube_cluster::{Access, Claim, Cluster, Holder, LockName};
use serde_json::{Value as Json, json};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};
use testkit::{etcd::Etcd, module::Call};

#[tokio::test]
async fn the_leader_is_moved_and_removed_and_a_second_run_changes_nothing() {
    let etcd = Etcd::start(3).await.unwrap();
    let led = leader(&etcd, 0).await;
    let mut at = 0;
    while id(&etcd, etcd.name(at)).await != led {
        at += 1;
    }
    let peers: Vec<usize> = (0..3).filter(|other| *other != at).collect();
    let remove = call(
        &etcd,
        &[peers[0]],
        &json!({"name": etcd.name(at), "peer_address": etcd.host(at), "id": led.to_string()}),
    );
    let check = remove.clone().check().run();
    assert!(check.changed() && !check.failed(), "{}", check.json);
    assert_eq!(names(&etcd, peers[0]).await.len(), 3, "check mode changes nothing");
    let begun = Instant::now();
    let reply = remove.run();
    assert!(begun.elapsed() >= Duration::from_secs(5), "two samples, five seconds apart");
    assert!(reply.changed() && !reply.failed(), "{}", reply.json);
    assert_eq!(reply.json["members"], check.json["members"], "check equals run");
    let steps = reply.json["steps"].to_string();
    assert!(steps.contains("remove member"), "{steps}");
    for peer in &peers {
        assert_eq!(
            names(&etcd, *peer).await,
            peers.iter().map(|p| etcd.name(*p).to_owned()).collect::<Vec<_>>()
        );
        assert_ne!(leader(&etcd, *peer).await, led);
    }
    let again = call(&etcd, &peers, &json!({"name": etcd.name(at)})).run();
    assert!(!again.changed() && !again.failed(), "{}", again.json);
}

#[tokio::test]
async fn the_leader_hands_over_and_stays() {
    let etcd = Etcd::start(3).await.unwrap();
    let led = leader(&etcd, 0).await;
    let hand_over =
        call(&etcd, &[0, 1, 2], &json!({"state": "follower", "id": format!("0x{led:x}")}));
    assert!(hand_over.clone().check().run().changed());
    assert_eq!(leader(&etcd, 0).await, led, "check mode changes nothing");
    let reply = hand_over.run();
    assert!(reply.changed() && !reply.failed(), "{}", reply.json);
    for at in 0..3 {
        assert_ne!(leader(&etcd, at).await, led);
    }
    assert_eq!(names(&etcd, 0).await.len(), 3);
    assert!(!hand_over.run().changed());
}

#[tokio::test]
async fn a_second_removal_while_one_is_down_is_refused() {
    let mut etcd = Etcd::start(3).await.unwrap();
    let sample = sample(&etcd).await;
    etcd.kill(1);
    let trap = call(&etcd, &[0, 2], &json!({"name": "cp3", "sample": sample.clone()})).run();
    assert!(trap.failed() && !trap.changed() && trap.refusal() == "quorum", "{}", trap.json);
    assert!(trap.msg().contains("1 of 2 voters would be healthy, 2 are needed"), "{}", trap.msg());
    let dead =
        json!({"name": "cp2", "target_stopped": true, "then_rejoin": true, "sample": sample});
    let gone = call(&etcd, &[0, 1, 2], &dead).run();
    assert!(gone.changed() && list(&gone, "members") == ["cp1", "cp3"], "{}", gone.json);
    // both that are left are well, and one of two would be one voter: that is the user's to say
    let second = call(&etcd, &[0, 2], &json!({"name": "cp3", "sample": sample})).run();
    assert!(second.failed() && second.refusal() == "single_member", "{}", second.json);
    assert_eq!(names(&etcd, 0).await, ["cp1", "cp3"]);
}

#[tokio::test]
async fn two_voters_become_one_only_with_the_flag() {
    let etcd = Etcd::start(2).await.unwrap();
    let sample = sample(&etcd).await;
    let without = call(&etcd, &[0], &json!({"name": "cp2", "sample": sample.clone()})).run();
    assert!(without.refusal() == "single_member" && !without.changed(), "{}", without.json);
    let with =
        call(&etcd, &[0], &json!({"name": "cp2", "sample": sample, "allow_single_member": true}))
            .run();
    assert!(with.changed() && list(&with, "members") == ["cp1"], "{}", with.json);
    let last = call(&etcd, &[0], &json!({"name": "cp1", "allow_single_member": true})).run();
    assert_eq!(last.refusal(), "last_voter", "{}", last.json);
}

#[tokio::test]
async fn what_is_said_of_the_target_must_agree() {
    let etcd = Etcd::start(3).await.unwrap();
    let refusal = |more: Json| call(&etcd, &[0], &more).run().refusal().to_owned();
    assert_eq!(refusal(json!({"name": "cp2", "peer_address": "198.51.100.7"})), "target_disagrees");
    assert_eq!(refusal(json!({"name": "cp2", "peer_address": etcd.host(2)})), "two_match");
    assert_eq!(refusal(json!({"name": "cp2", "id": "0xdead"})), "target_disagrees");
    assert_eq!(refusal(json!({"name": "cp2", "target_stopped": true})), "target_runs");
    assert_eq!(names(&etcd, 0).await.len(), 3);
    let check = call(&etcd, &[0], &json!({"name": "cp2", "target_stopped": true})).check().run();
    assert!(
        !check.failed() && check.json["needs"].is_array(),
        "an earlier task of the play stops it: {}",
        check.json
    );
}

#[tokio::test]
async fn a_learner_stops_everything_but_its_own_removal() {
    let mut etcd = Etcd::start(3).await.unwrap();
    let joining = add_unstarted(&mut etcd, true).await;
    let other = call(&etcd, &[0], &json!({"name": "cp2"})).run();
    assert!(
        other.refusal() == "join_in_flight" && other.msg().contains(etcd.host(joining)),
        "{}",
        other.json
    );
    etcd.start_added(joining).await.unwrap();
    let own = json!({"peer_address": etcd.peer_url(joining)});
    let mut reply = call(&etcd, &[0, 1, 2], &own).run();
    // until it has published its name it does not answer, and when it has, it must
    let until = Instant::now() + Duration::from_secs(20);
    while reply.refusal() == "target_unreachable" && Instant::now() < until {
        reply = call(&etcd, &[0, 1, 2], &own).run();
    }
    assert!(reply.changed() && !reply.failed(), "{}", reply.json);
    assert_eq!(names(&etcd, 0).await, ["cp1", "cp2", "cp3"]);
    assert!(!call(&etcd, &[0], &own).run().changed());
}

#[tokio::test]
async fn a_nameless_voter_beside_a_dead_one_is_not_removed() {
    let mut etcd = Etcd::start(3).await.unwrap();
    let joining = add_unstarted(&mut etcd, false).await;
    // three of four hold the quorum: the nameless one may go, and another may not
    let other = call(&etcd, &[0], &json!({"name": "cp2"})).run();
    assert_eq!(other.refusal(), "join_in_flight", "{}", other.json);
    etcd.kill(1);
    let own = call(&etcd, &[0, 2], &json!({"peer_address": etcd.host(joining)})).run();
    assert!(own.failed() && !own.changed(), "{}", own.json);
    assert!(["stale_list", "quorum"].contains(&own.refusal()), "{}", own.json);
    etcd.restart(1).unwrap();
    etcd.serves(1).await.unwrap();
    assert_eq!(names(&etcd, 0).await.len(), 4);
    let sample = sample(&etcd).await;
    let own =
        call(&etcd, &[0, 1, 2], &json!({"peer_address": etcd.host(joining), "sample": sample}))
            .run();
    assert!(own.changed() && !own.failed(), "{}", own.json);
}

#[tokio::test]
async fn a_paused_target_is_not_removed_before_it_is_proven_to_be_off() {
    let mut etcd = Etcd::start(3).await.unwrap();
    let sample = sample(&etcd).await;
    etcd.pause(1).unwrap();
    let cut = call(&etcd, &[0, 2], &json!({"name": "cp2", "sample": sample.clone()})).run();
    assert!(cut.refusal() == "target_unreachable" && !cut.changed(), "{}", cut.json);
    etcd.resume(1).unwrap();
    etcd.serves(1).await.unwrap();
    assert_eq!(names(&etcd, 0).await.len(), 3);
    etcd.kill(1);
    let off =
        call(&etcd, &[0, 2], &json!({"name": "cp2", "sample": sample, "target_stopped": true}))
            .run();
    assert!(off.changed() && !off.failed(), "{}", off.json);
}

#[tokio::test]
async fn a_corrupt_target_is_removed_and_its_alarm_disarmed_last() {
    let etcd = Etcd::start(3).await.unwrap();
    let (sample, bad) = (sample(&etcd).await, id(&etcd, "cp2").await);
    let alarm = |action, member| {
        let etcd = &etcd;
        async move {
            let mut options = AlarmOptions::new();
            options.with_member(member);
            etcd.client(0)
                .await
                .unwrap()
                .alarm(action, AlarmType::Corrupt, Some(options))
                .await
                .unwrap()
        }
    };
    alarm(AlarmAction::Activate, bad).await;
    let other = call(&etcd, &[0], &json!({"name": "cp3", "sample": sample.clone()})).run();
    assert_eq!(other.refusal(), "corrupt", "{}", other.json);
    let reply = call(&etcd, &[0, 2], &json!({"name": "cp2", "sample": sample})).run();
    assert!(reply.changed() && reply.json["alarms"] == json!([]), "{}", reply.json);
    assert!(
        reply.json["steps"]
            .as_array()
            .unwrap()
            .last()
            .unwrap()
            .as_str()
            .unwrap()
            .starts_with("disarm")
    );
    etcd.client(0).await.unwrap().put("written", "again", None).await.unwrap();
    // what a killed run leaves behind: the member is gone and its alarm is not
    alarm(AlarmAction::Activate, bad).await;
    assert!(
        etcd.client(0).await.unwrap().put("x", "y", None).await.is_err(),
        "an alarm stops every write"
    );
    let rerun = call(&etcd, &[0, 2], &json!({"name": "cp2"})).run();
    assert!(rerun.changed() && !rerun.failed(), "{}", rerun.json);
    etcd.client(0).await.unwrap().put("x", "y", None).await.unwrap();
}

#[tokio::test]
async fn killed_between_any_two_steps_the_next_run_finishes() {
    let mut etcd = Etcd::start(5).await.unwrap();
    // while the evidence is being taken: nothing has happened
    let mut first = spawn(&etcd, &[0], &json!({"name": "cp5"}));
    tokio::time::sleep(Duration::from_secs(2)).await;
    first.kill().unwrap();
    first.wait().unwrap();
    assert_eq!(names(&etcd, 0).await.len(), 5);
    let sample = sample(&etcd).await;
    for (victim, left) in [(4, 4), (3, 3)] {
        // as soon as the removal is seen
        let remove = json!({"name": etcd.name(victim), "sample": sample});
        let mut run = spawn(&etcd, &[0], &remove);
        let until = Instant::now() + Duration::from_mins(1);
        while names(&etcd, 0).await.len() > left {
            assert!(Instant::now() < until, "not removed in time");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        run.kill().unwrap();
        run.wait().unwrap();
        let rerun = call(&etcd, &[0, 1, 2], &remove).run();
        assert!(!rerun.failed() && !rerun.changed(), "{}", rerun.json);
        assert_eq!(names(&etcd, 1).await.len(), left);
        etcd.kill(victim);
    }
}

#[tokio::test]
async fn a_join_is_waited_for_until_it_is_a_healthy_voter() {
    let mut etcd = Etcd::start(3).await.unwrap();
    let joining = add_unstarted(&mut etcd, true).await;
    let voter = json!({"state": "voter", "name": etcd.name(joining), "peer_address": etcd.host(joining), "timeout": 60});
    let short = call(&etcd, &[0], &json!({"state": "voter", "name": "cp4", "timeout": 1})).run();
    assert!(short.failed() && short.msg().contains("has joined as a voter"), "{}", short.json);
    etcd.start_added(joining).await.unwrap();
    let waiting = call(&etcd, &[0, 1, 2], &voter);
    let waiting = tokio::task::spawn_blocking(move || waiting.run());
    let promoted = async {
        let until = Instant::now() + Duration::from_secs(40);
        let list = etcd.client(0).await.unwrap().member_list().await.unwrap();
        let learner = list.members().iter().find(|m| m.is_learner()).unwrap().id();
        // refused until it has caught up
        while let Err(error) =
            etcd.client(0).await.unwrap().cluster_client().member_promote(learner).await
        {
            assert!(Instant::now() < until, "{error}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    promoted.await;
    let reply = waiting.await.unwrap();
    assert!(!reply.failed() && !reply.changed(), "waiting changes nothing: {}", reply.json);
    assert!(list(&reply, "members").contains(&"cp4".to_owned()), "{}", reply.json);
    assert!(!call(&etcd, &[0], &voter).run().changed());
}

#[tokio::test]
async fn an_emptied_member_counts_as_broken_and_can_be_removed() {
    let mut etcd = Etcd::start(3).await.unwrap();
    let sample = sample(&etcd).await;
    etcd.found_anew(1).await.unwrap();
    let other = call(&etcd, &[0, 1, 2], &json!({"name": "cp3", "sample": sample.clone()})).run();
    assert!(
        other.refusal() == "quorum" && other.msg().contains("another cluster"),
        "{}",
        other.json
    );
    let own = call(&etcd, &[0, 1, 2], &json!({"name": "cp2", "sample": sample})).run();
    assert!(own.changed() && !own.failed(), "{}", own.json);
    assert_eq!(names(&etcd, 2).await, ["cp1", "cp3"]);
}

#[tokio::test]
async fn without_its_lock_a_run_removes_nothing() {
    let api = testkit::apiserver::Apiserver::shared().unwrap_or_else(|error| panic!("{error:#}"));
    let etcd = Etcd::start(3).await.unwrap();
    let sample = sample(&etcd).await;
    let locked = |holder: &str| json!({"name": "cp2", "sample": sample, "lock_holder": holder, "kubeconfig": api.kubeconfig()});
    let none = call(&etcd, &[0], &locked("me")).run();
    assert!(none.refusal() == "lock_lost" && !none.changed(), "{}", none.json);
    let kube = Cluster::open(&Access::at(api.kubeconfig())).await.unwrap();
    let take = async |holder: &str| {
        let (lock, holder) = (LockName::default(), Holder::new(holder));
        let (operation, target) = ("replace".into(), "cp2".into());
        let claim = Claim { holder, operation, target, duration: Duration::from_mins(10) };
        let seen = kube.lock(&lock).await.unwrap();
        kube.take_lock(&lock, &seen, &claim, &BTreeMap::new()).await.unwrap();
    };
    take("somebody else").await;
    let other = call(&etcd, &[0], &locked("me")).run();
    assert!(
        other.refusal() == "lock_lost" && other.msg().contains("somebody else"),
        "{}",
        other.json
    );
    assert_eq!(names(&etcd, 0).await.len(), 3);
    // a check changes nothing, and needs no lock
    assert!(!call(&etcd, &[0], &locked("me")).check().run().failed());
    take("me").await;
    let own = call(&etcd, &[0], &locked("me")).run();
    assert!(own.changed() && !own.failed(), "{}", own.json);
}

#[test]
fn missing_certificates_are_named() {
    let reply = Call::new(PROGRAM, &json!({"state": "absent", "name": "cp2", "ca_cert": "/nonexistent/ca.crt", "client_cert": "/a", "client_key": "/b"})).run();
    assert!(reply.failed() && reply.msg().contains("/nonexistent/ca.crt"), "{}", reply.json);
    assert!(reply.msg().starts_with("failed to reach etcd: read "), "{}", reply.msg());
}

#[test]
fn a_file_of_arguments_does_as_well_as_standard_input() {
    let args =
        json!({"state": "absent", "name": "cp2", "endpoints": "http://127.0.0.1:1", "timeout": 5});
    let dir = tempfile::tempdir().unwrap();
    for reply in
        [Call::new(PROGRAM, &args).run(), Call::new(PROGRAM, &args).run_from_file(dir.path())]
    {
        assert!(reply.failed() && !reply.changed() && reply.status != 0, "{}", reply.json);
        assert!(
            reply.msg().contains("no endpoint told the member list")
                && reply.msg().contains("refused"),
            "{}",
            reply.msg()
        );
    }
}
