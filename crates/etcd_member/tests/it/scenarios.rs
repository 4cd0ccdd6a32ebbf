//! Named scenarios: the traps that operators fell into, on real etcd.

use crate::world::{add_unstarted, call, leader, list, names, sample};
use serde_json::{Value as Json, json};
use std::time::{Duration, Instant};
use testkit::etcd::Etcd;

/// Adds a member with a vote and waits until it serves.
async fn join(etcd: &mut Etcd) -> usize {
    let at = add_unstarted(etcd, false).await;
    etcd.start_added(at).await.unwrap();
    etcd.serves(at).await.unwrap();
    at
}

fn text(value: &Json) -> String {
    value
        .as_array()
        .map(|all| {
            all.iter().map(|v| v.as_str().unwrap_or_default()).collect::<Vec<_>>().join("; ")
        })
        .unwrap_or_default()
}

/// Four voters with one dead. Stopping a live one first would leave two of four: the removal could never be committed.
#[tokio::test]
async fn four_voters_with_one_dead_a_live_one_is_removed_first() {
    let mut etcd = Etcd::start(4).await.unwrap();
    let sample = sample(&etcd).await;
    etcd.kill(3);
    // with the replacement announced, the gate sees that etcd would not let the successor in: the dead one has to go first
    let replace = json!({"name": "cp3", "then_rejoin": true, "sample": sample.clone()});
    let refused = call(&etcd, &[0, 1], &replace).run();
    assert_eq!(refused.refusal(), "add_refused", "{}", refused.json);
    assert!(refused.msg().contains("cp4"), "{}", refused.msg());
    let remove = call(&etcd, &[0, 1], &json!({"name": "cp3", "sample": sample})).run();
    assert!(remove.changed() && !remove.failed(), "{}", remove.json);
    assert!(
        text(&remove.json["warnings"]).contains("still ran when it was removed"),
        "{}",
        remove.json
    );
    assert_eq!(list(&remove, "members"), ["cp1", "cp2", "cp4"]);
    etcd.client(0).await.unwrap().put("written", "still", None).await.unwrap();
}

/// Three machines were replaced one after the other and the dead ones never removed: two of four are alive, and nothing works. Here the second
/// replacement is stopped while three of four still are.
#[tokio::test]
async fn two_replacements_without_a_removal_are_not_reached() {
    let mut etcd = Etcd::start(3).await.unwrap();
    // the first: a fresh machine joined, and the old entry stayed
    etcd.kill(2);
    let until = Instant::now() + Duration::from_secs(20);
    // etcd itself lets nobody in while one of three is down, so the old machine died after the join
    etcd.restart(2).unwrap();
    etcd.serves(2).await.unwrap();
    let fourth = join(&mut etcd).await;
    etcd.kill(2);
    let of_now = sample(&etcd).await;
    assert!(Instant::now() < until + Duration::from_mins(2));
    // the second: cp2 is to be powered off and replaced
    for more in [json!({}), json!({"then_rejoin": true})] {
        let mut stop = json!({"name": "cp2", "target_stopped": true, "sample": of_now.clone()});
        stop.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let said = call(&etcd, &[0, fourth], &stop).check().run();
        // it runs still: an earlier task would stop it, and the gate is asked about that before
        assert!(said.json["needs"].is_array() || said.failed(), "{}", said.json);
    }
    let replace = json!({"name": "cp2", "then_rejoin": true, "sample": of_now.clone()});
    let refused = call(&etcd, &[0, fourth], &replace).run();
    assert!(
        refused.failed() && refused.msg().contains("cp3"),
        "the dead one is named: {}",
        refused.json
    );
    assert_eq!(names(&etcd, 0).await.len(), 4);
    // the way out: the dead one first, then it is three of three
    let dead = json!({"name": "cp3", "target_stopped": true, "sample": of_now.clone()});
    let gone = call(&etcd, &[0, 1, fourth], &dead).run();
    assert!(gone.changed() && list(&gone, "members") == ["cp1", "cp2", "cp4"], "{}", gone.json);
    let second = call(&etcd, &[0, fourth], &replace).run();
    assert!(second.changed() && !second.failed(), "{}", second.json);
    etcd.client(0).await.unwrap().put("written", "still", None).await.unwrap();
}

#[tokio::test]
async fn two_voters_without_tls_are_refused_without_the_flag() {
    let etcd = Etcd::start_plain(2).await.unwrap();
    assert!(etcd.url(0).starts_with("http://"));
    let sample = sample(&etcd).await;
    let without = call(&etcd, &[0], &json!({"name": "cp2", "sample": sample.clone()})).run();
    assert!(without.refusal() == "single_member" && !without.changed(), "{}", without.json);
    let with = json!({"name": "cp2", "sample": sample, "allow_single_member": true});
    let with = call(&etcd, &[0], &with).run();
    assert!(with.changed() && list(&with, "members") == ["cp1"], "{}", with.json);
    assert!(text(&with.json["warnings"]).contains("one voter is left"), "{}", with.json);
}

/// A voter that runs and has not got to publish its name counts towards the quorum like any other: beside a dead one nobody may be taken away.
#[tokio::test]
async fn a_voter_that_joins_beside_a_dead_one_is_not_taken_away() {
    let mut etcd = Etcd::start(3).await.unwrap();
    let joining = add_unstarted(&mut etcd, false).await;
    etcd.start_added(joining).await.unwrap();
    // its host runs, and answers nobody
    etcd.pause(joining).unwrap();
    etcd.kill(1);
    let remove = json!({"peer_address": etcd.host(joining)});
    let refused = call(&etcd, &[0, 2], &remove).run();
    assert!(refused.failed() && !refused.changed(), "{}", refused.json);
    let codes = ["stale_list", "quorum", "target_unreachable"];
    assert!(codes.contains(&refused.refusal()), "{}", refused.json);
    etcd.resume(joining).unwrap();
    etcd.serves(0).await.unwrap();
    // three of four are alive: none of them may go, the one that joined included
    let refused = call(&etcd, &[0, 2], &remove).run();
    assert!(refused.failed() || names(&etcd, 0).await.len() == 3, "{}", refused.json);
}

#[tokio::test]
async fn leadership_goes_where_it_is_asked_to() {
    let mut etcd = Etcd::start(3).await.unwrap();
    sample(&etcd).await;
    let led = leader(&etcd, 0).await;
    let ids = {
        let mut ids = vec![];
        for at in 0..3 {
            ids.push(crate::world::id(&etcd, etcd.name(at)).await);
        }
        ids
    };
    let heir = ids.iter().position(|id| *id != led).unwrap();
    let by = |word: String| json!({"state": null, "leader": word});
    let moved = call(&etcd, &[0, 1, 2], &by(etcd.name(heir).to_owned()));
    assert!(moved.clone().check().run().changed());
    assert_eq!(leader(&etcd, 0).await, led, "check mode changes nothing");
    let reply = moved.run();
    assert!(reply.changed() && !reply.failed(), "{}", reply.json);
    for at in 0..3 {
        assert_eq!(leader(&etcd, at).await, ids[heir]);
    }
    assert!(!moved.run().changed());
    let mut elsewhere = by("elsewhere".to_owned());
    elsewhere["name"] = json!(etcd.name(heir));
    assert!(call(&etcd, &[0], &elsewhere).run().changed());
    assert_ne!(leader(&etcd, heir).await, ids[heir]);
    etcd.kill(heir);
    let dead = call(&etcd, &[0, 1, 2], &by(etcd.name(heir).to_owned())).run();
    assert!(dead.refusal() == "unproven_heir" && dead.msg().contains("refused"), "{}", dead.json);
}

#[tokio::test]
async fn a_learner_is_promoted_by_force_and_only_by_force() {
    let mut etcd = Etcd::start(1).await.unwrap();
    let learner = add_unstarted(&mut etcd, true).await;
    etcd.start_added(learner).await.unwrap();
    let voter =
        json!({"state": "voter", "name": "cp2", "peer_address": etcd.host(learner), "timeout": 4});
    let waiting = call(&etcd, &[0], &voter).run();
    assert!(waiting.failed() && !waiting.changed(), "{}", waiting.json);
    let mut forced = voter.clone();
    (forced["force"], forced["timeout"]) = (json!(true), json!(60));
    let check = call(&etcd, &[0], &forced).check().run();
    assert!(check.changed() && !check.failed(), "{}", check.json);
    let reply = call(&etcd, &[0], &forced).run();
    assert!(reply.changed() && !reply.failed(), "{}", reply.json);
    assert_eq!(reply.json["members"], check.json["members"], "check equals run");
    assert!(text(&reply.json["steps"]).contains("promote"), "{}", reply.json);
    assert_eq!(
        etcd.client(0)
            .await
            .unwrap()
            .member_list()
            .await
            .unwrap()
            .members()
            .iter()
            .filter(|m| !m.is_learner())
            .count(),
        2
    );
    assert!(!call(&etcd, &[0], &forced).run().changed());
}

#[tokio::test]
async fn a_lone_leader_goes_on_leading_only_by_permission_and_says_so() {
    let etcd = Etcd::start(1).await.unwrap();
    let alone = json!({"state": "follower", "name": "cp1"});
    let refused = call(&etcd, &[0], &alone).run();
    assert_eq!(refused.refusal(), "no_successor", "{}", refused.json);
    let allowed = json!({"state": "follower", "name": "cp1", "allow_downtime": true});
    let reply = call(&etcd, &[0], &allowed).run();
    assert!(!reply.changed() && !reply.failed(), "{}", reply.json);
    let warned = text(&reply.json["warnings"]);
    assert!(
        warned.contains("allowed by allow_downtime") && warned.contains("stops every write"),
        "{warned}"
    );
}
