//! What several reports say together: a pure function of them.

mod clock;
mod finding;

pub use finding::Finding;

use crate::state::{Certificate, Clock, File, Health, View};
use ansible_module::Refusal;
use clock::Sample;

/// What one host said.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Report {
    /// The host.
    pub name: String,
    /// Why it said nothing.
    pub failure: Option<String>,
    /// What it said.
    pub view: View,
}

impl Report {
    /// An earlier judgement among the reports: it tells when what stands before it had been answered.
    fn is_judgement(&self) -> bool {
        self.view.healthy.is_some()
    }
}

/// What is to be judged.
#[derive(Clone, PartialEq, Debug)]
pub struct Question {
    /// In the order in which they were asked for.
    pub reports: Vec<Report>,
    /// The controller's clock after the last of them.
    pub asked_at: f64,
    /// The host that has not joined yet.
    pub joining: Option<String>,
    /// Whether files that kubeadm does not make are brought to it.
    pub files_provided: bool,
    /// How many days a certificate must be valid for.
    pub certificate_days: i64,
    /// How far two clocks may be apart, in seconds.
    pub clock_difference: f64,
}

impl Question {
    fn reports(&self) -> impl Iterator<Item = &Report> {
        self.reports.iter().filter(|report| !report.is_judgement())
    }

    fn joins(&self, report: &Report) -> bool {
        self.joining.as_deref() == Some(&report.name)
    }

    /// The reports of the hosts that stay.
    fn staying(&self) -> impl Iterator<Item = &Report> {
        self.reports().filter(|report| !self.joins(report))
    }

    /// Each host that stays, once.
    fn hosts(&self) -> Vec<&str> {
        let mut hosts: Vec<&str> = vec![];
        for report in self.staying() {
            if !hosts.contains(&report.name.as_str()) {
                hosts.push(&report.name);
            }
        }
        hosts
    }

    /// What a host said of something, in the last report that says it.
    fn said<'q, T>(&'q self, host: &str, part: impl Fn(&'q View) -> Option<T>) -> Option<T> {
        self.reports().filter(|report| report.name == host).filter_map(|r| part(&r.view)).last()
    }

    fn samples<'q>(&'q self) -> Vec<Sample<'q>> {
        let asked = |report: &Report| report.view.clock.as_ref()?.asked_at;
        let sample = |(number, report): (usize, &'q Report)| {
            let clock = report.view.clock.as_ref().filter(|_| !report.is_judgement())?;
            let after = self.reports.get(number + 1..)?.iter().find_map(asked);
            Some(Sample {
                host: &report.name,
                asked_at: clock.asked_at?,
                now: clock.now,
                done: clock.done.unwrap_or(clock.now),
                answered_by: after.unwrap_or(self.asked_at),
            })
        };
        self.reports.iter().enumerate().filter_map(sample).collect()
    }
}

/// Judges.
///
/// # Errors
/// The code of the first finding, and a sentence for each.
pub fn judge(question: &Question) -> Result<(), Refusal> {
    let findings = findings(question);
    let Some(first) = findings.first() else { return Ok(()) };
    let code = first.code();
    let text = match findings.as_slice() {
        [only] => only.to_string(),
        all => {
            let sentences = all.iter().enumerate();
            let each: Vec<_> =
                sentences.map(|(number, finding)| format!("({}) {finding}", number + 1)).collect();
            format!("{} findings: {}", all.len(), each.join(". "))
        }
    };
    Err(Refusal::finally(code, text))
}

/// Everything that speaks against it. Clocks of which too little is known come last: they are the one thing that asking again may settle.
pub fn findings(question: &Question) -> Vec<Finding> {
    let mut findings = vec![];
    for report in question.reports() {
        if let Some(why) = &report.failure {
            findings.push(Finding::NoAnswer { host: report.name.clone(), why: why.clone() });
        }
    }
    let answered = |host: &&str| {
        question.staying().any(|report| report.name == *host && report.failure.is_none())
    };
    let hosts: Vec<&str> = question.hosts().into_iter().filter(answered).collect();
    for host in &hosts {
        if question.said(host, |view| view.distribution.as_deref()).is_none() {
            findings.push(Finding::NoControlPlane { host: (*host).to_owned() });
        } else {
            findings.extend(components(question, host));
            findings.extend(certificates(question, host));
        }
    }
    findings.extend(versions(question));
    findings.extend(files(question, &hosts));
    let all_else = findings.is_empty();
    let clocks = clocks(question).into_iter();
    // Not worth a word beside what is known to be wrong.
    findings.extend(clocks.filter(|it| all_else || !matches!(it, Finding::ClocksUnknown { .. })));
    findings
}

fn components(question: &Question, host: &str) -> Vec<Finding> {
    let components = question.said(host, |view| view.components.clone()).unwrap_or_default();
    let k3s = question.said(host, |view| view.distribution.as_deref()) == Some("k3s");
    let down = |(component, health): (&'static str, Option<&Health>)| {
        // One process runs them all in k3s.
        let expected = component == "kube-apiserver" || !k3s;
        let why = match health {
            Some(health) if health.ready => return None,
            Some(health) => {
                let why = health.why.as_deref().unwrap_or("no reason was given");
                format!("{}: {why}", health.url)
            }
            None if expected => "it was not asked".to_owned(),
            None => return None,
        };
        Some(Finding::NotReady { host: host.to_owned(), component, why })
    };
    // etcd has evidence of its own (etcd_info), and every member says that it is not healthy when one of them has an alarm.
    let others = components.each().into_iter().filter(|(component, _)| *component != "etcd");
    others.filter_map(down).collect()
}

fn certificates(question: &Question, host: &str) -> Vec<Finding> {
    let host_name = || host.to_owned();
    match question.said(host, |view| view.certificates.as_ref()).filter(|all| !all.is_empty()) {
        None => vec![Finding::NoCertificates { host: host_name() }],
        Some(all) => all
            .iter()
            .filter(|certificate| certificate.days_left < needed(certificate, question))
            .map(|certificate| Finding::CertificateEnds {
                host: host_name(),
                certificate: certificate.clone(),
                needed: needed(certificate, question),
            })
            .collect(),
    }
}

/// The kubelet renews its certificate in the last third of its life, however short that is: one that is down to its last twentieth was not renewed.
fn needed(certificate: &Certificate, question: &Question) -> i64 {
    let days = question.certificate_days;
    if certificate.renews_itself { days.min(certificate.lifetime_days / 20) } else { days }
}

/// A program or image, and how its version is found.
type Kind = (&'static str, fn(&View) -> Option<&str>);

const KINDS: [Kind; 7] = [
    ("kubelet", |view| view.versions.as_ref()?.kubelet.as_deref()),
    ("kubeadm", |view| view.versions.as_ref()?.kubeadm.as_deref()),
    ("k3s", |view| view.versions.as_ref()?.k3s.as_deref()),
    ("kube-apiserver", |view| view.manifests.as_ref()?.apiserver.as_ref()?.version.as_deref()),
    ("kube-controller-manager", |view| {
        view.manifests.as_ref()?.controller_manager.as_ref()?.version.as_deref()
    }),
    ("kube-scheduler", |view| view.manifests.as_ref()?.scheduler.as_ref()?.version.as_deref()),
    ("etcd", |view| view.manifests.as_ref()?.etcd.as_ref()?.version.as_deref()),
];
const CONTAINERD: Kind = ("containerd", |view| view.versions.as_ref()?.containerd.as_deref());

fn versions(question: &Question) -> Vec<Finding> {
    let mut findings: Vec<Finding> =
        KINDS.iter().filter_map(|kind| difference(question, *kind)).collect();
    let Some(joining) = question.joining.as_deref() else { return findings };
    let k3s = question.staying().any(|r| r.view.distribution.as_deref() == Some("k3s"));
    for (name, find) in KINDS.iter().filter(|(name, _)| {
        if k3s { *name == "k3s" } else { ["kubelet", "kubeadm"].contains(name) }
    }) {
        let answered =
            question.reports().any(|report| question.joins(report) && report.failure.is_none());
        if answered && question.said(joining, find).is_none() {
            findings.push(Finding::NotInstalled { host: joining.to_owned(), program: name });
        }
    }
    findings
}

/// The hosts by version, where there is more than one.
fn difference(question: &Question, (what, find): Kind) -> Option<Finding> {
    let mut hosts = question.hosts();
    hosts.extend(question.joining.as_deref());
    let mut groups: Vec<(String, Vec<String>)> = vec![];
    for host in hosts {
        let Some(version) = question.said(host, find) else { continue };
        match groups.iter_mut().find(|(known, _)| known == version) {
            Some((_, hosts)) => hosts.push(host.to_owned()),
            None => groups.push((version.to_owned(), vec![host.to_owned()])),
        }
    }
    (groups.len() > 1).then_some(Finding::VersionsDiffer { what, groups })
}

fn files(question: &Question, hosts: &[&str]) -> Vec<Finding> {
    let mut findings = vec![];
    for host in hosts {
        for file in question.said(host, |view| view.files.as_ref()).into_iter().flatten() {
            if file.kind == "absent" {
                findings.push(Finding::FileGone { host: (*host).to_owned(), file: file.clone() });
            }
        }
    }
    let needed = needed_files(question);
    for (host, file) in &needed {
        for (other, same) in entries(question, hosts, &file.path) {
            if other != *host && differ(file, same) {
                findings.push(Finding::FilesDiffer {
                    one: (*host).to_owned(),
                    other: other.to_owned(),
                    path: file.path.clone(),
                });
            }
        }
    }
    match &question.joining {
        None if !needed.is_empty() && !question.files_provided => {
            let files = needed.into_iter().map(|(_, file)| file.clone()).collect();
            findings.push(Finding::FilesNotProvided { files });
        }
        None => {}
        Some(joining) => findings.extend(brought(question, joining, &needed)),
    }
    findings
}

/// What the host that joins lacks.
fn brought(question: &Question, joining: &str, needed: &[(&str, &File)]) -> Vec<Finding> {
    let seen = question.said(joining, |view| view.files.as_ref());
    let answered =
        question.reports().any(|report| question.joins(report) && report.failure.is_none());
    let lack = |(host, file): &(&str, &File)| {
        let found = seen.into_iter().flatten().find(|found| found.path == file.path);
        let (host, joining, file) = ((*host).to_owned(), joining.to_owned(), (*file).clone());
        match found {
            Some(found) if found.kind == file.kind && !differ(&file, found) => None,
            Some(found) if found.kind == file.kind => {
                Some(Finding::FilesDiffer { one: host, other: joining, path: file.path })
            }
            Some(found) => {
                Some(Finding::FileMissing { joining, host, found: found.kind.clone(), file })
            }
            None => {
                Some(Finding::FileMissing { joining, host, found: "not asked for".into(), file })
            }
        }
    };
    if answered { needed.iter().filter_map(lack).collect() } else { vec![] }
}

/// Every file that a host that stays needs and has, once, with the first host that has it.
fn needed_files(question: &Question) -> Vec<(&str, &File)> {
    let hosts = question.hosts();
    let mut needed: Vec<(&str, &File)> = vec![];
    for host in hosts {
        let files = question.said(host, |view| view.files.as_ref()).into_iter().flatten();
        for file in files.filter(|file| file.kind != "absent") {
            if !needed.iter().any(|(_, known)| known.path == file.path) {
                needed.push((host, file));
            }
        }
    }
    needed
}

fn entries<'q>(question: &'q Question, hosts: &[&'q str], path: &str) -> Vec<(&'q str, &'q File)> {
    let here = |host: &&'q str| {
        let files = question.said(host, |view| view.files.as_ref())?;
        files.iter().find(|file| file.path == path && file.kind != "absent").map(|f| (*host, f))
    };
    hosts.iter().filter_map(here).collect()
}

/// Whether the contents are known to differ.
fn differ(one: &File, other: &File) -> bool {
    let differ = |one: &Option<String>, other: &Option<String>| {
        one.as_ref().zip(other.as_ref()).map(|(one, other)| one != other)
    };
    one.kind != other.kind
        || differ(&one.fingerprint, &other.fingerprint)
            .or_else(|| differ(&one.sha256, &other.sha256))
            .unwrap_or(false)
}

fn clocks(question: &Question) -> Vec<Finding> {
    let samples = question.samples();
    let allowed = question.clock_difference;
    let mut findings = vec![];
    for report in question.reports().filter(|report| report.failure.is_none()) {
        let known = samples.iter().any(|sample| sample.host == report.name)
            || findings.iter().any(
                |finding| matches!(finding, Finding::NoClock { host } if *host == report.name),
            );
        if !known {
            findings.push(Finding::NoClock { host: report.name.clone() });
        }
    }
    let gaps = clock::gaps(&clock::leads(&samples));
    let mut wide: Vec<Finding> = vec![];
    for gap in gaps.iter().filter(|gap| gap.most > allowed) {
        let (one, other) = (gap.one.to_owned(), gap.other.to_owned());
        let (least, most) = (gap.least, gap.most);
        if least > allowed {
            findings.push(Finding::ClocksApart { one, other, least, allowed });
        } else {
            wide.push(Finding::ClocksUnknown { one, other, most, allowed });
        }
    }
    findings.extend(wide);
    findings
}

/// What a judgement rests on, for what comes after it.
pub fn basis(question: &Question) -> View {
    let ready = |host: &&str| {
        let answered = question.staying().all(|r| r.name != *host || r.failure.is_none());
        answered
            && question.said(host, |view| view.distribution.as_deref()).is_some()
            && components(question, host).is_empty()
    };
    let gaps = clock::gaps(&clock::leads(&question.samples()));
    let worst = gaps
        .iter()
        .map(|gap| gap.most)
        .fold(None, |worst: Option<f64>, most| Some(worst.map_or(most, |worst| worst.max(most))));
    View {
        healthy: Some(question.hosts().into_iter().filter(ready).map(str::to_owned).collect()),
        files: Some(needed_files(question).into_iter().map(|(_, file)| file.clone()).collect()),
        clock: Some(Clock {
            now: question.asked_at,
            done: None,
            asked_at: Some(question.asked_at),
            since_asked: Some(0.0),
        }),
        clock_difference: worst.map(|worst| (worst * 1000.0).ceil() / 1000.0),
        ..View::default()
    }
}

/// What is no reason to stop, and worth a look.
pub fn doubts(question: &Question) -> Vec<String> {
    let mut doubts: Vec<String> =
        difference(question, CONTAINERD).iter().map(ToString::to_string).collect();
    let unknown = |(_, file): &(&str, &File)| {
        let seen = file.kind != "file" || file.fingerprint.is_some() || file.sha256.is_some();
        (!seen).then(|| {
            format!("the content of {} cannot be compared: no fingerprint_key was given", file.path)
        })
    };
    doubts.extend(needed_files(question).iter().filter_map(unknown));
    doubts
}

#[cfg(test)]
mod tests;
