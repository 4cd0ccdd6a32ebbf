//! What users get wrong, against real etcd: every answer names what is wrong.

use crate::live::{PROGRAM, ask};
use serde_json::{Value as Json, json};
use std::{fs, net::TcpListener};
use testkit::{
    etcd::{Etcd, Flaw},
    module::Call,
};

fn cause<'a>(reply: &'a Json, code: &str) -> &'a Json {
    let causes = reply["causes"].as_array().unwrap();
    causes.iter().find(|c| c["code"] == code).unwrap_or_else(|| panic!("no {code} in {reply}"))
}

#[tokio::test]
async fn certificates_of_every_wrong_kind_are_told_apart() {
    let etcd = Etcd::start(1).await.unwrap();
    let other = Etcd::start(1).await.unwrap();
    let with = |cert: &std::path::Path, key: &std::path::Path| {
        ask(&etcd, &[0], &json!({"client_cert": cert, "client_key": key}))
    };
    let wrong_ca = ask(&etcd, &[0], &json!({"ca_cert": other.ca_cert()}));
    // every kubeadm cluster calls its authority "etcd-ca": the name fits, and the signature does not
    assert!(wrong_ca.failed() && wrong_ca.msg().contains("BadSignature"), "{}", wrong_ca.msg());
    for (flaw, word) in [
        (Flaw::Expired, "Expired"),
        (Flaw::NotForClients, "BadCertificate"),
        (Flaw::OtherAuthority, "UnknownCA"),
    ] {
        let (cert, key) = etcd.issue_flawed("flawed", &[], flaw).unwrap();
        let reply = with(&cert, &key);
        let said = reply.msg().replace("DecryptError", "UnknownCA");
        assert!(reply.failed() && said.contains(word), "{flaw:?}: {}", reply.msg());
        assert!(reply.msg().contains(&etcd.url(0)), "{}", reply.msg());
    }
    let garbage = etcd.root().join("garbage.crt");
    fs::write(&garbage, "no certificate").unwrap();
    let reply = with(&garbage, &etcd.client_key());
    assert!(
        reply.msg().contains("garbage.crt") && reply.msg().contains("no PEM"),
        "{}",
        reply.msg()
    );
}

#[tokio::test]
async fn a_member_whose_certificate_is_over_is_named_while_the_others_serve() {
    let etcd = Etcd::start(3).await.unwrap();
    etcd.issue_flawed("cp2", &[etcd.host(1).to_owned()], Flaw::Expired).unwrap();
    let reply = ask(&etcd, &[0, 2], &json!({})).json;
    let found = cause(&reply, "certificate");
    assert!(found["subject"].as_str().unwrap().contains("cp2"), "{found}");
    assert!(found["evidence"][0].as_str().unwrap().contains("expired"), "{found}");
    assert_eq!(reply["verdict"], "at_risk", "{reply}");
}

#[tokio::test]
async fn certificates_that_end_soon_are_told_before_anybody_feels_it() {
    let etcd = Etcd::start(3).await.unwrap();
    let fresh = ask(&etcd, &[0], &json!({})).json;
    let shown = fresh["certificates"].as_array().unwrap();
    assert_eq!(shown.len(), 7, "three for clients, three for peers, and our own: {fresh}");
    assert_eq!((&fresh["verdict"], fresh.get("warnings")), (&json!("healthy"), None), "{fresh}");
    // looking at them is no line in the log of a member
    let log = fs::read_to_string(etcd.root().join("cp2.log")).unwrap();
    assert!(!log.contains("rejected connection"), "{log}");
    etcd.issue_flawed("cp2", &[etcd.host(1).to_owned()], Flaw::EndsSoon).unwrap();
    let (cert, key) = etcd.issue_flawed("soon", &[], Flaw::EndsSoon).unwrap();
    let reply = ask(&etcd, &[0], &json!({"client_cert": cert, "client_key": key})).json;
    assert_eq!(reply["verdict"], "healthy", "{reply}");
    let causes = reply["causes"].as_array().unwrap();
    let ends: Vec<&Json> = causes.iter().filter(|c| c["code"] == "certificate_ends").collect();
    assert_eq!(ends.len(), 2, "{reply}");
    let member = ends.iter().find(|cause| cause["member_id"].is_string()).unwrap();
    let evidence = member["evidence"].to_string();
    for url in [etcd.url(1), etcd.peer_url(1)] {
        assert!(
            evidence.contains(&format!("{url}: certificate \\\"cp2\\\" is over in 5 days")),
            "{evidence}"
        );
    }
    let warnings = reply["warnings"].to_string();
    assert!(warnings.contains("the client certificate that was used"), "{reply}");
    assert!(warnings.contains("kubeadm certs renew"), "{reply}");
}

#[tokio::test]
async fn a_certificate_for_peers_that_is_over_is_found_at_the_peer_url() {
    let etcd = Etcd::start(3).await.unwrap();
    etcd.issue_flawed("cp2", &[etcd.host(1).to_owned()], Flaw::Expired).unwrap();
    let reply = ask(&etcd, &[0, 2], &json!({})).json;
    let evidence = cause(&reply, "certificate")["evidence"].to_string();
    let text = format!("{}: certificate \\\"cp2\\\" is over since 2021-01-01", etcd.peer_url(1));
    assert!(evidence.contains(&text), "{evidence}");
}

#[tokio::test]
async fn a_user_without_the_right_is_told_so() {
    let etcd = Etcd::start(1).await.unwrap();
    let mut admin = etcd.client(0).await.unwrap();
    // a member without rights: a role that reads nothing, and the user named in a certificate
    admin.user_add("root", "secret", None).await.unwrap();
    admin.user_grant_role("root", "root").await.unwrap();
    admin.user_add("nobody", "secret", None).await.unwrap();
    admin.auth_enable().await.unwrap();
    let (cert, key) = etcd.issue("nobody", &[]).unwrap();
    let reply = ask(&etcd, &[0], &json!({"client_cert": cert, "client_key": key}));
    // whatever the version lets it see, nothing that it may not do counts as seen
    let text = reply.json.to_string();
    assert!(text.contains("permission denied"), "{text}");
    assert!(reply.failed() || reply.json["verdict"] != "healthy", "{text}");
    if !reply.failed() {
        assert!(!reply.json["causes"].as_array().unwrap().is_empty(), "{text}");
    }
}

#[tokio::test]
async fn half_the_endpoints_may_be_dead_and_clusters_must_not_be_mixed() {
    let etcd = Etcd::start(3).await.unwrap();
    let dead = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let endpoints =
        [etcd.url(0), format!("https://{dead}"), etcd.url(1), "https://127.0.0.1:1".into()];
    let reply = ask(&etcd, &[], &json!({"endpoints": endpoints})).json;
    assert_eq!(
        reply["quorum"],
        json!({"voters": 3, "proven": 3, "needed": 2, "tolerates": 1}),
        "{reply}"
    );
    assert_eq!(reply["verdict"], "degraded", "an endpoint that nobody has is told: {reply}");
    let subject = cause(&reply, "unreachable")["subject"].as_str().unwrap().to_owned();
    assert!(endpoints.contains(&subject), "{subject}");
    // two clusters of one authority
    let mut other = Etcd::start(2).await.unwrap();
    let ids: Vec<Json> = [&etcd, &other]
        .iter()
        .map(|one| ask(one, &[0], &json!({})).json["cluster_id"].clone())
        .collect();
    let bundle = etcd.root().join("both.crt");
    fs::write(
        &bundle,
        fs::read_to_string(etcd.ca_cert()).unwrap() + &fs::read_to_string(other.ca_cert()).unwrap(),
    )
    .unwrap();
    let mixed =
        ask(&etcd, &[], &json!({"endpoints": [etcd.url(0), other.url(0)], "ca_cert": bundle}));
    // ours is not a client the other accepts: only one of them tells
    assert!(!mixed.failed(), "{}", mixed.json);
    other.trust(&bundle);
    for at in 0..2 {
        other.restart(at).unwrap();
    }
    other.serves(0).await.unwrap();
    let mixed =
        ask(&etcd, &[], &json!({"endpoints": [etcd.url(0), other.url(0)], "ca_cert": bundle}));
    assert!(mixed.failed(), "{}", mixed.json);
    for id in ids {
        assert!(mixed.msg().contains(id.as_str().unwrap()), "{id} in {}", mixed.msg());
    }
}

#[tokio::test]
async fn ids_and_names_that_fit_nobody_are_no_guess() {
    let etcd = Etcd::start(1).await.unwrap();
    let gate =
        |word: Json| ask(&etcd, &[0], &json!({"if": {"restart": word}})).json["gate"].clone();
    // YAML makes a float of digits with an e in them, and Ansible a string of that
    for word in [json!("1.0276657743932975e+19"), json!(1.5), json!("cp9"), json!("")] {
        let said = gate(word.clone());
        assert!(said["safe"] == false && said["code"] == "unknown_member", "{word}: {said}");
    }
    let none = Call::new(PROGRAM, &json!({"endpoints": []})).run();
    assert!(none.failed() && none.msg().contains("endpoints"), "{}", none.json);
}
