//! The laws, over every world that the states of the parts can make.

use ansible_module::{
    Module,
    options::{At, Value},
};
use kubeadm_join_material::{
    KubeadmJoinMaterial,
    args::{Args, Wanted},
    plan::Step,
    state::{Certificates, Closed, Facts, Membership, NodeSeen, Observed, Token},
};
use serde_json::json;

fn wanted(state: &str) -> Wanted {
    let args = json!({
        "state": state, "node": "cp2", "address": "198.18.0.12", "token": "abcdef.0123456789abcdef",
        "certificate_key": "e6a2eb8581237ab72a4f494f30285ec12a9694d750b9785706a83bfcbbbd2204",
    });
    KubeadmJoinMaterial::wanted(Args::decode(&At::ROOT, &args).unwrap(), testkit::cases::started())
        .unwrap()
}

fn worlds() -> Vec<Observed> {
    let members = [Membership::None, Membership::Nameless, Membership::Learner, Membership::Voter];
    let nodes =
        [NodeSeen::Absent, NodeSeen::There { whole: false }, NodeSeen::There { whole: true }];
    let tokens = [
        Token::Absent,
        Token::Taken,
        Token::Stale,
        Token::Ready { signed: false },
        Token::Ready { signed: true },
    ];
    let certificates = [Certificates::Absent, Certificates::Other, Certificates::Ready];
    let mut all = vec![];
    for bits in 0..16_u8 {
        let has = |bit: u8| bits & 1 << bit != 0;
        for member in members {
            for node in nodes {
                for token in tokens {
                    for certificates in certificates {
                        let there = !matches!(token, Token::Absent | Token::Taken);
                        all.push(Observed {
                            cluster: Facts {
                                api_endpoint: Some("198.18.0.10:6443".into())
                                    .filter(|_| !has(3) || !has(1)),
                                ..Facts::default()
                            },
                            member,
                            member_answers: has(0),
                            foreign_join: has(1).then(|| "cp9".into()),
                            gate: has(2).then(|| Closed {
                                code: "no_quorum".into(),
                                passing: has(0),
                                ..Closed::default()
                            }),
                            node,
                            token,
                            certificates,
                            tokens: [
                                there.then(|| "abcdef".to_owned()),
                                has(3).then(|| "fedcba".to_owned()),
                            ]
                            .into_iter()
                            .flatten()
                            .collect(),
                            uploaded: certificates != Certificates::Absent,
                        });
                    }
                }
            }
        }
    }
    all
}

#[test]
fn every_world_keeps_the_laws() {
    let (mut planned, mut refused) = (0, 0);
    for wanted in [wanted("present"), wanted("absent")] {
        for world in worlds() {
            if testkit::laws::check::<KubeadmJoinMaterial>(&wanted, &world, |_| true) {
                planned += 1;
            } else {
                refused += 1;
            }
        }
    }
    assert!(planned > 500 && refused > 500, "{planned} planned, {refused} refused");
}

#[test]
fn nothing_opens_the_cluster_while_a_join_may_not_begin() {
    let wanted = wanted("present");
    for world in worlds() {
        let Ok(plan) = KubeadmJoinMaterial::plan(&wanted, &world) else { continue };
        if plan.iter().any(|step| matches!(step, Step::Upload(_) | Step::CreateToken { .. })) {
            assert!(
                world.foreign_join.is_none() && world.cluster.api_endpoint.is_some(),
                "{world:?}: {plan:?}"
            );
            assert!(
                world.member != Membership::None
                    || (world.gate.is_none() && world.node == NodeSeen::Absent),
                "{world:?}: {plan:?}"
            );
        }
    }
}

#[test]
fn revoking_never_refuses_and_leaves_nothing() {
    let wanted = wanted("absent");
    for world in worlds() {
        let plan = KubeadmJoinMaterial::plan(&wanted, &world).unwrap();
        let after =
            plan.iter().fold(world, |world, step| KubeadmJoinMaterial::project(&world, step));
        assert!(after.tokens.is_empty() && !after.uploaded, "{after:?}");
    }
}
