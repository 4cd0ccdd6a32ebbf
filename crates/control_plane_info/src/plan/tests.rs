use super::*;
use crate::state::{Components, Manifest, Manifests, Versions};

#[expect(clippy::unnecessary_wraps, reason = "the fields are optional")]
fn health(ready: bool) -> Option<Health> {
    Some(Health {
        ready,
        why: (!ready).then(|| "connection refused".into()),
        url: "https://127.0.0.1:10259/readyz".into(),
    })
}

fn components() -> Components {
    Components {
        apiserver: health(true),
        controller_manager: health(true),
        scheduler: health(true),
        kubelet: health(true),
        etcd: health(true),
    }
}

#[expect(clippy::unnecessary_wraps, reason = "the fields are optional")]
fn manifest(version: &str) -> Option<Manifest> {
    Some(Manifest { version: Some(version.into()), ..Manifest::default() })
}

fn file(path: &str, content: &str) -> File {
    File {
        path: path.into(),
        needed_by: "kube-apiserver --audit-policy-file".into(),
        kind: "file".into(),
        secret: true,
        sha256: None,
        fingerprint: Some(content.into()),
    }
}

/// Asked at that second, answered a tenth later by a clock that is `ahead`.
fn report(name: &str, asked_at: f64, ahead: f64) -> Report {
    let view = View {
        name: Some(name.into()),
        distribution: Some("kubeadm".into()),
        clock: Some(Clock {
            now: asked_at + 0.1 + ahead,
            done: None,
            asked_at: Some(asked_at),
            since_asked: Some(0.1 + ahead),
        }),
        certificates: Some(vec![Certificate {
            path: "/etc/kubernetes/pki/apiserver.crt".into(),
            subject: "kube-apiserver".into(),
            not_after: "2026-11-29T00:00:00Z".into(),
            days_left: 7,
            lifetime_days: 365,
            renews_itself: false,
        }]),
        manifests: Some(Manifests {
            apiserver: manifest("v1.36.3"),
            controller_manager: manifest("v1.36.3"),
            scheduler: manifest("v1.36.3"),
            etcd: manifest("3.6.16"),
        }),
        files: Some(vec![]),
        components: Some(components()),
        versions: Some(Versions {
            kubelet: Some("v1.36.3".into()),
            kubeadm: Some("v1.36.3".into()),
            containerd: Some("v2.3.2".into()),
            k3s: None,
        }),
        ..View::default()
    };
    Report { name: name.into(), failure: None, view }
}

fn question(reports: Vec<Report>) -> Question {
    Question {
        reports,
        asked_at: 1002.0,
        joining: None,
        files_provided: false,
        certificate_days: 7,
        clock_difference: 1.0,
    }
}

fn pair() -> Question {
    question(vec![report("cp1", 1000.0, 0.0), report("cp3", 1001.5, 0.0)])
}

/// The codes of the findings after one thing was changed in the second report.
fn codes(change: impl FnOnce(&mut Report)) -> Vec<&'static str> {
    let mut question = pair();
    change(question.reports.last_mut().unwrap());
    findings(&question).iter().map(Finding::code).collect()
}

#[test]
fn two_equal_hosts_are_fit() {
    assert_eq!(findings(&question(vec![report("cp1", 1001.5, 0.0)])), []);
    let tight = question(vec![report("cp1", 1001.6, 0.0), report("cp3", 1001.8, 0.0)]);
    assert_eq!(findings(&tight), []);
    let basis = basis(&tight);
    assert_eq!(basis.healthy.unwrap(), ["cp1", "cp3"]);
    assert!(basis.clock_difference.unwrap() <= 0.3);
}

#[test]
fn each_thing_that_is_wrong_is_found() {
    type Change = fn(&mut Report);
    let cases: [(&str, Change); 8] = [
        ("no_answer", |r| r.failure = Some("unreachable".into())),
        ("no_control_plane", |r| r.view.distribution = None),
        ("not_ready", |r| r.view.components.as_mut().unwrap().scheduler = health(false)),
        ("not_ready", |r| r.view.components.as_mut().unwrap().kubelet = None),
        ("no_certificates", |r| r.view.certificates = None),
        ("certificate_ends", |r| r.view.certificates.as_mut().unwrap()[0].days_left = 6),
        ("versions_differ", |r| r.view.versions.as_mut().unwrap().kubelet = Some("v1.36.2".into())),
        ("no_clock", |r| r.view.clock = None),
    ];
    for (code, change) in cases {
        let found = codes(change);
        assert_eq!(found.first(), Some(&code), "{found:?}");
    }
}

#[test]
fn a_certificate_that_the_kubelet_renews_is_judged_by_its_life() {
    let short = |days_left: i64| {
        codes(move |report| {
            let one = &mut report.view.certificates.as_mut().unwrap()[0];
            (one.renews_itself, one.lifetime_days, one.days_left) = (true, 60, days_left);
        })
    };
    assert!(!short(3).contains(&"certificate_ends"));
    assert!(short(2).contains(&"certificate_ends"));
    let hours = codes(|report| {
        let one = &mut report.view.certificates.as_mut().unwrap()[0];
        (one.renews_itself, one.lifetime_days, one.days_left) = (true, 0, 0);
    });
    assert!(!hours.contains(&"certificate_ends"));
}

#[test]
fn files_must_be_provided_and_equal() {
    let with = |one: &str, other: &str, provided: bool| {
        let mut question = Question { files_provided: provided, ..pair() };
        for (report, content) in question.reports.iter_mut().zip([one, other]) {
            report.view.files = Some(vec![file("/etc/kubernetes/enc.yaml", content)]);
        }
        let found = findings(&question);
        found.iter().map(Finding::code).filter(|code| code.contains("file")).collect::<Vec<_>>()
    };
    assert_eq!(with("a", "a", true), [""; 0]);
    assert_eq!(with("a", "a", false), ["files_not_provided"]);
    assert_eq!(with("a", "b", true), ["files_differ"]);
    let gone = codes(|report| {
        let file = File { kind: "absent".into(), fingerprint: None, ..file("/etc/x", "a") };
        report.view.files = Some(vec![file]);
    });
    assert!(gone.contains(&"file_gone"));
}

/// The fresh host, after the peers were judged.
fn joining(change: impl FnOnce(&mut Report)) -> Vec<&'static str> {
    let mut peers = question(vec![report("cp1", 1001.2, 0.0), report("cp3", 1001.4, 0.0)]);
    peers.asked_at = 1001.6;
    for report in &mut peers.reports {
        report.view.files = Some(vec![file("/etc/kubernetes/enc.yaml", "a")]);
    }
    let judged = Report { name: "a judgement".into(), failure: None, view: basis(&peers) };
    let mut fresh = report("cp2", 1060.0, 0.0);
    fresh.view = View {
        name: fresh.view.name,
        clock: fresh.view.clock,
        versions: fresh.view.versions,
        files: judged.view.files.clone(),
        ..View::default()
    };
    change(&mut fresh);
    let reports = [peers.reports, vec![judged, fresh]].concat();
    let question = Question { reports, asked_at: 1060.2, joining: Some("cp2".into()), ..peers };
    findings(&question).iter().map(Finding::code).collect()
}

#[test]
fn a_fresh_host_needs_files_versions_and_time_and_no_more() {
    assert_eq!(joining(|_| {}), [""; 0]);
    assert_eq!(joining(|r| r.view.files = None), ["file_missing"]);
    assert_eq!(
        joining(|r| r.view.files.as_mut().unwrap()[0].kind = "absent".into()),
        ["file_missing"]
    );
    assert_eq!(
        joining(|r| r.view.files.as_mut().unwrap()[0].kind = "directory".into()),
        ["file_missing"]
    );
    let other = |r: &mut Report| r.view.files.as_mut().unwrap()[0].fingerprint = Some("b".into());
    assert_eq!(joining(other), ["files_differ"]);
    assert_eq!(joining(|r| r.view.versions.as_mut().unwrap().kubeadm = None), ["not_installed"]);
    let old = |r: &mut Report| r.view.versions.as_mut().unwrap().kubelet = Some("v1.35.9".into());
    assert_eq!(joining(old), ["versions_differ"]);
    assert_eq!(
        joining(|r| r.view.clock.as_mut().unwrap().now += 3.0),
        ["clocks_apart", "clocks_apart"]
    );
    assert_eq!(joining(|r| r.failure = Some("unreachable".into())), ["no_answer"]);
}

#[test]
fn that_too_little_is_known_of_clocks_is_said_when_nothing_else_is_wrong() {
    let mut question = pair();
    question.reports[1].view.components = None;
    let found = findings(&question);
    assert!(found.iter().all(|finding| finding.code() == "not_ready"), "{found:?}");
    assert_eq!(judge(&pair()).unwrap_err().code, "clocks_unknown");
    let mut more = pair();
    more.reports.push(report("cp1", 1001.7, 0.0));
    more.reports.push(report("cp3", 1001.9, 0.0));
    more.asked_at = 1002.1;
    assert_eq!(judge(&more), Ok(()));
}

#[test]
fn etcd_has_evidence_of_its_own() {
    let sick = |r: &mut Report| r.view.components.as_mut().unwrap().etcd = health(false);
    assert!(!codes(sick).contains(&"not_ready"));
}

#[test]
fn k3s_is_one_process() {
    let mut question = question(vec![report("cp1", 1001.5, 0.0)]);
    let view = &mut question.reports[0].view;
    view.distribution = Some("k3s".into());
    view.components = Some(Components { apiserver: health(true), ..Components::default() });
    assert_eq!(findings(&question), []);
}

#[test]
fn containerd_may_differ_and_is_told() {
    let mut question = pair();
    question.reports[0].view.versions.as_mut().unwrap().containerd = Some("v2.3.1".into());
    let told = doubts(&question);
    assert_eq!(told.len(), 1);
    assert!(told[0].starts_with("containerd is v2.3.1 on cp1 and v2.3.2 on cp3"), "{told:?}");
}

#[test]
fn every_way_out_names_what_renews_it() {
    let text = |path: &str| {
        let certificate =
            Certificate { path: path.into(), days_left: -2, ..Certificate::default() };
        Finding::CertificateEnds { host: "cp1".into(), certificate, needed: 7 }.to_string()
    };
    let cases = [
        ("/etc/kubernetes/pki/apiserver.crt", "\"kubeadm certs renew apiserver\""),
        ("/etc/kubernetes/pki/etcd/server.crt", "\"kubeadm certs renew etcd-server\""),
        ("/etc/kubernetes/admin.conf", "\"kubeadm certs renew admin.conf\""),
        ("/etc/kubernetes/pki/etcd/ca.crt", "replace it by hand"),
        ("/etc/kubernetes/pki/front-proxy-ca.crt", "replace it by hand"),
        ("/etc/kubernetes/pki/mine.crt", "none of kubeadm's"),
        ("/var/lib/rancher/k3s/server/tls/client-admin.crt", "restart k3s"),
    ];
    for (path, way) in cases {
        assert!(text(path).contains(way) && text(path).contains("has ended"), "{}", text(path));
    }
}
