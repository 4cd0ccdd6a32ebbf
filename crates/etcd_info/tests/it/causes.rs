//! A case for each cause: what is observed, and what must be said of it.

use crate::world::{alarm, answer, enlist, healthy, id, member, silence, status, with};
use etcd_cluster::{
    Member, MemberId, Role,
    fault::Kind,
    reading::{AlarmKind, Hash},
};
use etcd_info::{
    causes::{Code, Verdict},
    state::Observed,
};

/// One world with one thing wrong, what it is called, whom it is about, what the evidence says, and what the way out names.
pub type Case =
    (&'static str, Observed, Verdict, Code, Option<&'static str>, &'static str, &'static str);

pub fn cases() -> Vec<Case> {
    let mut all = of_members();
    all.extend(crate::degrees::of_degree());
    all.extend(crate::degrees::of_certificates());
    all.extend(crate::degrees::of_hosts());
    all
}

#[expect(clippy::too_many_lines, reason = "a table")]
fn of_members() -> Vec<Case> {
    use Code as C;
    use Verdict::{AtRisk, Degraded, QuorumLost};
    let lost = with(3, |o| {
        silence(o, 2, Kind::Unreachable, "connection refused");
        silence(o, 3, Kind::Deadline, "status: no answer within 5 s");
        status(o, 1).leader = MemberId(0);
        o.reading.answers.get_mut(&id(1)).unwrap().linearizable = false;
        (o.reading.linearizable, o.reading.alarms) = (false, None);
    });
    let nameless = Member { name: String::new(), client_urls: vec![], ..member(4) };
    let learner = Member { role: Role::Learner, ..member(4) };
    let stuck = with(3, |o| {
        enlist(o, &learner);
        let mut slow = answer(4, &[]);
        let own = slow.status.as_mut().unwrap();
        (own.learner, own.applied_index, own.raft_index) = (true, 300, 300);
        (slow.linearizable, slow.list) = (false, None);
        o.beside.second.insert(id(4), own.clone());
        o.reading.answers.insert(id(4), slow);
    });
    vec![
        (
            "the quorum is lost",
            lost.clone(),
            QuorumLost,
            C::NoLeader,
            Some("cp1"),
            "knows no leader",
            "etcd_recover",
        ),
        (
            "and who is down is named",
            lost,
            QuorumLost,
            C::Unreachable,
            Some("cp3"),
            "no answer within 5 s",
            "target_stopped=true",
        ),
        (
            "one of three is down",
            with(3, |o| silence(o, 2, Kind::Unreachable, "connection refused")),
            AtRisk,
            C::Unreachable,
            Some("cp2"),
            "https://10.0.0.2:2379: connection refused",
            "id=a2",
        ),
        (
            "one of five is down",
            with(5, |o| silence(o, 2, Kind::Unreachable, "no route")),
            Degraded,
            C::Unreachable,
            Some("cp2"),
            "no route",
            "replace_control_plane_node",
        ),
        (
            "its certificate is over",
            with(3, |o| {
                silence(
                    o,
                    2,
                    Kind::Unreachable,
                    "invalid peer certificate: certificate expired: verification time 2",
                );
            }),
            AtRisk,
            C::Certificate,
            Some("cp2"),
            "certificate expired",
            "renew",
        ),
        (
            "ours is refused by one",
            with(3, |o| silence(o, 3, Kind::Unreachable, "received fatal alert: BadCertificate")),
            AtRisk,
            C::Certificate,
            Some("cp3"),
            "BadCertificate",
            "client_cert",
        ),
        (
            "no space",
            with(3, |o| alarm(o, 2, AlarmKind::NoSpace)),
            AtRisk,
            C::Nospace,
            Some("cp2"),
            "alarm NOSPACE",
            "etcd_maintenance",
        ),
        (
            "corrupt",
            with(5, |o| alarm(o, 2, AlarmKind::Corrupt)),
            Degraded,
            C::Corrupt,
            Some("cp2"),
            "alarm CORRUPT",
            "state=absent id=a2",
        ),
        (
            "an alarm of one that is gone",
            with(3, |o| alarm(o, 9, AlarmKind::NoSpace)),
            Degraded,
            C::Nospace,
            Some("removed a9"),
            "listed no more",
            "state=absent id=a9",
        ),
        (
            "hashes differ",
            with(3, |o| {
                for (at, answer) in o.reading.answers.values_mut().enumerate() {
                    answer.hash = Some(Hash { hash: u32::from(at == 2), compact_revision: 5 });
                }
            }),
            Degraded,
            C::Corrupt,
            Some("cp3"),
            "hash 00000001",
            "hashkv=true",
        ),
        (
            "it founded a cluster of its own",
            with(3, |o| status(o, 2).cluster_id = MemberId(0xd0)),
            AtRisk,
            C::ForeignMember,
            Some("cp2"),
            "another cluster, d0",
            "remove the data",
        ),
        (
            "a voter that never started",
            with(3, |o| enlist(o, &nameless)),
            AtRisk,
            C::NamelessMember,
            Some("nameless https://10.0.0.4:2380 (a4)"),
            "a voter that never started",
            "state=voter",
        ),
        (
            "a learner that does not move",
            stuck,
            Degraded,
            C::LearnerStuck,
            Some("cp4"),
            "was 700 log entries behind, and is 700 now",
            "force=true",
        ),
        (
            "two leaders",
            with(3, |o| status(o, 3).leader = id(3)),
            AtRisk,
            C::Disagreement,
            Some("cp3"),
            "another leader",
            "port 2380",
        ),
        (
            "another list",
            with(3, |o| o.reading.answers.get_mut(&id(3)).unwrap().list.as_mut().unwrap().clear()),
            AtRisk,
            C::Disagreement,
            Some("cp3"),
            "list differs",
            "port 2380",
        ),
        (
            "far behind",
            with(5, |o| status(o, 3).applied_index = 0),
            Degraded,
            C::Lagging,
            Some("cp3"),
            "1000 log entries behind",
            "no defragmentation",
        ),
        (
            "mixed versions",
            with(3, |o| status(o, 3).version = "3.5.21".into()),
            Degraded,
            C::VersionGap,
            Some("cp3"),
            "before 3.5.26",
            "3.5.26",
        ),
        (
            "two minor versions",
            with(3, |o| status(o, 3).version = "3.4.34".into()),
            Degraded,
            C::VersionGap,
            Some("cp3"),
            "more than one minor",
            "same version",
        ),
        (
            "one name twice",
            with(3, |o| {
                o.reading.members[1].name = "cp1".into();
                let all = o.reading.members.clone();
                o.reading.answers.values_mut().for_each(|a| a.list = Some(all.clone()));
            }),
            Degraded,
            C::DuplicateName,
            Some("cp1"),
            "is the name of a1 and a2",
            "by id",
        ),
        ("two voters", healthy(2), AtRisk, C::FewVoters, None, "2 voters", "kubeadm_join"),
        ("one voter", healthy(1), AtRisk, C::FewVoters, None, "1 voter:", "kubeadm_join"),
    ]
}
