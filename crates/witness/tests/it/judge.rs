//! Each thing that can go wrong makes exactly its own check fail.

use witness::event::{Client, Event, Member, Role, Via, Written};
use witness::report::facts::{Facts, Refusal, SecondRun, Step};
use witness::report::judge::judge;
use witness::report::value::Report;
use witness::report::{html, table};

/// Everything is relative to the moment of the fault.
const FAULT: f64 = 1_000_000.0;
const DOWN: f64 = FAULT + 3.0;
const STARTED: f64 = FAULT + 5.0;
const ENDED: f64 = FAULT + 25.0;

const REQUESTS: &str = "no request failed outside the fault window";
const WRITES: &str = "every acknowledged write is on every member";
const WATCH: &str = "the watch missed no event";
const SECOND: &str = "the second run changed nothing";
const VOTERS: &str = "the members are three voters";
const REFUSED: &str = "every mistake that was tried was refused";
const VERDICT_OF_HAPROXY: &str = "HAProxy took the node out after the fault";
const AT_WORK: &str = "the clients were at work all the time";

fn get(at: f64, ms: f64, ok: bool, retried: bool) -> Event {
    let error = (!ok || retried).then(|| "closed".to_string());
    Event::Request { at, ms, client: Client::Get, ok, status: ok.then_some(200), retried, error }
}

fn write(at: f64, name: &str, written: Written) -> Event {
    let uid = (written == Written::Acked).then(|| format!("uid-{name}"));
    Event::Write { at, ms: 4.0, name: name.into(), written, uid, error: None }
}

fn three() -> Vec<Member> {
    let member =
        |n: u8| Member { name: format!("cp{n}"), id: format!("{n}a"), role: "voter".into() };
    (1..=3).map(member).collect()
}

/// A run in which nothing went wrong: requests each second, a write each, seen and verified.
fn clean() -> Vec<Event> {
    let begun = FAULT - 5.0;
    let mut events = vec![Event::Start {
        at: begun,
        server: "198.18.0.10:6443".into(),
        namespace: "n".into(),
        prefix: "w-".into(),
        interval_ms: 1000,
    }];
    for name in ["cp1", "cp2", "cp3"] {
        events.push(Event::Server { at: begun, server: name.into(), state: "UP".into() });
        let role = if name == "cp2" { Role::Leader } else { Role::Voter };
        events.push(Event::Etcd { at: begun, name: name.into(), role });
    }
    for second in 0..35_u8 {
        let at = begun + f64::from(second);
        let name = format!("w-{second}");
        events.push(get(at, 5.0, true, false));
        let client = Client::Http2;
        events.push(Event::Request {
            at,
            ms: 2.0,
            client,
            ok: true,
            status: Some(200),
            retried: false,
            error: None,
        });
        events.push(write(at, &name, Written::Acked));
        events.push(Event::Seen { at: at + 0.01, name });
    }
    events.push(Event::Server { at: DOWN, server: "cp2".into(), state: "DOWN".into() });
    events.push(Event::End { at: begun + 35.0, reason: "told to stop".into() });
    for member in three() {
        for via in [Via::Apiserver, Via::Etcd] {
            let (member, missing) = (member.name.clone(), vec![]);
            events.push(Event::Verified {
                at: ENDED + 10.0,
                member,
                via,
                expected: 35,
                missing,
                error: None,
            });
        }
        events.push(Event::Members { at: ENDED + 10.0, from: member.name, members: three() });
    }
    events
}

fn facts() -> Facts {
    Facts {
        distribution: "kubeadm".into(),
        target: "cp2".into(),
        fault_at: Some(FAULT),
        replace_started: STARTED,
        replace_ended: ENDED,
        quiet_seconds: 5.0,
        second_run: Some(SecondRun { at: ENDED + 0.5, seconds: 3.0, changed: 0 }),
        refusals: vec![refusal()],
        members_after: three(),
        ..Facts::default()
    }
}

fn refusal() -> Refusal {
    Refusal {
        at: STARTED + 10.0,
        what: "remove cp3 as well".into(),
        refused: true,
        code: "quorum".into(),
        text: "cannot remove \"cp3\": 1 of 2 voters would be healthy, 2 are needed".into(),
        expected: Some("quorum".into()),
    }
}

/// The checks that do not hold.
fn failed(report: &Report) -> Vec<&str> {
    report
        .verdict
        .checks
        .iter()
        .filter(|check| !check.ok)
        .map(|check| check.needed.as_str())
        .collect()
}

#[test]
fn a_clean_run_holds() {
    let report = judge(&clean(), &facts());
    assert_eq!(failed(&report), Vec::<&str>::new());
    assert!(report.verdict.ok);
    assert_eq!((report.api.all.requests, report.fault_window.all.requests), (93, 12));
    assert_eq!((report.writes.acked, report.writes.lost, report.watch.missed), (35, 0, 0));
    assert!((report.replace_seconds - 20.0).abs() < 1e-9, "{}", report.replace_seconds);
    assert!((report.fault_window.seconds - 3.0).abs() < 1e-9, "{}", report.fault_window.seconds);
}

#[test]
fn each_event_that_must_not_be_fails_its_own_check() {
    let late = STARTED + 2.5;
    let lost = |member: &str, via| Event::Verified {
        at: ENDED + 11.0,
        member: member.into(),
        via,
        expected: 35,
        missing: vec!["w-3".into()],
        error: None,
    };
    let mut two = three();
    two.truncate(2);
    let table: Vec<(&str, Event, &[&str])> = vec![
        ("a failed GET outside the window", get(late, 5.0, false, false), &[REQUESTS]),
        ("a failed GET before the fault", get(FAULT - 1.0, 5.0, false, false), &[REQUESTS]),
        ("a failed GET inside the window", get(FAULT + 1.0, 5.0, false, false), &[]),
        (
            "one that began inside and timed out after it",
            get(DOWN - 0.1, 10_000.0, false, false),
            &[],
        ),
        ("one that began right after it", get(DOWN + 0.1, 5.0, false, false), &[REQUESTS]),
        ("a retried GET", get(late, 5.0, true, true), &[]),
        ("a GET that failed twice", get(late, 5.0, false, true), &[REQUESTS]),
        ("a refused write", write(late, "x", Written::Refused), &[REQUESTS]),
        ("a write that nobody looked for again", write(late, "x", Written::Ambiguous), &[REQUESTS]),
        (
            "a write acknowledged and neither looked for nor seen",
            write(late, "x", Written::Acked),
            &[WRITES, WATCH],
        ),
        ("a write missing in one store", lost("cp3", Via::Etcd), &[WRITES]),
        ("a write missing through one apiserver", lost("cp1", Via::Apiserver), &[WRITES]),
        ("a watch that lost its place", Event::Gone { at: late, reason: "410".into() }, &[WATCH]),
        (
            "a watch that connected again",
            Event::Reconnect { at: late, client: "watch".into(), reason: "r".into() },
            &[],
        ),
        ("a request left out", Event::Skipped { at: late, client: Client::Get }, &[AT_WORK]),
        (
            "another member list",
            Event::Members { at: late, from: "cp3".into(), members: two },
            &[VOTERS],
        ),
    ];
    for (what, event, expected) in table {
        let mut events = clean();
        events.push(event);
        assert_eq!(failed(&judge(&events, &facts())), expected, "{what}");
    }
}

#[test]
fn a_write_without_a_verdict_is_settled_by_reading() {
    let at = STARTED + 2.5;
    let resolved = |uid: Option<&str>| Event::Resolved {
        at: ENDED,
        name: "x".into(),
        uid: uid.map(Into::into),
    };
    let seen = Event::Seen { at, name: "x".into() };
    let mut events = clean();
    for event in &mut events {
        if let Event::Verified { expected, .. } = event {
            *expected = 36;
        }
    }
    events.extend([write(at, "x", Written::Ambiguous), resolved(Some("u")), seen]);
    let report = judge(&events, &facts());
    assert_eq!(failed(&report), Vec::<&str>::new());
    assert_eq!((report.writes.ambiguous, report.writes.ambiguous_found), (1, 1));

    let mut events = clean();
    events.extend([write(at, "x", Written::Ambiguous), resolved(None)]);
    assert_eq!(failed(&judge(&events, &facts())), [REQUESTS]);
}

#[test]
fn what_was_not_seen_counts_against_the_operation() {
    type Keep = fn(&Event) -> bool;
    let table: [(&str, Keep, &[&str]); 6] = [
        ("no verification", |event| !matches!(event, Event::Verified { .. }), &[WRITES]),
        (
            "a member that was not read",
            |event| !matches!(event, Event::Verified { member, via: Via::Apiserver, .. } if member == "cp3"),
            &[WRITES],
        ),
        ("no end", |event| !matches!(event, Event::End { .. }), &[AT_WORK]),
        (
            "one event missing",
            |event| !matches!(event, Event::Seen { name, .. } if name == "w-7"),
            &[WATCH],
        ),
        (
            "no requests for a while",
            |event| !matches!(event, Event::Request { at, client: Client::Http2, .. } if (STARTED..ENDED).contains(at)),
            &[AT_WORK],
        ),
        // Without that verdict the window has no length, and what failed in it would count.
        (
            "no verdict of HAProxy",
            |event| !matches!(event, Event::Server { state, .. } if state == "DOWN"),
            &[VERDICT_OF_HAPROXY],
        ),
    ];
    for (what, keep, expected) in table {
        let events: Vec<Event> = clean().into_iter().filter(keep).collect();
        assert_eq!(failed(&judge(&events, &facts())), expected, "{what}");
    }
    assert!(!judge(&[], &facts()).verdict.ok);
}

#[test]
fn each_fact_that_must_not_be_fails_its_own_check() {
    type Change = fn(&mut Facts);
    let table: [(&str, Change, &[&str]); 9] = [
        ("no second run", |facts| facts.second_run = None, &[SECOND]),
        (
            "a second run that changed",
            |facts| facts.second_run.as_mut().unwrap().changed = 1,
            &[SECOND],
        ),
        // The members' own lists still show three: that the two disagree is said by the same check.
        ("two members", |facts| facts.members_after.truncate(2), &[VOTERS]),
        ("a learner", |facts| facts.members_after[1].role = "learner".into(), &[VOTERS]),
        ("a mistake that went through", |facts| facts.refusals[0].refused = false, &[REFUSED]),
        ("a refusal by the lock", |facts| facts.refusals[0].code = "locked".into(), &[REFUSED]),
        ("no mistake tried", |facts| facts.refusals.clear(), &[]),
        (
            "an operation that outlasted the clients",
            |facts| facts.replace_ended = ENDED + 60.0,
            &[AT_WORK],
        ),
        ("a healthy node replaced", |facts| facts.fault_at = None, &[]),
    ];
    for (what, change, expected) in table {
        let mut facts = facts();
        change(&mut facts);
        assert_eq!(failed(&judge(&clean(), &facts)), expected, "{what}");
    }
}

#[test]
fn a_fault_that_was_not_told_excuses_nothing() {
    let mut events = clean();
    events.push(get(FAULT + 1.0, 5.0, false, false));
    let facts = Facts { fault_at: None, ..facts() };
    assert_eq!(failed(&judge(&events, &facts)), [REQUESTS]);
}

#[test]
fn the_json_has_the_promised_fields() {
    let report = serde_json::to_value(judge(&clean(), &facts())).unwrap();
    for field in [
        "/distribution",
        "/versions",
        "/replace_seconds",
        "/api/requests",
        "/api/failed",
        "/api/retried",
        "/api/longest_ms",
        "/api/by_client/http2/requests",
        "/fault_window/seconds",
        "/fault_window/failed",
        "/writes/acked",
        "/writes/lost",
        "/watch/reconnects",
        "/watch/missed",
        "/members_after/0/role",
        "/refusals/0/code",
        "/second_run_changed",
        "/quiet_seconds",
        "/verdict/ok",
    ] {
        assert!(report.pointer(field).is_some(), "{field} is missing in {report:#}");
    }
}

#[test]
fn the_page_loads_nothing_and_keeps_text_as_text() {
    let mut facts = facts();
    facts.refusals[0].text = "<script>alert(1)</script>".into();
    let step = Step {
        at: STARTED,
        step: "a <b> step".into(),
        host: "cp1".into(),
        seconds: 1.0,
        changed: true,
    };
    let events = clean();
    let report = judge(&events, &facts);
    let page = html::page(&report, &events, &[step], &facts);
    for forbidden in ["<script", "http://", "https://", "<b> step", "NaN", "inf\""] {
        assert!(!page.contains(forbidden), "{forbidden}");
    }
    assert!(page.contains("Everything held"));
    assert!(table::terminal(&report).contains("verdict: everything held"));
}
