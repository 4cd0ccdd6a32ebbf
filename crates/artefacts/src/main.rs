//! Builds the artefacts that are named, or all of them, and prints where they lie.

use anyhow::{Context, bail};
use std::io::Write as _;
use std::path::PathBuf;

type Build = fn() -> anyhow::Result<PathBuf>;

/// In the order in which others wait for them.
const ALL: [(&str, Build); 20] = [
    ("etcd", artefacts::etcd),
    ("etcdctl", artefacts::etcdctl),
    ("etcdutl", artefacts::etcdutl),
    ("kube-apiserver", artefacts::kube_apiserver),
    ("kubeadm", artefacts::kubeadm),
    ("kubelet", artefacts::kubelet),
    ("kube-controller-manager", artefacts::kube_controller_manager),
    ("kube-scheduler", artefacts::kube_scheduler),
    ("kubectl", artefacts::kubectl),
    ("containerd", artefacts::containerd),
    ("containerd-shim-runc-v2", artefacts::containerd_shim),
    ("ctr", artefacts::ctr),
    ("runc", artefacts::runc),
    ("pause", artefacts::pause),
    ("linearizable", artefacts::linearizable),
    ("etcd-3.5", || artefacts::etcd_of("3.5")),
    ("etcdutl-3.5", || artefacts::etcdutl_of("3.5")),
    ("etcd-3.7", || artefacts::etcd_of("3.7")),
    ("etcd-other-clock", || artefacts::etcd_other_clock_of("3.6")),
    ("etcd-3.5-other-clock", || artefacts::etcd_other_clock_of("3.5")),
];

fn main() -> anyhow::Result<()> {
    let names: Vec<String> = std::env::args().skip(1).collect();
    if let Some(unknown) = names.iter().find(|name| ALL.iter().all(|(known, _)| known != name)) {
        let known: Vec<&str> = ALL.iter().map(|(name, _)| *name).collect();
        bail!("no artefact is called {unknown:?}; there are {}", known.join(", "));
    }
    let mut out = std::io::stdout();
    for (name, build) in
        ALL.iter().filter(|(name, _)| names.is_empty() || names.iter().any(|wanted| wanted == name))
    {
        let path = build()?;
        writeln!(out, "{name} {}", path.display()).context("cannot write to standard output")?;
    }
    Ok(())
}
