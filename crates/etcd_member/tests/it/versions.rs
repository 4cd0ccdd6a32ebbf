//! Every line of etcd that there is a program of, and clusters in the middle of an upgrade.

use crate::world::{call, id, leader, names};
use serde_json::json;
use testkit::etcd::Etcd;

/// Moves the leader of a cluster of these lines, removes it, and does both again.
async fn the_leader_goes(lines: &[&str]) {
    let etcd = Etcd::start_of(lines).await.unwrap();
    let led = leader(&etcd, 0).await;
    let mut at = 0;
    while id(&etcd, etcd.name(at)).await != led {
        at += 1;
    }
    let peers: Vec<usize> = (0..lines.len()).filter(|other| *other != at).collect();
    let remove = call(&etcd, &peers, &json!({"name": etcd.name(at)}));
    let reply = remove.run();
    assert!(reply.changed() && !reply.failed(), "{lines:?}: {}", reply.json);
    for peer in &peers {
        let left: Vec<_> = peers.iter().map(|peer| etcd.name(*peer).to_owned()).collect();
        assert_eq!(names(&etcd, *peer).await, left, "{lines:?}");
        assert_ne!(leader(&etcd, *peer).await, led, "{lines:?}");
    }
    let again = remove.run();
    assert!(!again.changed() && !again.failed(), "{lines:?}: {}", again.json);
}

#[tokio::test]
async fn a_member_of_every_line_is_removed() {
    for line in artefacts::ETCD_LINES {
        the_leader_goes(&[line; 3]).await;
    }
}

#[tokio::test]
async fn a_member_is_removed_in_the_middle_of_an_upgrade() {
    the_leader_goes(&["3.5", "3.6", "3.5"]).await;
    the_leader_goes(&["3.6", "3.7", "3.7"]).await;
}
