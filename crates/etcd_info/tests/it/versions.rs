//! Every line of etcd that there is a program of, and clusters in the middle of an upgrade.

use crate::live::ask;
use serde_json::{Value as Json, json};
use testkit::etcd::Etcd;

/// Reads a cluster of these lines, and what it says of each member's version.
async fn read(lines: &[&str]) -> Json {
    let etcd = Etcd::start_of(lines).await.unwrap();
    let all: Vec<usize> = (0..lines.len()).collect();
    let reply = ask(&etcd, &all, &json!({"hashkv": true})).json;
    let told = reply["members"].as_array().unwrap().iter().map(|member| member["version"].clone());
    let built = lines
        .iter()
        .map(|line| json!(artefacts::etcd_version_of(line).unwrap().trim_start_matches('v')));
    assert_eq!(told.collect::<Vec<_>>(), built.collect::<Vec<_>>(), "{reply}");
    assert_eq!(reply["hashkv"]["equal"], true, "{reply}");
    assert_eq!(reply["quorum"]["proven"], json!(lines.len()), "{reply}");
    reply
}

#[tokio::test]
async fn every_line_is_read_and_its_version_told() {
    for line in artefacts::ETCD_LINES {
        let reply = read(&[line; 3]).await;
        assert_eq!(
            (&reply["verdict"], &reply["causes"]),
            (&json!("healthy"), &json!([])),
            "{reply}"
        );
    }
}

#[tokio::test]
async fn a_cluster_in_the_middle_of_an_upgrade_is_read() {
    for lines in [["3.5", "3.6", "3.5"], ["3.6", "3.7", "3.6"]] {
        let reply = read(&lines).await;
        let codes: Vec<_> =
            reply["causes"].as_array().unwrap().iter().map(|cause| cause["code"].clone()).collect();
        assert!(codes.iter().all(|code| code == "version_gap"), "{reply}");
    }
}
