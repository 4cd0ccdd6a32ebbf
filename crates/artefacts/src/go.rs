//! Programs built from the pinned Go modules.

use crate::cache::{self, Key};
use crate::clock;
use crate::{
    CONTAINERD_VERSION, ETCD_3_4_VERSION, ETCD_3_5_VERSION, ETCD_3_7_VERSION, ETCD_VERSION,
    KUBERNETES_VERSION, PORCUPINE_VERSION, RUNC_VERSION,
};
use anyhow::{Context, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A pinned Go module: the two files that say what is built, to the last source file.
struct Module {
    go_mod: &'static str,
    go_sum: &'static str,
    version: &'static str,
    /// A program of ours in it; none: what is built is all theirs.
    main: Option<&'static str>,
}

/// One program of a module.
#[derive(Clone, Copy)]
pub(crate) struct Program {
    name: &'static str,
    package: &'static str,
    module: &'static Module,
    tags: &'static str,
    /// What the linker writes into string variables, as `variable=value`; `{version}` is the module's version.
    stamps: &'static [&'static str],
    cgo: bool,
    /// Whether it takes the time from [`clock`] instead of from Go.
    other_clock: bool,
}

macro_rules! module {
    ($dir:literal, $version:expr) => {
        module!($dir, $version, None)
    };
    ($dir:literal, $version:expr, $main:expr) => {
        Module {
            go_mod: include_str!(concat!("../go/", $dir, "/go.mod")),
            go_sum: include_str!(concat!("../go/", $dir, "/go.sum")),
            version: $version,
            main: $main,
        }
    };
}

static ETCD_MODULE: Module = module!("etcd", ETCD_VERSION);
static ETCD_3_4_MODULE: Module = module!("etcd-3.4", ETCD_3_4_VERSION);
static ETCD_3_5_MODULE: Module = module!("etcd-3.5", ETCD_3_5_VERSION);
static ETCD_3_7_MODULE: Module = module!("etcd-3.7", ETCD_3_7_VERSION);
static LINEARIZABLE_MODULE: Module =
    module!("linearizable", PORCUPINE_VERSION, Some(include_str!("../go/linearizable/main.go")));
static KUBERNETES_MODULE: Module = module!("kubernetes", KUBERNETES_VERSION);
static CONTAINERD_MODULE: Module = module!("containerd", CONTAINERD_VERSION);
static RUNC_MODULE: Module = module!("runc", RUNC_VERSION);

const fn etcd(name: &'static str, package: &'static str) -> Program {
    of(name, package, &ETCD_MODULE)
}

/// One that is built as Go builds without being told anything.
const fn of(name: &'static str, package: &'static str, module: &'static Module) -> Program {
    Program { name, package, module, tags: "", stamps: &[], cgo: false, other_clock: false }
}

const fn kubernetes(name: &'static str, package: &'static str) -> Program {
    // Without the stamp kubeadm takes the kubelet for version 0.0.0 and refuses to go on.
    let stamps = &[
        "k8s.io/component-base/version.gitVersion={version}",
        "k8s.io/component-base/version.gitMajor=1",
        "k8s.io/component-base/version.gitMinor=36",
        "k8s.io/component-base/version.gitTreeState=clean",
        "k8s.io/client-go/pkg/version.gitVersion={version}",
    ];
    Program { stamps, ..of(name, package, &KUBERNETES_MODULE) }
}

const fn containerd(name: &'static str, package: &'static str, tags: &'static str) -> Program {
    let stamps = &["github.com/containerd/containerd/v2/version.Version={version}"];
    Program { tags, stamps, ..of(name, package, &CONTAINERD_MODULE) }
}

pub(crate) static ETCD: Program = etcd("etcd", "go.etcd.io/etcd/server/v3");
pub(crate) static ETCDCTL: Program = etcd("etcdctl", "go.etcd.io/etcd/etcdctl/v3");
pub(crate) static ETCDUTL: Program = etcd("etcdutl", "go.etcd.io/etcd/etcdutl/v3");

pub(crate) static ETCD_3_4: Program = of("etcd", "go.etcd.io/etcd", &ETCD_3_4_MODULE);
pub(crate) static ETCD_3_5: Program = of("etcd", ETCD.package, &ETCD_3_5_MODULE);
pub(crate) static ETCDUTL_3_5: Program = of("etcdutl", ETCDUTL.package, &ETCD_3_5_MODULE);
pub(crate) static ETCD_3_7: Program = of("etcd", ETCD.package, &ETCD_3_7_MODULE);
pub(crate) static ETCDUTL_3_7: Program = of("etcdutl", ETCDUTL.package, &ETCD_3_7_MODULE);
pub(crate) static ETCD_OTHER_CLOCK: Program = Program { other_clock: true, ..ETCD };
pub(crate) static ETCD_3_5_OTHER_CLOCK: Program = Program { other_clock: true, ..ETCD_3_5 };

/// Ours: tells whether a history of registers is linearizable.
pub(crate) static LINEARIZABLE: Program = of("linearizable", ".", &LINEARIZABLE_MODULE);

pub(crate) static KUBE_APISERVER: Program =
    kubernetes("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver");
pub(crate) static KUBE_CONTROLLER_MANAGER: Program =
    kubernetes("kube-controller-manager", "k8s.io/kubernetes/cmd/kube-controller-manager");
pub(crate) static KUBE_SCHEDULER: Program =
    kubernetes("kube-scheduler", "k8s.io/kubernetes/cmd/kube-scheduler");
pub(crate) static KUBELET: Program = kubernetes("kubelet", "k8s.io/kubernetes/cmd/kubelet");
pub(crate) static KUBEADM: Program = kubernetes("kubeadm", "k8s.io/kubernetes/cmd/kubeadm");
pub(crate) static KUBECTL: Program = kubernetes("kubectl", "k8s.io/kubernetes/cmd/kubectl");

pub(crate) static CONTAINERD: Program = containerd(
    "containerd",
    "github.com/containerd/containerd/v2/cmd/containerd",
    "urfave_cli_no_docs osusergo netgo static_build no_btrfs no_devmapper no_zfs",
);
pub(crate) static CONTAINERD_SHIM: Program = containerd(
    "containerd-shim-runc-v2",
    "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2",
    "urfave_cli_no_docs osusergo netgo static_build no_grpc",
);
pub(crate) static CTR: Program = containerd(
    "ctr",
    "github.com/containerd/containerd/v2/cmd/ctr",
    "urfave_cli_no_docs osusergo netgo static_build",
);

/// runc enters namespaces from C, before Go's threads exist, and kubeadm's static pods ask for seccomp.
pub(crate) static RUNC: Program = Program {
    name: "runc",
    package: "github.com/opencontainers/runc",
    module: &RUNC_MODULE,
    tags: "seccomp osusergo netgo",
    stamps: &["main.version={version}"],
    cgo: true,
    other_clock: false,
};

impl Program {
    /// Returns the program's path in the cache, building it first if it is not there.
    pub(crate) fn build(&self) -> anyhow::Result<PathBuf> {
        let module = self.module;
        let compiler = toolchain()?;
        let flags = self.link_flags();
        let mut key = Key::new(compiler)
            .with(module.go_mod)
            .with(module.go_sum)
            .with(self.package)
            .with(self.tags)
            .with(&flags)
            .with([u8::from(self.cgo)]);
        if let Some(main) = module.main {
            key = key.with(main);
        }
        if self.other_clock {
            key = key.with(clock::READER).with(clock::TIME_SHOWS);
        }
        let dir = cache::once(self.name, module.version, &key, |dir| self.compile(dir, &flags))?;
        Ok(dir.join(self.name))
    }

    /// The version of its module.
    pub(crate) fn version(&self) -> &'static str {
        self.module.version
    }

    fn link_flags(&self) -> String {
        let mut flags = vec!["-s".to_owned(), "-w".to_owned()];
        flags.extend(
            self.stamps
                .iter()
                .map(|stamp| format!("-X {}", stamp.replace("{version}", self.plain_version()))),
        );
        if self.cgo {
            flags.push("-extldflags=-static".to_owned());
        }
        flags.join(" ")
    }

    /// runc says its version without the `v`, everything else with it.
    fn plain_version(&self) -> &'static str {
        if self.cgo { self.module.version.trim_start_matches('v') } else { self.module.version }
    }

    fn compile(&self, dir: &Path, flags: &str) -> anyhow::Result<()> {
        let module = dir.join("module");
        fs::create_dir(&module).with_context(|| format!("cannot make {}", module.display()))?;
        let ours = self.module.main.map(|text| ("main.go", text));
        let pins = [("go.mod", self.module.go_mod), ("go.sum", self.module.go_sum)];
        for (name, text) in pins.into_iter().chain(ours) {
            let file = module.join(name);
            fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
        }
        let mut command = Command::new("nice");
        command.args([
            "-n",
            "10",
            "go",
            "build",
            "-trimpath",
            "-buildvcs=false",
            "-mod=readonly",
            "-tags",
            self.tags,
        ]);
        if self.other_clock {
            command.arg("-overlay").arg(clock::overlay(&module)?);
        }
        command.args(["-ldflags", flags, "-o"]).arg(dir.join(self.name)).arg(self.package);
        command
            .current_dir(&module)
            .env("CGO_ENABLED", if self.cgo { "1" } else { "0" })
            .env_remove("GOFLAGS");
        cache::run(&mut command)?;
        cache::remove(&module)
    }
}

/// Returns what builds: the compiler's version and its platform, both part of every key.
fn toolchain() -> anyhow::Result<String> {
    let said = cache::output(Command::new("go").args(["env", "GOVERSION", "GOOS", "GOARCH"]))
        .context("Go 1.26 or newer builds the pinned programs")?;
    let version = said.lines().next().unwrap_or_default();
    if is_too_old(version) {
        bail!("Go 1.26 or newer builds the pinned programs; found {version:?}");
    }
    Ok(said)
}

fn is_too_old(version: &str) -> bool {
    let number = |part: &str| {
        part.split(|c: char| !c.is_ascii_digit()).next().and_then(|n| n.parse::<u32>().ok())
    };
    let mut parts =
        version.trim_start_matches("go").split('.').map(|part| number(part).unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0)) < (1, 26)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_that_is_named_is_the_version_that_is_pinned() {
        for (program, path) in [
            (&ETCD, "go.etcd.io/etcd/server/v3"),
            (&ETCD_3_7, "go.etcd.io/etcd/server/v3"),
            (&ETCD_3_5, "go.etcd.io/etcd/server/v3"),
            (&LINEARIZABLE, "github.com/anishathalye/porcupine"),
            (&KUBE_APISERVER, "k8s.io/kubernetes"),
            (&CONTAINERD, "github.com/containerd/containerd/v2"),
            (&RUNC, "github.com/opencontainers/runc"),
        ] {
            let line = format!("{path} {}", program.module.version);
            assert!(program.module.go_mod.contains(&line), "{line} is not in go.mod");
        }
    }

    #[test]
    fn kubernetes_programs_say_their_version() {
        assert!(
            KUBEADM.link_flags().contains("-X k8s.io/component-base/version.gitVersion=v1.36.3")
        );
    }

    #[test]
    fn only_runc_is_linked_by_the_c_compiler() {
        assert!(RUNC.link_flags().contains("-X main.version=1.4.2"));
        assert!(RUNC.link_flags().ends_with("-extldflags=-static"));
        assert!(!ETCD.link_flags().contains("static"));
    }

    #[test]
    fn a_compiler_that_is_too_old_is_known_by_its_version() {
        assert!(is_too_old("go1.25.9"));
        assert!(is_too_old("devel"));
        assert!(!is_too_old("go1.26.0"));
        assert!(!is_too_old("go1.30rc1"));
    }
}
