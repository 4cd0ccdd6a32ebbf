//! For development: builds the pinned programs that tests and the lab run, and keeps them in a cache.
//!
//! Every program is built from a pinned Go module under `go/`, so that the version, the checksum of every
//! source file and the way it is built lie in this repository, and the module proxy is all the network it takes.
//! What is built lies outside the checkout (see [`cache`]), each under the hash of what it is made of: changing
//! a pin makes a new artefact and never touches one that another checkout uses.
//!
//! Not for anything that ships: the collection contains none of these programs.
//!
//! What can go wrong: `go` or a C compiler is missing, or the proxy is out of reach. Each is said in one sentence.
//! A build that was killed leaves a directory that nobody uses and the next build of the same artefact removes.

mod cache;
mod clock;
mod go;
mod python;

pub use cache::{Key, cache, once};
pub use python::{python_3_13, python_3_13_env, python_env};

use anyhow::{Context, bail};
use std::path::PathBuf;
use std::process::Command;

/// The version of Kubernetes that every Kubernetes program here has.
pub const KUBERNETES_VERSION: &str = "v1.36.3";
/// The version of etcd and its tools.
pub const ETCD_VERSION: &str = "v3.6.16";
/// The oldest etcd of all: a tag of that time is no version of a Go module, and its go.mod names the commit.
pub const ETCD_3_4_VERSION: &str = "v3.4.13";
/// The newest etcd of the line before.
pub const ETCD_3_5_VERSION: &str = "v3.5.35";
/// The newest etcd of the line after.
pub const ETCD_3_7_VERSION: &str = "v3.7.3";
/// The version of porcupine, which tells whether a history is linearizable.
pub const PORCUPINE_VERSION: &str = "v1.3.1";
/// The version of containerd, its shim and `ctr`.
pub const CONTAINERD_VERSION: &str = "v2.3.2";
/// The version of runc.
pub const RUNC_VERSION: &str = "v1.4.2";

/// Returns the etcd server, built if need be.
pub fn etcd() -> anyhow::Result<PathBuf> {
    go::ETCD.build()
}

/// Returns `etcdctl`, built if need be.
pub fn etcdctl() -> anyhow::Result<PathBuf> {
    go::ETCDCTL.build()
}

/// Returns `etcdutl`, built if need be.
pub fn etcdutl() -> anyhow::Result<PathBuf> {
    go::ETCDUTL.build()
}

/// The lines of etcd that there are programs of.
pub const ETCD_LINES: [&str; 4] = ["3.4", "3.5", "3.6", "3.7"];

/// Returns the version of etcd that stands for a line such as `3.5`; none: there is none of that line here.
pub fn etcd_version_of(line: &str) -> Option<&'static str> {
    etcd_program(line).ok().map(go::Program::version)
}

/// Returns the etcd server of a line such as `3.5`, built if need be.
pub fn etcd_of(line: &str) -> anyhow::Result<PathBuf> {
    etcd_program(line)?.build()
}

fn etcd_program(line: &str) -> anyhow::Result<&'static go::Program> {
    match line {
        "3.4" => Ok(&go::ETCD_3_4),
        "3.5" => Ok(&go::ETCD_3_5),
        "3.6" => Ok(&go::ETCD),
        "3.7" => Ok(&go::ETCD_3_7),
        other => bail!("there is no etcd {other:?} here; there are {}", ETCD_LINES.join(", ")),
    }
}

/// Returns `etcdutl` of a line, which came with 3.5.
pub fn etcdutl_of(line: &str) -> anyhow::Result<PathBuf> {
    match line {
        "3.5" => go::ETCDUTL_3_5.build(),
        "3.6" => go::ETCDUTL.build(),
        "3.7" => go::ETCDUTL_3_7.build(),
        other => bail!("there is no etcdutl {other:?} here; there are 3.5, 3.6 and 3.7"),
    }
}

/// Returns the etcd server of a line whose clock is ahead by as many seconds as `QUORATE_CLOCK_AHEAD` says.
pub fn etcd_other_clock_of(line: &str) -> anyhow::Result<PathBuf> {
    match line {
        "3.5" => go::ETCD_3_5_OTHER_CLOCK.build(),
        "3.6" => go::ETCD_OTHER_CLOCK.build(),
        other => bail!("there is no etcd {other:?} with a clock of its own; there are 3.5 and 3.6"),
    }
}

/// Returns the checker of histories, built if need be.
pub fn linearizable() -> anyhow::Result<PathBuf> {
    go::LINEARIZABLE.build()
}

/// Returns `kube-apiserver`, built if need be.
pub fn kube_apiserver() -> anyhow::Result<PathBuf> {
    go::KUBE_APISERVER.build()
}

/// Returns `kube-controller-manager`, built if need be.
pub fn kube_controller_manager() -> anyhow::Result<PathBuf> {
    go::KUBE_CONTROLLER_MANAGER.build()
}

/// Returns `kube-scheduler`, built if need be.
pub fn kube_scheduler() -> anyhow::Result<PathBuf> {
    go::KUBE_SCHEDULER.build()
}

/// Returns `kubelet`, built if need be.
pub fn kubelet() -> anyhow::Result<PathBuf> {
    go::KUBELET.build()
}

/// Returns `kubeadm`, built if need be.
pub fn kubeadm() -> anyhow::Result<PathBuf> {
    go::KUBEADM.build()
}

/// Returns `kubectl`, built if need be.
pub fn kubectl() -> anyhow::Result<PathBuf> {
    go::KUBECTL.build()
}

/// Returns `containerd`, built if need be.
pub fn containerd() -> anyhow::Result<PathBuf> {
    go::CONTAINERD.build()
}

/// Returns `containerd-shim-runc-v2`, built if need be.
pub fn containerd_shim() -> anyhow::Result<PathBuf> {
    go::CONTAINERD_SHIM.build()
}

/// Returns `ctr`, built if need be.
pub fn ctr() -> anyhow::Result<PathBuf> {
    go::CTR.build()
}

/// Returns `runc`, built if need be.
pub fn runc() -> anyhow::Result<PathBuf> {
    go::RUNC.build()
}

/// Returns the static `pause` program that holds a pod's namespaces, compiled if need be.
pub fn pause() -> anyhow::Result<PathBuf> {
    let source = include_str!("../c/pause.c");
    let key = Key::new("cc -static").with(source);
    let dir = once("pause", "1", &key, |dir| {
        let file = dir.join("pause.c");
        std::fs::write(&file, source)
            .with_context(|| format!("cannot write {}", file.display()))?;
        cache::run(
            Command::new("cc")
                .args(["-Os", "-static", "-s", "-o"])
                .arg(dir.join("pause"))
                .arg(&file),
        )
    })?;
    Ok(dir.join("pause"))
}
