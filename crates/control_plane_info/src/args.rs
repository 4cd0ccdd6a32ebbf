//! What a user may write, and what it means.

use crate::{
    plan::{Question, Report},
    state::File,
};
use ansible_module::{BadArgs, Json, Options, Seconds, Secret};
use serde_json::Map;
use std::{
    path::PathBuf,
    time::{Duration, SystemTime},
};

/// Reads what a control-plane host is made of, and judges whether another may join beside it.
///
/// On a host it reports the clock, the certificates, the static pods' manifests, the files of the host that they need and that kubeadm does not
/// make, whether each component is ready by its own health endpoint, and versions. Of k3s it reports clock, certificates, version, and whether the apiserver is ready.
/// The contents of files are never shown.
///
/// With O(reports), such reports are judged instead: the module fails with one sentence for every finding, and changes nothing either way.
/// It is what the replacement of a node asks of every host that stays, before it changes anything.
#[derive(Options, Debug)]
#[options(required_by = "reports:asked_at")]
pub struct Args {
    /// What the report calls this host. For the judgement, the name of its Node. Default: the host's name.
    pub name: Option<String>,
    /// What to read.
    #[option(default = "clock,certificates,manifests,components,versions")]
    pub subset: Vec<Part>,
    /// The controller's clock when the task was written out: C(now().timestamp()), seconds since 1970. With it RV(clock) tells how far the two may be apart.
    pub asked_at: Option<f64>,
    /// A secret of this run, of at least 16 characters, that goes into RV(files[].fingerprint). It lets files be compared that must not be known by their plain hash.
    #[option(alias = "salt")]
    pub fingerprint_key: Option<Secret>,
    /// Files to look for, as another host's report has them under RV(files), in place of those that the manifests of this host need.
    pub files: Option<Vec<Map<String, Json>>>,
    /// Reports to judge, in the order in which they were asked for, each after the answer of the one before. Several of one host add up.
    /// The results of a loop can be given as they are: one that failed or was unreachable is a finding.
    pub reports: Option<Vec<Map<String, Json>>>,
    /// Which of O(reports) is about a host that has not joined yet: its clock, files and versions are compared with the others'.
    pub joining: Option<String>,
    /// Files that kubeadm does not make are brought to the host that joins, by its image or by its preparation. Without, there must be none.
    #[option(default = "false")]
    pub files_provided: bool,
    /// How many days a certificate must be valid for.
    #[option(default = "7")]
    pub min_certificate_days: i64,
    /// How far two clocks may be apart.
    #[option(default = "1")]
    pub max_clock_difference: Seconds,
    /// Where the file system of the host is: another directory for an image that is mounted there.
    #[option(default = "/")]
    pub root: PathBuf,
    /// How long a component may take to be ready, and a program to tell its version. A component that is not ready is asked again until then.
    #[option(default = "5")]
    pub timeout: Seconds,
}

/// A part of a report.
#[derive(Options, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    /// The clock.
    Clock,
    /// The certificates, and which of them ends first.
    Certificates,
    /// The manifests of the static pods, and the files that they need.
    Manifests,
    /// Whether each component is ready.
    Components,
    /// Versions of the programs.
    Versions,
}

/// The arguments after validation.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// What to call this host.
    pub name: Option<String>,
    /// What to read.
    pub subset: Vec<Part>,
    /// The controller's clock.
    pub asked_at: Option<f64>,
    /// This host's clock when the module began.
    pub started: SystemTime,
    /// What goes into fingerprints.
    pub key: Option<Secret>,
    /// What to look for.
    pub files: Option<Vec<File>>,
    /// What to judge.
    pub question: Option<Question>,
    /// Where the file system is.
    pub root: PathBuf,
    /// For each component.
    pub timeout: Duration,
}

const SHORTEST_KEY: usize = 16;

/// Validates.
pub fn wanted(args: Args, started: SystemTime) -> Result<Wanted, BadArgs> {
    if args.fingerprint_key.as_ref().is_some_and(|key| key.expose().len() < SHORTEST_KEY) {
        return Err(BadArgs::new(format!(
            "fingerprint_key is shorter than {SHORTEST_KEY} characters, and could be guessed"
        )));
    }
    let question = match (&args.reports, args.asked_at) {
        (Some(reports), Some(asked_at)) => Some(question(&args, reports, asked_at)?),
        _ => None,
    };
    let files = args.files.map(|files| files.into_iter().map(file).collect()).transpose()?;
    Ok(Wanted {
        name: args.name,
        subset: args.subset,
        asked_at: args.asked_at,
        started,
        key: args.fingerprint_key,
        files,
        question,
        root: args.root,
        timeout: args.timeout.0,
    })
}

fn file(given: Map<String, Json>) -> Result<File, BadArgs> {
    let file: File = serde_json::from_value(Json::Object(given)).map_err(|error| {
        BadArgs::new(format!("files: {error}; expected entries of files in another host's report"))
    })?;
    if file.path.starts_with('/') {
        Ok(file)
    } else {
        Err(BadArgs::new(format!("files: path {:?} does not begin with /", file.path)))
    }
}

fn question(
    args: &Args,
    reports: &[Map<String, Json>],
    asked_at: f64,
) -> Result<Question, BadArgs> {
    if reports.is_empty() {
        return Err(BadArgs::new("reports is empty; it takes the results of this module"));
    }
    let reports: Vec<Report> =
        reports.iter().enumerate().map(report).collect::<Result<_, BadArgs>>()?;
    let mut last = f64::NEG_INFINITY;
    for clock in reports.iter().filter_map(|report| report.view.clock.as_ref()) {
        let asked = clock.asked_at.unwrap_or(last);
        if asked < last {
            return Err(BadArgs::new(
                "reports are not in the order in which they were asked for; their clocks cannot be compared",
            ));
        }
        last = asked;
    }
    if asked_at < last {
        return Err(BadArgs::new(
            "asked_at is earlier than that of the reports; it is the controller's clock when they are judged",
        ));
    }
    Ok(Question {
        reports,
        asked_at,
        joining: args.joining.clone(),
        files_provided: args.files_provided,
        certificate_days: args.min_certificate_days,
        clock_difference: args.max_clock_difference.0.as_secs_f64(),
    })
}

fn report((number, given): (usize, &Map<String, Json>)) -> Result<Report, BadArgs> {
    let text = |key: &str| given.get(key).and_then(Json::as_str).map(str::to_owned);
    let is = |key: &str| given.get(key) == Some(&Json::Bool(true));
    let name = text("name")
        .or_else(|| text("item"))
        .unwrap_or_else(|| format!("the host of report {}", number + 1));
    let failed = is("failed") || is("unreachable") || is("skipped");
    if failed {
        let why = text("msg").unwrap_or_else(|| "the task did not run".to_owned());
        return Ok(Report { name, failure: Some(why), ..Report::default() });
    }
    let view = serde_json::from_value(Json::Object(given.clone())).map_err(|error| {
        BadArgs::new(format!("reports: that of {name} is none of this module: {error}"))
    })?;
    Ok(Report { name, failure: None, view })
}
