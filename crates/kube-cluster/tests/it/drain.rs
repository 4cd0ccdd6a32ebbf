use crate::world;
use kube_cluster::{Evicted, Owner};
use serde_json::json;

#[test]
fn a_budget_holds_a_pod_until_it_allows_a_disruption() {
    world::with(async |api, cluster| {
        world::node(&api, "drain-1", &json!({}));
        world::pod(&api, "drain-1", "held", &json!({"app": "held"}));
        world::budget(&api, "held-budget", "held", 0);
        let pods = cluster.pods_on("drain-1").await.unwrap();
        let [pod] = pods.as_slice() else { panic!("{pods:?}") };
        assert_eq!((pod.owner.clone(), pod.ready), (Owner::Nobody, true));
        let budgets = cluster.budgets().await.unwrap();
        let budget = budgets.iter().find(|budget| budget.covers(pod)).unwrap();
        assert_eq!((budget.name.as_str(), budget.disruptions_allowed), ("held-budget", 0));

        let Evicted::Held { after, why } = cluster.evict(pod, None).await.unwrap() else {
            panic!("not held")
        };
        assert!(why.contains("held-budget"), "{why}");
        assert!(!after.is_zero());
        world::allow(&api, "held-budget", 1);
        assert_eq!(cluster.evict(pod, None).await.unwrap(), Evicted::Accepted);
        assert!(cluster.pods_on("drain-1").await.unwrap().is_empty());
        assert_eq!(cluster.evict(pod, None).await.unwrap(), Evicted::Gone);
    });
}

#[test]
fn a_pod_that_took_over_the_name_is_not_evicted() {
    world::with(async |api, cluster| {
        world::node(&api, "drain-2", &json!({}));
        world::pod(&api, "drain-2", "again", &json!({}));
        let first = cluster.pods_on("drain-2").await.unwrap().remove(0);
        api.kubectl(&["delete", "pod", "again", "--wait=false"], None).unwrap();
        world::pod(&api, "drain-2", "again", &json!({}));
        assert_eq!(cluster.evict(&first, None).await.unwrap(), Evicted::Gone);
        let left = cluster.pods_on("drain-2").await.unwrap();
        assert!(left.len() == 1 && left[0].uid != first.uid && !left[0].terminating, "{left:?}");
    });
}

#[test]
fn attachments_are_found_by_node() {
    world::with(async |api, cluster| {
        let attachment = |name: &str, node: &str| {
            json!({"apiVersion": "storage.k8s.io/v1", "kind": "VolumeAttachment", "metadata": {"name": name},
                "spec": {"attacher": "x.example", "nodeName": node, "source": {"persistentVolumeName": "pv"}}})
        };
        let all = "/apis/storage.k8s.io/v1/volumeattachments";
        api.create(all, &attachment("va-1", "drain-3")).unwrap();
        api.create(all, &attachment("va-2", "drain-4")).unwrap();
        assert_eq!(cluster.attachments("drain-3").await.unwrap(), ["va-1"]);
        assert!(cluster.attachments("drain-5").await.unwrap().is_empty());
    });
}
