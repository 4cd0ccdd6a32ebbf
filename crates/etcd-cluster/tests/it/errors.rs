//! Every error that a caller tells apart, provoked on the real server.

use etcd_client::{
    AlarmAction, AlarmOptions, AlarmType, Client, ConnectOptions, GetOptions, MemberAddOptions,
};
use etcd_cluster::{
    Access, Connection,
    certs::{Files, Tls},
    fault::{Fault, Kind, Retry},
    member::MemberId,
};
use std::{
    collections::BTreeSet,
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};
use testkit::etcd::Etcd;

/// Those that a client cannot provoke, and why.
const OUT_OF_REACH: &[(Kind, &str)] = &[
    (
        Kind::Stopped,
        "a server that ends mostly closes the connection before it can say so: see `of_removed`",
    ),
    (
        Kind::MemberIdExists,
        "an id is made of the peer URL and the time: a second one takes the same nanosecond",
    ),
    (Kind::OtherCluster, "members say it to each other; clients do not name a cluster"),
    (Kind::NotCapable, "lasts for the moment in which a cluster decides on its version"),
    (Kind::TooManyRequests, "takes five thousand entries that are committed and not applied"),
];

fn fault<T>(answer: Result<T, etcd_client::Error>) -> Fault {
    answer.map_or_else(Fault::from, |_| panic!("it worked"))
}

async fn connection(etcd: &Etcd, at: usize) -> Connection {
    let tls = Tls::read(&Files::kubeadm(etcd.root())).unwrap();
    let access = Access { per_call: Duration::from_secs(20), ..Access::new(Some(tls)) };
    Connection::new(&access, &etcd.url(at)).await.unwrap()
}

/// A lone member: what is asked of it is wrong.
async fn of_one() -> Vec<Fault> {
    let etcd = Etcd::start_with(1, &["--quota-backend-bytes=2097152"]).await.unwrap();
    let mut client = etcd.client(0).await.unwrap();
    let one = connection(&etcd, 0).await;
    let own = one.status().await.unwrap().member_id;
    let at = |revision| GetOptions::new().with_revision(revision);
    for _ in 0..3 {
        client.put("key", "value", None).await.unwrap();
    }
    client.compact(3, None).await.unwrap();
    let mut found = vec![
        fault(client.member_add(["no url"], None).await),
        fault(client.member_add([etcd.peer_url(0)], None).await),
        fault(client.get("key", Some(at(1))).await),
        fault(client.get("key", Some(at(1_000_000))).await),
        one.remove(MemberId(0xdead)).await.unwrap_err(),
        one.promote(own).await.unwrap_err(),
        one.move_leader(MemberId(0xdead)).await.unwrap_err(),
    ];
    let learner = || Some(MemberAddOptions::new().with_is_learner());
    let added = client.member_add([etcd.peer_url(0).replace("2380", "1")], learner()).await;
    let id = MemberId(added.unwrap().member().unwrap().id());
    found.push(one.promote(id).await.unwrap_err());
    found.push(fault(client.member_add([etcd.peer_url(0).replace("2380", "2")], learner()).await));
    one.remove(id).await.unwrap();
    // data that is said to differ, and a database over its quota
    let mine = || {
        let mut options = AlarmOptions::new();
        options.with_member(own.0);
        Some(options)
    };
    client.alarm(AlarmAction::Activate, AlarmType::Corrupt, mine()).await.unwrap();
    found.push(fault(client.put("key", "value", None).await));
    client.alarm(AlarmAction::Deactivate, AlarmType::Corrupt, mine()).await.unwrap();
    let mut put = client.put("fill", vec![b'x'; 500_000], None).await;
    while put.is_ok() {
        put = client.put("fill", vec![b'x'; 500_000], None).await;
    }
    found.push(fault(put));
    // two voters of whom one never started: a third would be one too many; and without a quorum nothing is committed
    let second = client.member_add([etcd.peer_url(0).replace("2380", "3")], None).await;
    second.unwrap();
    found.push(fault(client.member_add([etcd.peer_url(0).replace("2380", "4")], None).await));
    found.push(fault(client.delete("key", None).await));
    found
}

/// Three members, of whom one learns, one leads and one dies.
async fn of_three() -> Vec<Fault> {
    let mut etcd = Etcd::start(3).await.unwrap();
    let (mut ids, mut leader) = (vec![], MemberId(0));
    for at in 0..3 {
        let status = connection(&etcd, at).await.status().await.unwrap();
        leader = status.leader;
        ids.push(status.member_id);
    }
    let led = ids.iter().position(|id| *id == leader).unwrap();
    let (follower, third) = ((led + 1) % 3, (led + 2) % 3);
    let mut found =
        vec![connection(&etcd, follower).await.move_leader(ids[third]).await.unwrap_err()];
    let until = Instant::now() + Duration::from_secs(30);
    let joining = loop {
        match etcd.add_unstarted(led, true).await {
            Ok(joining) => break joining,
            Err(error) => assert!(Instant::now() < until, "{error:#}"),
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    etcd.start_added(joining).await.unwrap();
    let learner = connection(&etcd, joining).await;
    let learning = loop {
        match learner.status().await {
            Ok(status) => break status.member_id,
            Err(error) => assert!(Instant::now() < until, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    found.push(learner.linearizable_get().await.unwrap_err());
    connection(&etcd, led).await.remove(learning).await.unwrap();
    etcd.kill(joining);
    // a read that waits for a leader who does not answer, until there is another
    etcd.pause(led).unwrap();
    found.push(connection(&etcd, follower).await.linearizable_get().await.unwrap_err());
    etcd.resume(led).unwrap();
    for at in 0..3 {
        etcd.serves(at).await.unwrap();
    }
    // one is down: nobody may join
    etcd.kill(third);
    let mut client = etcd.client(follower).await.unwrap();
    let learn = Some(MemberAddOptions::new().with_is_learner());
    found.push(fault(client.member_add([etcd.peer_url(0).replace("2380", "1")], learn).await));
    // two are down: the one that is left first waits for a leader, and then knows that there is none
    etcd.kill(led);
    let left = connection(&etcd, follower).await;
    let until = Instant::now() + Duration::from_secs(20);
    while left.status().await.unwrap().leader != MemberId(0) {
        assert!(Instant::now() < until, "it still believes in a leader");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    found.push(left.alarms().await.unwrap_err());
    found
}

/// A member that was removed ends by itself, while somebody waits for it.
async fn of_removed() -> Fault {
    let etcd = Etcd::start(2).await.unwrap();
    let leader = connection(&etcd, 0).await.status().await.unwrap().leader;
    let mut ids = vec![];
    for at in 0..2 {
        ids.push(connection(&etcd, at).await.status().await.unwrap().member_id);
    }
    let led = usize::from(ids[0] != leader);
    let goes = 1 - led;
    let mut client = etcd.client(goes).await.unwrap();
    let until = Instant::now() + Duration::from_secs(30);
    // etcd wants its connections to be five seconds old
    while let Err(fault) = connection(&etcd, led).await.remove(ids[goes]).await {
        assert!(fault.kind == Kind::Unhealthy && Instant::now() < until, "{fault}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    loop {
        let put = client.put("key", "value", None).await;
        let Err(error) = put else { continue };
        let fault = Fault::from(error);
        if fault.kind != Kind::LeaderChanged || Instant::now() > until {
            return fault;
        }
    }
}

/// A user who has no rights at all.
async fn denied() -> Fault {
    let etcd = Etcd::start(1).await.unwrap();
    let mut admin = etcd.client(0).await.unwrap();
    admin.user_add("root", "secret", None).await.unwrap();
    admin.user_grant_role("root", "root").await.unwrap();
    admin.user_add("nobody", "secret", None).await.unwrap();
    admin.auth_enable().await.unwrap();
    let read = |path: PathBuf| fs::read(path).unwrap();
    let tls = etcd_client::TlsOptions::new()
        .ca_certificate(etcd_client::Certificate::from_pem(read(etcd.ca_cert())))
        .identity(etcd_client::Identity::from_pem(
            read(etcd.client_cert()),
            read(etcd.client_key()),
        ));
    let options = ConnectOptions::new().with_tls(tls).with_user("nobody", "secret");
    let mut nobody = Client::connect([etcd.url(0)], Some(options)).await.unwrap();
    fault(nobody.get("key", None).await)
}

#[tokio::test]
async fn every_error_is_told_apart_as_the_real_server_says_it() {
    let (one, three, removed, denied) = tokio::join!(of_one(), of_three(), of_removed(), denied());
    let all: Vec<Fault> = [one, three, vec![denied]].concat();
    // whichever comes first, it is looked at again before anything is decided
    assert!(matches!(removed.kind, Kind::Stopped | Kind::Unreachable), "{removed:?}");
    assert_eq!(removed.retry(), Retry::Reread);
    let seen: BTreeSet<String> = all.iter().map(|fault| format!("{:?}", fault.kind)).collect();
    let excused: Vec<Kind> = OUT_OF_REACH.iter().map(|(kind, _)| *kind).collect();
    let missing: Vec<&Kind> = Kind::NAMED
        .iter()
        .filter(|kind| !seen.contains(&format!("{kind:?}")) && !excused.contains(kind))
        .collect();
    assert!(missing.is_empty(), "not provoked: {missing:?}; provoked: {all:#?}");
    let unnamed: Vec<&Fault> =
        all.iter().filter(|fault| !Kind::NAMED.contains(&fault.kind)).collect();
    assert!(unnamed.is_empty(), "an error without a name: {unnamed:#?}");
    println!(
        "{} of {} errors provoked, {} out of reach",
        seen.len(),
        Kind::NAMED.len(),
        excused.len()
    );
}
