//! Against real etcd.

use etcd_cluster::{
    Access, Cluster, Doubt, Evidence, Reading,
    calls::Unreadable,
    certs::{Files, Tls},
    fault::Kind,
    gate::{Facts, Operation, Permit, decide},
    member::MemberId,
};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};
use testkit::etcd::Etcd;

fn access(etcd: &Etcd) -> Access {
    Access::new(Some(Tls::read(&Files::kubeadm(etcd.root())).unwrap()))
}

fn cluster(etcd: &Etcd) -> Cluster {
    Cluster::new(access(etcd), &etcd.endpoints())
}

fn id(reading: &Reading, name: &str) -> MemberId {
    reading.members.iter().find(|m| m.name == name).unwrap().id
}

/// What is missing, by name.
fn doubts(reading: &Reading) -> BTreeMap<String, Vec<Doubt>> {
    let evidence = Evidence::weigh(reading, None);
    reading.members.iter().map(|m| (m.name.clone(), evidence.doubts(m.id).to_vec())).collect()
}

/// Reads until it is as expected, for elections take their time.
async fn until(cluster: &mut Cluster, what: &str, good: impl Fn(&Reading) -> bool) -> Reading {
    let end = Instant::now() + Duration::from_secs(40);
    loop {
        let reading = cluster.read(false).await;
        match reading {
            Ok(reading) if good(&reading) => return reading,
            other if Instant::now() > end => panic!("{what}: not within 40 s: {other:?}"),
            _ => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

fn all_proven(reading: &Reading) -> bool {
    doubts(reading).values().all(Vec::is_empty)
}

#[tokio::test]
async fn three_healthy_members_are_proven_and_hash_alike() {
    let etcd = Etcd::start(3).await.unwrap();
    let mut cluster = cluster(&etcd);
    let reading = until(&mut cluster, "proven", all_proven).await;
    assert!(
        reading.linearizable
            && reading.members.len() == 3
            && reading.alarms.as_deref() == Some(&[])
    );
    let hashed = cluster.read(true).await.unwrap();
    assert_eq!(hashed.hashes_agree(None), Some(true), "{hashed:?}");
    assert_eq!(cluster.members().await.unwrap(), reading.members);
    // one endpoint finds the others by itself
    let mut one = Cluster::new(access(&etcd), &etcd.endpoints()[..1]);
    assert!(all_proven(&one.read(false).await.unwrap()));
    let status = reading.status(id(&reading, "cp2")).unwrap();
    assert!(
        status.version.starts_with("3.6") && status.quota > 0 && status.db_size > 0,
        "{status:?}"
    );
    // a reading is a value: it survives being stored
    let stored = serde_json::to_string(&reading).unwrap();
    assert_eq!(serde_json::from_str::<Reading>(&stored).unwrap(), reading);
}

#[tokio::test]
async fn a_dead_and_a_paused_member_are_unproven_and_the_rest_is_not() {
    let mut etcd = Etcd::start(3).await.unwrap();
    let mut cluster = cluster(&etcd);
    until(&mut cluster, "proven", all_proven).await;
    etcd.kill(1);
    let two = |reading: &Reading| doubts(reading).values().filter(|d| d.is_empty()).count() == 2;
    let begun = Instant::now();
    let reading = until(&mut cluster, "two proven", two).await;
    assert!(
        matches!(&doubts(&reading)["cp2"][..], [Doubt::Silent(fault)] if fault.kind == Kind::Unreachable && fault.text.contains("refused")),
        "{:?}",
        doubts(&reading)
    );
    assert!(begun.elapsed() < Duration::from_secs(20));
    let facts = Facts::new(&reading, &Evidence::weigh(&reading, None));
    let remove =
        |name| Operation::Remove { target: id(&reading, name), runs: true, then_rejoin: true };
    assert!(decide(&facts, remove("cp2"), Permit::default()).is_ok());
    let no = decide(&facts, remove("cp3"), Permit::default()).unwrap_err();
    assert!(
        no.code() == "quorum"
            && no.to_string().contains("1 of 2 voters would be healthy, 2 are needed"),
        "{no}"
    );
    etcd.restart(1).unwrap();
    etcd.serves(1).await.unwrap();
    until(&mut cluster, "three proven again", all_proven).await;
    etcd.pause(2).unwrap();
    let reading = until(&mut cluster, "two proven beside a paused one", two).await;
    assert!(
        matches!(&doubts(&reading)["cp3"][..], [Doubt::Silent(fault)] if fault.kind == Kind::Deadline),
        "{:?}",
        doubts(&reading)
    );
}

#[tokio::test]
async fn without_a_quorum_the_list_is_not_confirmed_and_nothing_is_proven() {
    let mut etcd = Etcd::start(3).await.unwrap();
    let mut cluster = cluster(&etcd);
    until(&mut cluster, "proven", all_proven).await;
    etcd.kill(1);
    etcd.kill(2);
    let reading = until(&mut cluster, "stale", |reading| !reading.linearizable).await;
    assert_eq!(reading.members.len(), 3);
    let facts = Facts::new(&reading, &Evidence::weigh(&reading, None));
    assert!(facts.members.iter().all(|fact| !fact.proven), "{facts:?}");
    let remove = Operation::Remove { target: id(&reading, "cp3"), runs: false, then_rejoin: false };
    assert_eq!(
        decide(&facts, remove, Permit { single_member: true, downtime: true }).unwrap_err().code(),
        "stale_list"
    );
    etcd.kill(0);
    let error = cluster.read(false).await.unwrap_err();
    assert!(
        matches!(error, Unreadable::NoList(_)) && error.to_string().contains("refused"),
        "{error}"
    );
}

#[tokio::test]
async fn learners_and_nameless_members_are_told_apart() {
    let mut etcd = Etcd::start(3).await.unwrap();
    let mut cluster = cluster(&etcd);
    until(&mut cluster, "proven", all_proven).await;
    let joining = {
        // etcd of 3.6.16 wants a quorum of connections for five seconds
        let end = Instant::now() + Duration::from_secs(30);
        loop {
            match etcd.add_unstarted(0, true).await {
                Ok(index) => break index,
                Err(error) if Instant::now() > end => panic!("{error:#}"),
                Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
            }
        }
    };
    let reading = cluster.read(false).await.unwrap();
    let nameless = reading.members.iter().find(|m| m.is_nameless()).unwrap();
    assert!(!nameless.is_voter() && nameless.peer_urls == [etcd.peer_url(joining)]);
    let evidence = Evidence::weigh(&reading, None);
    assert_eq!(evidence.doubts(nameless.id), [Doubt::Nameless, Doubt::NotAsked]);
    let facts = Facts::new(&reading, &evidence);
    let remove = |target| {
        decide(
            &facts,
            Operation::Remove { target, runs: true, then_rejoin: false },
            Permit::default(),
        )
    };
    assert_eq!(remove(id(&reading, "cp1")).unwrap_err().code(), "join_in_flight");
    assert!(remove(nameless.id).is_ok());
    etcd.start_added(joining).await.unwrap();
    let reading = until(&mut cluster, "a learner with a name", |reading| {
        let facts = Facts::new(reading, &Evidence::weigh(reading, None));
        facts.members.iter().any(|fact| fact.label.contains("cp4") && fact.proven)
    })
    .await;
    let learner = reading.member(id(&reading, "cp4")).unwrap();
    assert!(
        !learner.is_voter()
            && Evidence::weigh(&reading, None).doubts(learner.id).contains(&Doubt::Learner)
    );
}

#[tokio::test]
async fn an_emptied_member_that_founded_a_cluster_of_its_own_is_seen_as_that() {
    let mut etcd = Etcd::start(3).await.unwrap();
    let mut cluster = cluster(&etcd);
    until(&mut cluster, "proven", all_proven).await;
    etcd.found_anew(1).await.unwrap();
    // the founder is among the endpoints given, and the others still tell the truth; it may have led, so they may have to elect first
    let seen = |reading: &Reading| {
        let doubts = doubts(reading);
        matches!(&doubts["cp2"][..], [Doubt::OtherMember(_) | Doubt::OtherCluster(_), ..])
            && doubts["cp1"].is_empty()
            && doubts["cp3"].is_empty()
    };
    let reading = until(&mut cluster, "a foreign cluster", seen).await;
    assert!(
        doubts(&reading)["cp2"].iter().any(|d| matches!(d, Doubt::OtherCluster(_))),
        "{:?}",
        doubts(&reading)
    );
    // asked alone, it is a cluster, and not ours
    let mut alone = Cluster::new(access(&etcd), &[etcd.url(1)]);
    assert_ne!(alone.read(false).await.unwrap().cluster_id, reading.cluster_id);
}

#[tokio::test]
async fn wrong_certificates_and_wrong_endpoints_are_named() {
    let one = Etcd::start(1).await.unwrap();
    let other = Etcd::start(1).await.unwrap();
    // a CA of the other cluster does not verify
    let mut wrong = Cluster::new(access(&other), &one.endpoints());
    let error = wrong.read(false).await.unwrap_err().to_string();
    assert!(error.contains("certificate"), "{error}");
    // no client certificate that it knows: plain text to a TLS port
    let mut plain = Cluster::new(Access::new(None), &[one.url(0).replace("https", "http")]);
    assert!(matches!(plain.read(false).await.unwrap_err(), Unreadable::NoList(_)));
    let nobody = Cluster::new(access(&one), &["https://127.0.0.1:1".to_owned()])
        .read(false)
        .await
        .unwrap_err();
    assert!(nobody.to_string().contains("127.0.0.1:1"), "{nobody}");
}
