//! What is wrong with a cluster: a pure function over one observation.
//!
//! Every cause has evidence that was seen; what was merely not read is no cause. One member may be the subject of several.

use crate::{
    causes::{Cause, Code, Verdict},
    state::Observed,
    view::quorum_of,
};
use etcd_cluster::{
    Doubt, Member, MemberId, Reading,
    fault::{Fault, Kind},
    reading::{AlarmKind, Status},
    version,
};
use std::collections::BTreeMap;

mod certificates;
mod host;
mod measure;

/// What was found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Diagnosis {
    /// How the cluster is.
    pub verdict: Verdict,
    /// The same in a sentence.
    pub summary: String,
    /// What is wrong, the gravest first.
    pub causes: Vec<Cause>,
}

/// Tells what is wrong.
pub fn diagnose(observed: &Observed) -> Diagnosis {
    let mut found = Found(observed, vec![]);
    found.alarms();
    found.members();
    found.lists();
    found.versions();
    measure::all(&mut found);
    host::all(&mut found);
    certificates::all(&mut found);
    found.leader();
    let mut causes = found.1;
    causes.sort_by(|a, b| (a.code, &a.subject).cmp(&(b.code, &b.subject)));
    let verdict = verdict(observed, &causes);
    Diagnosis { verdict, summary: summary(observed, verdict, &causes), causes }
}

/// Tells whether two samples may be of a log that grows too fast.
pub fn is_storm(reading: &Reading, second: &BTreeMap<MemberId, Status>, between_ms: u64) -> bool {
    measure::rate(reading, second, between_ms)
        .is_some_and(|rate| rate >= measure::STORM_PER_S && between_ms < measure::STORM_OVER_MS)
}

/// Reads work under an alarm; what else refuses them is another cause's matter.
fn is_alarmed(fault: &Fault) -> bool {
    matches!(fault.kind, Kind::NoSpace | Kind::Corrupt | Kind::NotForLearner)
}

fn verdict(observed: &Observed, causes: &[Cause]) -> Verdict {
    let no_leader = causes.iter().any(|cause| cause.code == Code::NoLeader);
    let quorum = quorum_of(observed);
    match () {
        () if observed.beside.unread.is_some() && !no_leader => Verdict::Unknown,
        () if !observed.reading.linearizable => Verdict::QuorumLost,
        () if quorum.tolerates == 0 => Verdict::AtRisk,
        () if causes.iter().any(is_felt) || quorum.proven < quorum.voters => Verdict::Degraded,
        () => Verdict::Healthy,
    }
}

/// What is only about to happen has not cost any redundancy yet.
fn is_felt(cause: &Cause) -> bool {
    cause.code != Code::CertificateEnds
}

fn summary(observed: &Observed, verdict: Verdict, causes: &[Cause]) -> String {
    let quorum = quorum_of(observed);
    let of = format!("{} of {} voters are proven", quorum.proven, quorum.voters);
    let head = match verdict {
        Verdict::Healthy => format!("healthy: {of}"),
        Verdict::Degraded => format!("degraded: {of}, {} more may be lost", quorum.tolerates),
        Verdict::AtRisk => format!("at risk: {of}, none may be lost"),
        Verdict::QuorumLost if quorum.voters > 0 => {
            format!("quorum lost: no linearizable read among {} voters", quorum.voters)
        }
        Verdict::QuorumLost => "quorum lost: the member of this host knows no leader".to_owned(),
        Verdict::Unknown => "unknown: no endpoint told the member list".to_owned(),
    };
    let name = |cause: &Cause| {
        let code = serde_json::to_value(cause.code).ok();
        let code = code.as_ref().and_then(|code| code.as_str()).unwrap_or_default().to_owned();
        cause.subject.as_ref().map_or_else(|| code.clone(), |subject| format!("{code} ({subject})"))
    };
    let names: Vec<String> = causes.iter().map(name).collect();
    if names.is_empty() { head } else { format!("{head}; {}", names.join(", ")) }
}

/// The observation, and the causes found so far.
pub(crate) struct Found<'a>(pub(crate) &'a Observed, pub(crate) Vec<Cause>);

impl Found<'_> {
    /// Adds evidence about something that is no member.
    pub(crate) fn about(&mut self, code: Code, subject: Option<&str>, evidence: String) {
        self.add(code, subject.map(str::to_owned), None, subject.unwrap_or("it"), evidence);
    }

    /// Adds evidence about a listed member.
    pub(crate) fn member(&mut self, code: Code, member: &Member, evidence: String) {
        let name = if member.is_nameless() { "" } else { &member.name };
        self.add(code, Some(member.label()), Some(member.id), name, evidence);
    }

    fn add(
        &mut self,
        code: Code,
        subject: Option<String>,
        id: Option<MemberId>,
        name: &str,
        evidence: String,
    ) {
        if let Some(same) = self.1.iter_mut().find(|c| c.code == code && c.subject == subject) {
            if !same.evidence.contains(&evidence) {
                same.evidence.push(evidence);
            }
            return;
        }
        let member_id = id.map(|id| id.to_string());
        let way_out = code
            .way_out()
            .replace("{id}", member_id.as_deref().unwrap_or("of the member"))
            .replace("{name}", name);
        self.1.push(Cause { code, subject, member_id, evidence: vec![evidence], way_out });
    }

    /// Tells whether a cause was found for a member.
    pub(crate) fn has(&self, code: Code, id: MemberId) -> bool {
        self.1.iter().any(|c| c.code == code && c.member_id.as_deref() == Some(&id.to_string()))
    }

    fn alarms(&mut self) {
        let reading = &self.0.reading;
        for alarm in reading.alarms.iter().flatten() {
            let code = match alarm.kind {
                AlarmKind::Corrupt => Code::Corrupt,
                AlarmKind::NoSpace => Code::Nospace,
            };
            match reading.member(alarm.member) {
                Some(member) => self.member(code, member, format!("alarm {}", alarm.kind)),
                None if alarm.member == MemberId(0) => {
                    self.about(code, None, format!("alarm {} that names no member", alarm.kind));
                }
                None => {
                    let evidence =
                        format!("alarm {} of a member that is listed no more", alarm.kind);
                    let id = alarm.member;
                    self.add(code, Some(format!("removed {id}")), Some(id), "", evidence);
                    // its member is gone already: what is left is to take the alarm back
                    if let Some(cause) = self.1.last_mut() {
                        cause.way_out = format!(
                            "quorate.controlplane.etcd_member with state=absent id={id}: it finishes a removal and takes back what it left"
                        );
                    }
                }
            }
        }
        if reading.hashes_agree(None) == Some(false) {
            for member in &reading.members {
                let hash = reading.answers.get(&member.id).and_then(|answer| answer.hash);
                let Some(hash) = hash else { continue };
                let text =
                    format!("hash {:08x} up to compaction {}", hash.hash, hash.compact_revision);
                self.member(Code::Corrupt, member, format!("hashes differ: {text}"));
            }
        }
    }

    fn members(&mut self) {
        let observed = self.0;
        for member in &observed.reading.members {
            for doubt in observed.evidence.doubts(member.id) {
                self.doubt(member, doubt);
            }
            let answered = observed.reading.answers_at(member.id);
            if !member.is_voter() && !member.is_nameless() && answered {
                self.learner(member);
            }
        }
    }

    fn doubt(&mut self, member: &Member, doubt: &Doubt) {
        let text = doubt.to_string();
        match doubt {
            Doubt::Nameless => {
                let text = format!("a {} that {text}", member.role);
                self.member(Code::NamelessMember, member, text);
            }
            Doubt::Silent(fault) => self.silent(member, fault),
            // of a nameless one it is a matter of course
            Doubt::NotAsked if !member.is_nameless() => {
                self.member(Code::Unreachable, member, text);
            }
            Doubt::OtherMember(_) | Doubt::OtherCluster(_) => {
                self.member(Code::ForeignMember, member, text);
            }
            Doubt::NoLeader => self.member(Code::NoLeader, member, text),
            Doubt::NotLinearizable(Some(fault)) if fault.certificate().is_some() => {
                self.member(Code::Certificate, member, text);
            }
            // the alarms are told by themselves
            Doubt::NotLinearizable(Some(fault)) if !is_alarmed(fault) => {
                self.member(Code::NoLeader, member, text);
            }
            Doubt::LeaderDiffers(_) | Doubt::TermDiffers(_) | Doubt::ListDiffers => {
                self.member(Code::Disagreement, member, text);
            }
            Doubt::Lagging(_) => self.member(Code::Lagging, member, text),
            Doubt::NoNode | Doubt::LeaseStale | Doubt::ComponentsDown => {
                self.member(Code::Node, member, text);
            }
            Doubt::Learner
            | Doubt::NotAsked
            | Doubt::Alarm(_)
            | Doubt::AlarmsUnknown
            | Doubt::NotLinearizable(_)
            | Doubt::ListUnknown => {}
        }
    }

    fn silent(&mut self, member: &Member, fault: &Fault) {
        let code = match fault.certificate() {
            Some(_) => Code::Certificate,
            None if member.is_voter() => Code::Unreachable,
            None => Code::LearnerStuck,
        };
        let url = self.0.reading.answers.get(&member.id).map(|answer| answer.url.clone());
        self.member(code, member, format!("{}: {fault}", url.unwrap_or_default()));
    }

    /// One that catches up is not stuck, however far behind it is.
    fn learner(&mut self, member: &Member) {
        match *self.0.lags(member.id) {
            [first, second] if second > 0 && second >= first => {
                let text = format!("was {first} log entries behind, and is {second} now");
                self.member(Code::LearnerStuck, member, text);
            }
            [.., 0] => self.member(
                Code::LearnerStuck,
                member,
                "has all of the leader's log, and no vote".to_owned(),
            ),
            _ => {}
        }
    }

    fn lists(&mut self) {
        let observed = self.0;
        let members = &observed.reading.members;
        for member in members.iter().filter(|member| !member.is_nameless()) {
            let twins = members.iter().filter(|other| other.name == member.name);
            let ids: Vec<String> = twins.map(|twin| twin.id.to_string()).collect();
            if ids.len() > 1 {
                let text = format!("{:?} is the name of {}", member.name, ids.join(" and "));
                self.member(Code::DuplicateName, member, text);
            }
        }
        let lost = observed.members_without_node();
        for member in members.iter().filter(|member| lost.contains(&member.name)) {
            self.member(Code::Node, member, "no Node belongs to it".to_owned());
        }
        for node in observed.nodes_without_member() {
            let text = "a control-plane Node to which no listed member belongs".to_owned();
            self.about(Code::NotInMemberList, Some(&node), text);
        }
        let voters = members.iter().filter(|member| member.is_voter()).count();
        if (1..3).contains(&voters) {
            let text = format!("{voters} voters: all of them are needed for a quorum");
            self.about(Code::FewVoters, None, text.replace("1 voters", "1 voter"));
        }
    }

    fn versions(&mut self) {
        let reading = &self.0.reading;
        let parsed = |member: &Member| version::parse(&reading.status(member.id)?.version);
        let all: Vec<(&Member, (u32, u32, u32))> =
            reading.members.iter().filter_map(|m| Some((m, parsed(m)?))).collect();
        let newest = all.iter().map(|(_, (major, minor, _))| (*major, *minor)).max();
        for (member, (major, minor, patch)) in all {
            if Some((major, minor)) == newest {
                continue;
            }
            let (ahead, minor_ahead) = newest.unwrap_or_default();
            let mut text = format!("{major}.{minor}.{patch} beside {ahead}.{minor_ahead}");
            if (major, minor) == (3, 5) && patch < 26 {
                text += ": before 3.5.26 the data of a removed or promoted member may come back wrong in 3.6";
            } else if major == ahead && minor + 1 < minor_ahead {
                text += ": more than one minor version apart";
            }
            self.member(Code::VersionGap, member, text);
        }
    }

    /// Where nobody is to blame for it, the cluster is.
    fn leader(&mut self) {
        let reading = &self.0.reading;
        let told = self.1.iter().any(|cause| cause.code == Code::NoLeader);
        if self.0.beside.unread.is_none() && !reading.linearizable && !told {
            let text = "no endpoint serves a linearizable read".to_owned();
            self.about(Code::NoLeader, None, text);
        }
    }
}
