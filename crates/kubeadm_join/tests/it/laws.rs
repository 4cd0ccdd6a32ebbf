//! The laws, over every world that the states of the parts can make.

use ansible_module::Module;
use kubeadm_join::{
    KubeadmJoin,
    args::Wanted,
    state::{
        Attempt, Belongs, Cause, Config, Host, Left, Membership, NodeSeen, Observed, Readiness,
    },
};
use serde_json::json;

pub fn wanted() -> Wanted {
    use ansible_module::options::{At, Value};
    let args = json!({
        "token": "abcdef.0123456789abcdef",
        "certificate_key": "e6a2eb8581237ab72a4f494f30285ec12a9694d750b9785706a83bfcbbbd2204",
        "api_endpoint": "198.18.0.10:6443",
        "ca_cert_hashes": ["sha256:3e728ecffa1e7d4abd49767daac80c69258ec12ff0cb7091d8c848205d0a9883"],
        "cluster_id": "cdf818194e3a8c32",
        "etcd_endpoints": ["https://198.18.0.11:2379", "https://198.18.0.13:2379"],
        "kubernetes_version": "v1.36.3",
    });
    KubeadmJoin::wanted(
        kubeadm_join::args::Args::decode(&At::ROOT, &args).unwrap(),
        testkit::cases::started(),
    )
    .unwrap()
}

fn host(kubelet_runs: bool) -> Host {
    let version = Some("v1.36.3".to_owned());
    Host {
        name: "cp2".into(),
        address: "198.18.0.12".into(),
        has_address: true,
        kubeadm: version.clone(),
        kubelet: version,
        kubelet_runs,
        control_plane: None,
    }
}

fn lefts() -> Vec<Left> {
    let mut all = vec![];
    for bits in 0..32_u8 {
        let has = |bit: u8| bits & 1 << bit != 0;
        let manifests = if has(0) {
            vec!["etcd.yaml".to_owned(), "kube-apiserver.yaml".to_owned()]
        } else {
            vec![]
        };
        all.push(Left {
            manifests,
            kubelet_config: has(1),
            etcd_data: has(2),
            pods_run: has(3),
            other_ca: has(4),
        });
    }
    all
}

fn attempts() -> Vec<Attempt> {
    let failed = |here| Attempt::Failed { here, cause: Cause::default() };
    vec![
        Attempt::None,
        Attempt::Running,
        Attempt::Done { here: false },
        Attempt::Done { here: true },
        failed(false),
        failed(true),
    ]
}

/// The two units never run at the same time.
fn units() -> Vec<(Attempt, Attempt)> {
    let joins = attempts().into_iter().map(|join| (join, Attempt::None));
    joins.chain(attempts().into_iter().map(|reset| (Attempt::None, reset))).collect()
}

fn nodes() -> Vec<NodeSeen> {
    let there = |up, marked| NodeSeen::There { up, marked };
    vec![
        NodeSeen::Unknown,
        NodeSeen::Absent,
        there(false, false),
        there(true, false),
        there(true, true),
    ]
}

fn worlds() -> Vec<Observed> {
    let members = [
        Membership::Unknown,
        Membership::None,
        Membership::Nameless,
        Membership::Learner,
        Membership::Voter,
    ];
    let other = Belongs::Other { own: "1".into(), peers: "2".into() };
    let mut all = vec![];
    for left in lefts() {
        for (join, reset) in units() {
            for member in members {
                for node in nodes() {
                    all.push(Observed {
                        host: host(true),
                        join: join.clone(),
                        reset: reset.clone(),
                        left: left.clone(),
                        member,
                        node,
                        endpoint: Readiness::Ready,
                        ..Observed::default()
                    });
                }
            }
        }
    }
    let varied = all.iter().step_by(7).cloned().collect::<Vec<_>>();
    for (index, world) in varied.into_iter().enumerate() {
        all.push(match index % 6 {
            0 => Observed { host: host(false), ..world },
            1 => Observed { config: Config::Same, ..world },
            2 => Observed { config: Config::Other, host: host(false), ..world },
            3 => Observed { api: Readiness::Ready, ..world },
            4 => Observed { foreign_join: Some("cp9".into()), ..world },
            _ => Observed { cluster: other.clone(), ..world },
        });
    }
    all
}

/// No kubelet meets an emptied directory: where the manifest of etcd lies, its data was not emptied by us.
fn never_emptied_under_a_manifest(before: &Observed) -> impl Fn(&Observed) -> bool {
    let had = before.left.etcd_data;
    move |now| !(had && now.left.has_etcd_manifest() && !now.left.etcd_data)
}

#[test]
fn every_world_keeps_the_laws() {
    let wanted = wanted();
    let (mut planned, mut refused) = (0, 0);
    for world in worlds() {
        if testkit::laws::check::<KubeadmJoin>(
            &wanted,
            &world,
            never_emptied_under_a_manifest(&world),
        ) {
            planned += 1;
        } else {
            refused += 1;
        }
    }
    assert!(planned > 500 && refused > 500, "{planned} planned, {refused} refused");
}

#[test]
fn nothing_is_cleared_while_a_member_of_this_host_is_listed() {
    let wanted = wanted();
    for world in worlds() {
        let Ok(plan) = KubeadmJoin::plan(&wanted, &world) else { continue };
        let clears = plan.iter().any(|step| {
            matches!(step, kubeadm_join::plan::Step::WipeEtcd(_) | kubeadm_join::plan::Step::Reset)
        });
        let listed = !matches!(world.member, Membership::None | Membership::Unknown);
        assert!(!(clears && listed), "{world:?}: {plan:?}");
        let wipes = plan.iter().any(|step| matches!(step, kubeadm_join::plan::Step::WipeEtcd(_)));
        assert!(!(wipes && world.member == Membership::Unknown), "{world:?}: {plan:?}");
    }
}
