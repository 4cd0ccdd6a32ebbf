//! The diagnosis, case by case.

use crate::{
    causes::cases,
    world::{answer, enlist, healthy, id, member, of, silence, with},
};
use etcd_cluster::{
    Evidence, Member, Role,
    evidence::{Kubernetes, NodeHealth},
    fault::Kind,
    metrics::Metrics,
    reading::Status,
};
use etcd_info::{
    causes::{Code, Verdict},
    diagnose::diagnose,
    state::{Certificate, Node},
};
use std::collections::BTreeSet;

#[test]
fn every_cause_has_its_evidence_and_its_way_out() {
    let mut seen = BTreeSet::new();
    for (what, observed, verdict, code, subject, evidence, way_out) in cases() {
        let found = of(observed);
        assert_eq!(found.verdict, verdict, "{what}: {found:#?}");
        let named = |of: &Option<String>| match (of.as_deref(), subject) {
            (Some(of), Some(subject)) => of.contains(subject),
            (None, None) => true,
            _ => false,
        };
        let cause = found.causes.iter().find(|c| c.code == code && named(&c.subject));
        let cause = cause.unwrap_or_else(|| panic!("{what}: no {code:?} in {found:#?}"));
        assert!(cause.evidence.iter().any(|text| text.contains(evidence)), "{what}: {cause:#?}");
        assert!(cause.way_out.contains(way_out), "{what}: {cause:#?}");
        assert!(!cause.way_out.contains('{'), "{what}: {cause:#?}");
        seen.insert(code);
    }
    let missing: Vec<&Code> = Code::ALL.iter().filter(|code| !seen.contains(code)).collect();
    assert!(missing.is_empty(), "no case for {missing:?}");
}

#[test]
fn nothing_is_wrong_with_a_healthy_cluster() {
    for count in [3, 4, 5, 7] {
        let found = of(healthy(count));
        assert_eq!((found.verdict, found.causes), (Verdict::Healthy, vec![]));
        assert_eq!(found.summary, format!("healthy: {count} of {count} voters are proven"));
    }
    // a learner that catches up is no cause
    let catching_up = with(3, |o| {
        enlist(o, &Member { role: Role::Learner, ..member(4) });
        let mut learner = answer(4, &[]);
        let own = learner.status.as_mut().unwrap();
        (own.learner, own.applied_index, own.raft_index) = (true, 300, 300);
        o.beside.second.insert(id(4), Status { applied_index: 800, ..own.clone() });
        (learner.linearizable, learner.list) = (false, None);
        o.reading.answers.insert(id(4), learner);
    });
    let found = of(catching_up);
    assert_eq!(found.verdict, Verdict::Healthy, "{found:#?}");
    // external etcd has no Nodes
    let external = with(3, |o| {
        let member = "master".to_owned();
        o.beside.nodes = Some(vec![Node { name: member.clone(), member, control_plane: true }]);
    });
    assert_eq!(of(external).causes, vec![]);
    // there is time, or something renews it every week
    for (days_left, lifetime_days) in [(30, 365), (3, 7)] {
        let dated = with(3, |o| {
            let certificate = Certificate { days_left, lifetime_days, ..Certificate::default() };
            o.beside.certificates.push(certificate);
        });
        assert_eq!(of(dated).causes, vec![]);
    }
    // our own clock is off, or a member is one second away: nobody's is
    let off = with(3, |o| {
        for (at, ahead) in [(1, 40), (2, 41), (3, 40)] {
            let metrics = Metrics { ahead_s: Some(ahead), ..Metrics::default() };
            o.beside.metrics.insert(id(at), metrics);
        }
    });
    assert_eq!(of(off).causes, vec![]);
}

#[test]
fn the_summary_is_one_sentence() {
    let mut down = healthy(3);
    silence(&mut down, 2, Kind::Unreachable, "refused");
    assert_eq!(
        of(down).summary,
        "at risk: 2 of 3 voters are proven, none may be lost; unreachable (\"cp2\" (a2))"
    );
}

#[test]
fn what_kubernetes_misses_is_a_cause_too() {
    let mut observed = healthy(3);
    let well = NodeHealth { lease_fresh: true, components_ready: true };
    let nodes: Kubernetes =
        [("cp1".to_owned(), well), ("cp2".to_owned(), NodeHealth { lease_fresh: false, ..well })]
            .into();
    observed.evidence = Evidence::weigh(&observed.reading, Some(&nodes));
    let found = diagnose(&observed);
    let codes: Vec<(Code, &str)> =
        found.causes.iter().map(|c| (c.code, c.evidence[0].as_str())).collect();
    assert_eq!(
        codes,
        [
            (Code::Node, "the kubelet's lease is stale"),
            (Code::Node, "no healthy Node belongs to it")
        ]
    );
}
