//! Nodes in every condition, and every wish.

use ansible_module::{
    Module,
    options::{At, Value},
};
use k8s_node::{
    K8sNode,
    state::{Member, Node, Observed, Other, Pod, Ready},
};
use serde_json::{Value as Json, json};
use std::time::SystemTime;

fn wishes() -> Vec<Json> {
    let mut all: Vec<_> = ["cordoned", "uncordoned", "ready", "absent"]
        .map(|state| json!({"name": "cp2", "state": state}))
        .into();
    for (force, emptydir, out) in
        [(false, false, false), (true, true, false), (true, false, true), (false, false, true)]
    {
        all.push(json!({"name": "cp2", "state": "drained", "force": force, "delete_emptydir_data": emptydir, "out_of_service": out}));
    }
    all.push(json!({"name": "cp2", "state": "absent", "uid": "1f6b", "etcd": {}}));
    all.push(json!({"name": "cp2", "state": "drained", "uid": "another", "force": true}));
    all
}

fn pods() -> Vec<Vec<Pod>> {
    let pod =
        |name: &str| Pod { name: format!("default/{name}"), uid: name.into(), ..Pod::default() };
    let (web, fixed) = (pod("web"), Pod { stays: true, ..pod("etcd-cp2") });
    let going = Pod { terminating: true, ..pod("going") };
    let alone = Pod {
        unmanaged: true,
        held: Some("is held by the PodDisruptionBudget default/x".into()),
        ..pod("alone")
    };
    let cache = Pod { empty_dir: true, ..pod("cache") };
    vec![
        vec![],
        vec![fixed.clone()],
        vec![fixed, web.clone(), going],
        vec![web, alone],
        vec![cache],
    ]
}

fn nodes() -> Vec<Option<Node>> {
    let mut all = vec![None];
    for bits in 0..16_u8 {
        for lease_age in [None, Some(3), Some(41)] {
            let [cordoned, control_plane, out_of_service, deleting] =
                [1, 2, 4, 8].map(|bit| bits & bit != 0);
            let ready = if lease_age.is_some() { Ready::Yes } else { Ready::Unknown };
            all.push(Some(Node {
                uid: "1f6b".into(),
                cordoned,
                ready,
                lease_age,
                control_plane,
                out_of_service,
                deleting,
                finalizers: vec![],
            }));
        }
    }
    all
}

fn worlds() -> impl Iterator<Item = Observed> {
    let members = [
        Member::Unneeded,
        Member::Unasked,
        Member::Unlisted,
        Member::Listed("cp2".into()),
        Member::Unknown("x".into()),
    ];
    let others = [
        vec![],
        vec![Other { name: "cp1".into(), missing: vec![] }],
        vec![Other { name: "cp1".into(), missing: vec!["x".into()] }],
    ];
    let around = members
        .into_iter()
        .flat_map(move |member| others.clone().map(|others| (member.clone(), others)));
    let things = pods()
        .into_iter()
        .flat_map(|pods| [vec![], vec!["csi-1".to_owned()]].map(|volumes| (pods.clone(), volumes)));
    let (around, things): (Vec<_>, Vec<_>) = (around.collect(), things.collect());
    nodes().into_iter().flat_map(move |node| {
        // The pods matter to a drain and the member to a deletion: each with all of its own, and the others' first.
        let mut all = vec![];
        for (at, (member, others)) in around.iter().enumerate() {
            for (pods, attachments) in if at < 3 { things.as_slice() } else { things.split_at(1).0 }
            {
                let password = (at % 2 == 0).then(|| "cp2.node-password.k3s".to_owned());
                let (member, others, pods, attachments) =
                    (member.clone(), others.clone(), pods.clone(), attachments.clone());
                all.push(Observed {
                    name: "cp2".into(),
                    node: node.clone(),
                    others,
                    pods,
                    attachments,
                    member,
                    password,
                    deleted: None,
                    elapsed: 0,
                });
            }
        }
        all
    })
}

/// What is observed for the sake of another state makes no difference.
fn matters(wish: &Json, world: &Observed) -> bool {
    let bare = world.pods.is_empty() && world.attachments.is_empty();
    let plain = world.member == Member::Unneeded;
    match wish["state"].as_str() {
        Some("drained") => plain,
        Some("absent") => bare,
        _ => bare && plain && world.others.is_empty(),
    }
}

/// A node of the control plane only loses what runs on it, or goes, while another is complete; and it goes after its member.
fn keeps(before: &Observed, after: &Observed) -> bool {
    let Some(node) = before.node.as_ref().filter(|node| !node.deleting) else { return true };
    let going = |world: &Observed| world.pods.iter().filter(|pod| pod.terminating).count();
    let touched = going(after) > going(before) || after.deleted.is_some();
    let given_up =
        after.node.as_ref().is_some_and(|node| node.out_of_service) && !node.out_of_service;
    let another = before.others.iter().any(|other| other.missing.is_empty());
    let spared = !(touched || given_up) || !node.control_plane || another;
    let member_gone = matches!(before.member, Member::Unneeded | Member::Unlisted);
    let blind = after.node.as_ref().is_some_and(Node::is_blind);
    let fixed = before.pods.iter().filter(|pod| pod.stays).all(|pod| after.pods.contains(pod));
    spared && (after.deleted.is_none() || member_gone) && (!given_up || blind) && fixed
}

#[test]
fn the_laws_hold_in_every_world() {
    let mut plans = 0;
    for wish in wishes() {
        let args =
            Value::decode(&At::ROOT, &wish).unwrap_or_else(|error| panic!("{wish}: {error:?}"));
        let wanted = K8sNode::wanted(args, SystemTime::UNIX_EPOCH)
            .unwrap_or_else(|error| panic!("{wish}: {error:?}"));
        for world in worlds().filter(|world| matters(&wish, world)) {
            plans += usize::from(testkit::laws::check::<K8sNode>(&wanted, &world, |after| {
                keeps(&world, after)
            }));
        }
    }
    assert!(plans > 2000, "only {plans} worlds had a plan");
}
