//! The disks that hosts start from, made once and kept in the cache.

use crate::command::{command, make_dir, run, write};
use crate::plan::{self, IMAGE_BYTES};
use crate::{archive, plan::CONTROL_PLANES};
use anyhow::Context;
use artefacts::Key;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// The image of the container that holds a pod's namespaces.
const PAUSE_IMAGE: &str = "registry.k8s.io/pause:3.10.2";
/// The tag of etcd's image, which kubeadm is told.
pub const ETCD_TAG: &str = "3.6.16-0";

const PACKAGES: &str = include_str!("../guest-packages.txt");
const PREPARE: &str = include_str!("../guest/prepare");
const CONFLIST: &str = include_str!("../guest/cni.conflist");
const CONTAINERD: &str = include_str!("../guest/containerd.toml");
const SSHD: &str = include_str!("../guest/sshd.conf");
const HAPROXY: &str = include_str!("../guest/haproxy.cfg");
const UNITS: [(&str, &str); 3] = [
    ("lab-prepare.service", include_str!("../guest/lab-prepare.service")),
    ("containerd.service", include_str!("../guest/containerd.service")),
    ("kubelet.service", include_str!("../guest/kubelet.service")),
];
/// What a host of a few minutes' life has no use for.
const MASKED: [&str; 9] = [
    "apt-daily-upgrade.timer",
    "apt-daily.timer",
    "console-getty.service",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "fstrim.timer",
    "getty.target",
    "systemd-networkd.service",
];

/// Imports every archive into containerd's store, so that a new disk needs no registry and no time for it.
const IMPORT: &str = "set -eu
containerd >/tmp/containerd.log 2>&1 &
for try in $(seq 100); do ctr version >/dev/null 2>&1 && break; sleep 0.1; done
for archive in /tmp/images/*.tar; do ctr --namespace k8s.io images import \"$archive\"; done
kill $!
wait || true
rm -rf /tmp/containerd.log /run/containerd
";

/// The finished images, and the programs that the lab itself uses.
pub struct Images {
    pub control_plane: PathBuf,
    pub load_balancer: PathBuf,
}

/// Returns the images, made if need be.
pub fn build() -> anyhow::Result<Images> {
    let base = base()?;
    Ok(Images { control_plane: control_plane(&base)?, load_balancer: load_balancer(&base)? })
}

fn packages() -> String {
    let names: Vec<&str> =
        PACKAGES.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    names.join(",")
}

/// A minimal Debian with systemd and sshd, as a directory.
fn base() -> anyhow::Result<PathBuf> {
    let mirror = std::env::var("QUORATE_DEBIAN_MIRROR")
        .unwrap_or_else(|_| "http://deb.debian.org/debian".to_owned());
    let packages = packages();
    let dir = artefacts::once("lab-base", "bookworm", &Key::new("1").with(&packages), |dir| {
        let root = dir.join("root");
        let include = format!("--include={packages}");
        let log = dir.join("root/debootstrap/debootstrap.log");
        run(command(
            "nice",
            ["-n", "10", "debootstrap", "--variant=minbase", &include, "bookworm"],
        )
        .arg(&root)
        .arg(&mirror))
        .with_context(|| format!("cannot install Debian from {mirror}; see {}", log.display()))?;
        strip(&root)
    })?;
    Ok(dir.join("root"))
}

/// Removes what is read by people only, and every identity.
fn strip(root: &Path) -> anyhow::Result<()> {
    for name in
        ["usr/share/doc", "usr/share/locale", "usr/share/man", "var/cache/apt", "var/lib/apt/lists"]
    {
        crate::command::remove_tree(&root.join(name))?;
    }
    for name in ["ssh_host_ecdsa_key", "ssh_host_ed25519_key", "ssh_host_rsa_key"] {
        for path in
            [root.join("etc/ssh").join(name), root.join("etc/ssh").join(format!("{name}.pub"))]
        {
            let _ = fs::remove_file(path);
        }
    }
    Ok(())
}

fn guest_key(base: &Path) -> Key {
    let key = Key::new("2")
        .with(base.as_os_str().as_encoded_bytes())
        .with(PREPARE)
        .with(CONFLIST)
        .with(SSHD);
    UNITS
        .iter()
        .fold(key, |key, (name, text)| key.with(name).with(text))
        .with(IMAGE_BYTES.to_string())
}

fn load_balancer(base: &Path) -> anyhow::Result<PathBuf> {
    let config = haproxy_config();
    let dir = artefacts::once("lab-load-balancer", "1", &guest_key(base).with(&config), |dir| {
        let root = copy(base, dir)?;
        customise(&root, &["lab-prepare.service"])?;
        put(&root, "etc/haproxy/haproxy.cfg", &config, 0o644)?;
        seal(&root, &dir.join("disk.raw"))
    })?;
    Ok(dir.join("disk.raw"))
}

fn haproxy_config() -> String {
    let servers: Vec<String> = CONTROL_PLANES
        .iter()
        .map(|host| format!("    server {} {}:{}", host.name, host.address(), plan::API_PORT))
        .collect();
    HAPROXY.replace("@servers@", &servers.join("\n"))
}

fn control_plane(base: &Path) -> anyhow::Result<PathBuf> {
    let programs = host_programs()?;
    let images = static_pods()?;
    let ingredients = programs.iter().chain(images.iter().map(|(_, path)| path));
    let key = ingredients
        .fold(guest_key(base), |key, path| key.with(path.as_os_str().as_encoded_bytes()));
    let key =
        images.iter().fold(key, |key, (name, _)| key.with(name)).with(CONTAINERD).with(IMPORT);
    let dir = artefacts::once("lab-control-plane", artefacts::KUBERNETES_VERSION, &key, |dir| {
        let root = copy(base, dir)?;
        customise(&root, &["lab-prepare.service", "containerd.service", "kubelet.service"])?;
        for program in &programs {
            let name = program.file_name().context("a program without a name")?;
            let place = root.join("usr/bin").join(name);
            fs::copy(program, &place)
                .with_context(|| format!("cannot copy {}", program.display()))?;
        }
        put(
            &root,
            "etc/containerd/config.toml",
            &CONTAINERD.replace("@pause@", PAUSE_IMAGE),
            0o644,
        )?;
        // The package starts it where it is installed; here only the load balancer wants it.
        let _ = fs::remove_file(
            root.join("etc/systemd/system/multi-user.target.wants/haproxy.service"),
        );
        let archives = dir.join("images");
        make_dir(&archives)?;
        for (reference, program) in &images {
            archive::write_image(&archives, reference, program)?;
        }
        let disk = dir.join("disk.raw");
        seal(&root, &disk)?;
        import(&disk, &archives, dir)
    })?;
    Ok(dir.join("disk.raw"))
}

fn host_programs() -> anyhow::Result<Vec<PathBuf>> {
    [
        artefacts::containerd,
        artefacts::containerd_shim,
        artefacts::ctr,
        artefacts::runc,
        artefacts::kubelet,
        artefacts::kubeadm,
        // Only for checks by people and tests: no module calls any of them.
        artefacts::kubectl,
        artefacts::etcdctl,
        artefacts::etcdutl,
    ]
    .iter()
    .map(|build| build())
    .collect()
}

fn static_pods() -> anyhow::Result<Vec<(String, PathBuf)>> {
    let version = artefacts::KUBERNETES_VERSION;
    Ok(vec![
        (format!("registry.k8s.io/kube-apiserver:{version}"), artefacts::kube_apiserver()?),
        (
            format!("registry.k8s.io/kube-controller-manager:{version}"),
            artefacts::kube_controller_manager()?,
        ),
        (format!("registry.k8s.io/kube-scheduler:{version}"), artefacts::kube_scheduler()?),
        (format!("registry.k8s.io/etcd:{ETCD_TAG}"), artefacts::etcd()?),
        (PAUSE_IMAGE.to_owned(), artefacts::pause()?),
    ])
}

fn copy(base: &Path, dir: &Path) -> anyhow::Result<PathBuf> {
    let root = dir.join("root");
    run(command("cp", ["-a", "--reflink=auto", "--"]).arg(base).arg(&root))?;
    Ok(root)
}

/// Writes what makes a Debian tree a host of the lab.
fn customise(root: &Path, enabled: &[&str]) -> anyhow::Result<()> {
    put(root, "usr/share/lab/prepare", PREPARE, 0o755)?;
    put(root, "usr/share/lab/cni.conflist", CONFLIST, 0o644)?;
    put(root, "etc/ssh/sshd_config.d/lab.conf", SSHD, 0o644)?;
    // An empty file, not a missing one: systemd takes the id the hypervisor gives, and no unit is enabled by a preset.
    put(root, "etc/machine-id", "", 0o644)?;
    // No name server: a look-up is refused at once instead of waited for.
    put(root, "etc/resolv.conf", "options timeout:1 attempts:1\n", 0o644)?;
    put(root, "etc/fstab", "", 0o644)?;
    let units = root.join("etc/systemd/system");
    for (name, text) in UNITS.iter().filter(|(name, _)| enabled.contains(name)) {
        put(root, &format!("etc/systemd/system/{name}"), text, 0o644)?;
        let target = if *name == "lab-prepare.service" {
            "sysinit.target.wants"
        } else {
            "multi-user.target.wants"
        };
        link(&format!("/etc/systemd/system/{name}"), &units.join(target).join(name))?;
    }
    MASKED.iter().try_for_each(|name| link("/dev/null", &units.join(name)))
}

fn put(root: &Path, name: &str, text: &str, mode: u32) -> anyhow::Result<()> {
    let path = root.join(name);
    if let Some(parent) = path.parent() {
        make_dir(parent)?;
    }
    write(&path, text, mode)
}

fn link(target: &str, path: &Path) -> anyhow::Result<()> {
    if let Some(parent) = path.parent() {
        make_dir(parent)?;
    }
    let _ = fs::remove_file(path);
    symlink(target, path).with_context(|| format!("cannot link {}", path.display()))
}

/// Makes a sparse disk of a tree and removes the tree.
fn seal(root: &Path, disk: &Path) -> anyhow::Result<()> {
    let file = fs::File::create(disk).with_context(|| format!("cannot make {}", disk.display()))?;
    file.set_len(IMAGE_BYTES).with_context(|| format!("cannot make {}", disk.display()))?;
    run(command("mkfs.ext4", ["-q", "-F", "-m", "0", "-L", "root", "-d"]).arg(root).arg(disk))?;
    crate::command::remove_tree(root)
}

/// Runs containerd on the disk, in a container of its own, to fill its store.
fn import(disk: &Path, archives: &Path, dir: &Path) -> anyhow::Result<()> {
    let mount = dir.join("mount");
    make_dir(&mount)?;
    // The mounts live and die with this one shell.
    let script = "set -eu; mount --make-rslave /; mount -t ext4 -o loop,noatime,barrier=0 \"$1\" \"$2\"; mkdir -p /run/systemd
        systemd-nspawn --quiet --register=no --keep-unit --settings=no --resolv-conf=off --timezone=off --link-journal=no -M lab-image \\
        -D \"$2\" --private-network --capability=all --system-call-filter='@mount @privileged keyctl bpf' --bind-ro=\"$3\":/tmp/images --pipe sh -c \"$4\"";
    run(command("unshare", ["--mount", "sh", "-c", script, "import"])
        .args([disk, &mount, archives])
        .arg(IMPORT)
        .env("SYSTEMD_NSPAWN_LOCK", "0"))?;
    for path in [mount.as_path(), archives] {
        crate::command::remove_tree(path)?;
    }
    let _ = fs::remove_dir_all("/run/systemd/nspawn/propagate/lab-image");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_package_of_a_host_is_python() {
        assert!(packages().starts_with("ca-certificates,conntrack,"));
        assert!(!packages().contains("python"));
    }

    #[test]
    fn the_balancer_knows_every_control_plane() {
        let config = haproxy_config();
        assert!(config.contains("backend kube-apiserver\n"));
        assert!(
            config.contains("    server cp1 198.18.0.11:6443\n    server cp2 198.18.0.12:6443\n")
        );
        assert!(!config.contains('@'));
    }
}
