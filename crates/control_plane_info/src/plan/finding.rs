//! What speaks against it, in words: the host, what was found, what was expected, the way out.

use crate::state::{Certificate, File};
use std::fmt;

/// One thing that is not as it must be.
#[derive(Clone, PartialEq, Debug)]
pub enum Finding {
    /// A host gave no report.
    NoAnswer { host: String, why: String },
    /// A host of the group has no control plane.
    NoControlPlane { host: String },
    /// A component is not ready, or not known to be.
    NotReady { host: String, component: &'static str, why: String },
    /// No certificate was found where there must be some.
    NoCertificates { host: String },
    /// A certificate ends too soon.
    CertificateEnds { host: String, certificate: Certificate, needed: i64 },
    /// A program has several versions.
    VersionsDiffer { what: &'static str, groups: Vec<(String, Vec<String>)> },
    /// The host that joins lacks a program.
    NotInstalled { host: String, program: &'static str },
    /// A host that stays lacks a file that its own manifests name.
    FileGone { host: String, file: File },
    /// A file differs between two hosts.
    FilesDiffer { one: String, other: String, path: String },
    /// Files are needed, and nobody said that they are brought.
    FilesNotProvided { files: Vec<File> },
    /// The host that joins lacks a file.
    FileMissing { joining: String, host: String, found: String, file: File },
    /// A report without a clock.
    NoClock { host: String },
    /// Two clocks are too far apart.
    ClocksApart { one: String, other: String, least: f64, allowed: f64 },
    /// Two clocks may be too far apart.
    ClocksUnknown { one: String, other: String, most: f64, allowed: f64 },
}

impl Finding {
    /// Its name, for programs.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NoAnswer { .. } => "no_answer",
            Self::NoControlPlane { .. } => "no_control_plane",
            Self::NotReady { .. } => "not_ready",
            Self::NoCertificates { .. } => "no_certificates",
            Self::CertificateEnds { .. } => "certificate_ends",
            Self::VersionsDiffer { .. } => "versions_differ",
            Self::NotInstalled { .. } => "not_installed",
            Self::FileGone { .. } => "file_gone",
            Self::FilesDiffer { .. } => "files_differ",
            Self::FilesNotProvided { .. } => "files_not_provided",
            Self::FileMissing { .. } => "file_missing",
            Self::NoClock { .. } => "no_clock",
            Self::ClocksApart { .. } => "clocks_apart",
            Self::ClocksUnknown { .. } => "clocks_unknown",
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::NoAnswer { host, why } => {
                write!(
                    f,
                    "{host} did not say what it has ({why}), and every host that stays must: repair it first"
                )
            }
            Self::NoControlPlane { host } => write!(
                f,
                "{host} has no control plane of kubeadm or k3s, and every host that stays must carry one: take it out of the group of control-plane hosts, or join it first"
            ),
            Self::NotReady { host, component, why } => {
                write!(
                    f,
                    "{component} on {host} is not ready ({why}), and what stays must carry the cluster alone: repair it first"
                )
            }
            Self::NoCertificates { host } => write!(
                f,
                "{host} has no certificates in its control plane's directory, expected those of kubeadm or k3s: see why"
            ),
            Self::CertificateEnds { host, certificate, needed } => {
                ends(f, host, certificate, *needed)
            }
            Self::VersionsDiffer { what, groups } => {
                let each: Vec<_> = groups
                    .iter()
                    .map(|(version, hosts)| format!("{version} on {}", hosts.join(", ")))
                    .collect();
                write!(
                    f,
                    "{what} is {}, expected one version on all: finish the upgrade of hosts that stay, or give the host that joins their version",
                    each.join(" and ")
                )
            }
            Self::NotInstalled { host, program } => {
                write!(
                    f,
                    "{host} has no {program}, and cannot join without: bring it with its image or its preparation"
                )
            }
            Self::FileGone { host, file } => write!(
                f,
                "{} of {host} is gone, and {} needs it at its next start: put it back",
                file.path, file.needed_by
            ),
            Self::FilesDiffer { one, other, path } => write!(
                f,
                "{path} of {other} is not that of {one}, expected the same on every control-plane host: make them equal"
            ),
            Self::FilesNotProvided { files } => {
                let each: Vec<_> = files
                    .iter()
                    .map(|file| format!("{} ({})", file.path, file.needed_by))
                    .collect();
                write!(
                    f,
                    "kubeadm does not make {}, and a fresh host needs {} before it joins: bring {} with prepare_host_tasks, or have {} on the image and say so with host_files_on_image=true",
                    each.join(", "),
                    if files.len() == 1 { "it" } else { "them" },
                    if files.len() == 1 { "it" } else { "them" },
                    if files.len() == 1 { "it" } else { "them" },
                )
            }
            Self::FileMissing { joining, host, found, file } => write!(
                f,
                "{} of {joining} is {found}, expected the {} that {} has ({}): bring it with the image or prepare_host_tasks",
                file.path, file.kind, host, file.needed_by
            ),
            Self::NoClock { host } => {
                write!(
                    f,
                    "the clock of {host} was not read with asked_at: include clock in its subset"
                )
            }
            Self::ClocksApart { one, other, least, allowed } => write!(
                f,
                "the clocks of {one} and {other} are at least {least:.3} s apart, {allowed} s are allowed: see that time synchronisation (chrony, systemd-timesyncd) works on both"
            ),
            Self::ClocksUnknown { one, other, most, allowed } => write!(
                f,
                "the clocks of {one} and {other} may be up to {most:.3} s apart as far as was seen, {allowed} s are allowed: see that both answer quickly, and that time synchronisation works on both"
            ),
        }
    }
}

fn ends(f: &mut fmt::Formatter, host: &str, certificate: &Certificate, needed: i64) -> fmt::Result {
    let Certificate { path, not_after, days_left, .. } = certificate;
    let left = match days_left {
        ..0 => "has ended".to_owned(),
        days => format!("has {days} days left"),
    };
    write!(
        f,
        "certificate {path} of {host} {left} ({not_after}), expected {needed} days or more: {}",
        way_out(certificate)
    )
}

/// What renews it. kubeadm names certificates by their place: `pki/etcd/server.crt` is `etcd-server`.
fn way_out(certificate: &Certificate) -> String {
    let path = certificate.path.as_str();
    if certificate.renews_itself {
        return "the kubelet should have renewed it: see its log".to_owned();
    }
    if !path.starts_with("/etc/kubernetes/") {
        return "restart k3s, which renews its certificates, or renew it by hand".to_owned();
    }
    let name = path.rsplit('/').next().unwrap_or(path);
    let name = name.strip_suffix(".crt").unwrap_or(name);
    let name = if path.contains("/pki/etcd/") { format!("etcd-{name}") } else { name.to_owned() };
    if name.ends_with("ca") {
        return "it is an authority, which kubeadm does not renew: replace it by hand".to_owned();
    }
    if KUBEADMS.contains(&name.as_str()) {
        format!("\"kubeadm certs renew {name}\", then restart what uses it")
    } else {
        "it is none of kubeadm's: renew it where it comes from".to_owned()
    }
}

const KUBEADMS: [&str; 10] = [
    "admin.conf",
    "apiserver",
    "apiserver-etcd-client",
    "apiserver-kubelet-client",
    "controller-manager.conf",
    "etcd-healthcheck-client",
    "etcd-peer",
    "etcd-server",
    "front-proxy-client",
    "scheduler.conf",
];
