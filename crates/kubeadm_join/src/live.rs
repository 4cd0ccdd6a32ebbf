//! Reading and changing the host.

use crate::{
    JOIN_UNIT, RESET_UNIT,
    args::Wanted,
    cause::cause,
    plan::Step,
    state::{Attempt, Config, Host, Left, Observed, Readiness},
};
use ansible_module::{Applied, Refusal};
use anyhow::{Context, Result, bail, ensure};
use host::{
    Command, Lock, file,
    systemd::{self, Active, Transient},
};
use std::{net::SocketAddr, path::Path, time::Duration};
use tokio::{
    net::{TcpStream, lookup_host},
    time::timeout,
};

mod cluster;
pub use cluster::assert_held;

const MANIFESTS: &str = "/etc/kubernetes/manifests";
/// Beside the kubelet's directory, on the same file system.
const MOVED: &str = "/etc/kubernetes/quorate-moved-manifests";
const CA: &str = "/etc/kubernetes/pki/ca.crt";
const KUBELET_CONFIGS: [&str; 2] =
    ["/etc/kubernetes/kubelet.conf", "/etc/kubernetes/bootstrap-kubelet.conf"];
const KUBELET: &str = "kubelet.service";
/// In memory: gone at a boot, never on a disk that is later thrown away.
const CONFIG: &str = "/run/quorate/kubeadm-join.json";
/// A directory that is not there: `kubeadm reset` empties the directory of certificates, where the user's own files for the apiserver may lie too.
const NO_CERTIFICATES: &str = "/run/quorate/no-certificates";
const CONNECT: Duration = Duration::from_secs(3);
/// kubeadm ends by itself long before; a unit must not stay for ever on a host that nobody looks at.
const LONGEST: &str = "1800";
const LINES: usize = 80;

/// The module at work.
pub struct KubeadmJoin {
    pub(crate) expected: String,
    node: String,
    address: String,
    has_address: bool,
    versions: [Option<String>; 2],
    data_dir: std::path::PathBuf,
    join: Watched,
    reset: Watched,
    cluster: cluster::Views,
    lock: Option<Lock>,
}

/// What this run knows of a unit beyond its state.
#[derive(Default)]
struct Watched {
    /// Seen at work, or started, by this run.
    ours: bool,
}

impl KubeadmJoin {
    pub(crate) async fn connect(wanted: &Wanted) -> Result<Self> {
        let node = wanted.node_name.clone().map_or_else(host::identity::hostname, Ok)?;
        let endpoint = lookup(&wanted.endpoint).await;
        let address = match (wanted.address, &endpoint) {
            (Some(address), _) => address,
            (None, Ok(endpoint)) => host::identity::source_address(*endpoint)?,
            (None, Err(_)) => bail!(
                "find this host's own address: {} cannot be resolved; give advertise_address",
                wanted.endpoint
            ),
        };
        let versions = [
            version("kubeadm", &["version", "--output=short"]).await,
            version("kubelet", &["--version"]).await,
        ];
        Ok(Self {
            expected: wanted.configuration(&node, &address.to_string()),
            node,
            has_address: host::identity::addresses()?.contains(&address),
            address: address.to_string(),
            versions,
            data_dir: wanted.etcd_data_dir.clone(),
            join: Watched::default(),
            reset: Watched::default(),
            cluster: cluster::Views::default(),
            lock: None,
        })
    }

    pub(crate) async fn read(&mut self, wanted: &Wanted) -> Result<Observed> {
        let join = self.join.attempt(JOIN_UNIT).await?;
        let reset = self.reset.attempt(RESET_UNIT).await?;
        let left = self.left(wanted).await?;
        let kubelet = systemd::unit(KUBELET).await?;
        let seen = self.cluster.read(wanted, &self.node, &self.address).await;
        let [kubeadm, kubelet_version] = self.versions.clone();
        Ok(Observed {
            host: Host {
                name: self.node.clone(),
                address: self.address.clone(),
                has_address: self.has_address,
                kubeadm,
                kubelet: kubelet_version,
                kubelet_runs: kubelet.is_some_and(|unit| unit.is_running()),
                control_plane: seen.version,
            },
            config: self.config()?,
            join,
            reset,
            left,
            member: seen.member,
            foreign_join: seen.foreign_join,
            cluster: seen.belongs,
            node: seen.node,
            api: seen.api,
            endpoint: reach(&wanted.endpoint).await,
        })
    }

    fn config(&self) -> Result<Config> {
        Ok(match file::read(CONFIG)? {
            None => Config::Absent,
            Some(content) if content == self.expected.as_bytes() => Config::Same,
            Some(_) => Config::Other,
        })
    }

    async fn left(&self, wanted: &Wanted) -> Result<Left> {
        let pins = file::read_text(CA)?
            .map(|pem| host::certificate::pins(&pem))
            .transpose()
            .with_context(|| CA)?;
        let known = |pins: &Vec<String>| {
            pins.iter()
                .any(|pin| wanted.ca_cert_hashes.iter().any(|hash| hash.eq_ignore_ascii_case(pin)))
        };
        let mut kubelet_config = false;
        for path in KUBELET_CONFIGS {
            kubelet_config |= file::exists(path)?;
        }
        let mut pods_run = file::is_locked(wanted.etcd_data_dir.join("member/snap/db"))?;
        for port in [2379, wanted.bind_port] {
            pods_run = pods_run || reach(&socket(&self.address, port)).await == Readiness::Ready;
        }
        Ok(Left {
            manifests: file::list(MANIFESTS)?
                .into_iter()
                .filter(|name| !name.starts_with('.'))
                .collect(),
            kubelet_config,
            etcd_data: file::exists(wanted.etcd_data_dir.join("member"))?,
            pods_run,
            other_ca: pins.is_some_and(|pins| !known(&pins)),
        })
    }

    pub(crate) async fn send(&mut self, step: &Step, seen: &Observed) -> Result<Applied> {
        if self.lock.is_none() {
            self.lock = Some(Lock::take("kubeadm", Duration::from_secs(5)).await?);
        }
        match step {
            Step::StopKubelet => systemd::stop(KUBELET).await?,
            Step::MoveManifests => self.move_manifests().await?,
            Step::Reset => self.start_reset(seen).await?,
            Step::WipeEtcd(_) => self.wipe().await?,
            Step::Configure(_) => self.configure().await?,
            Step::Start(_) => self.start_join().await?,
            Step::StartKubelet => systemd::start(KUBELET).await?,
            Step::Mark(_) => self.mark().await?,
            Step::Unconfigure => drop(file::remove(CONFIG)?),
            Step::AwaitReset
            | Step::AwaitVoter(_)
            | Step::AwaitReady(_)
            | Step::AwaitApi(_)
            | Step::AwaitEnd => {}
        }
        Ok(Applied::Sent)
    }

    async fn move_manifests(&self) -> Result<()> {
        kubelet_stopped().await?;
        file::make_dir(MOVED, 0o700)?;
        for name in file::list(MANIFESTS)? {
            file::rename(Path::new(MANIFESTS).join(&name), Path::new(MOVED).join(&name))?;
        }
        Ok(())
    }

    async fn start_reset(&mut self, seen: &Observed) -> Result<()> {
        ensure!(
            seen.left.manifests.is_empty(),
            "clear the unfinished join: {} still lie in {MANIFESTS}",
            seen.left.manifests.join(", ")
        );
        let words = ["kubeadm", "reset", "--force", "--skip-phases=remove-etcd-member"];
        let mut argv: Vec<String> = words.map(str::to_owned).into();
        argv.push(format!("--cert-dir={NO_CERTIFICATES}"));
        argv.extend(self.cri_socket().map(|socket| format!("--cri-socket={socket}")));
        self.reset.ours = true;
        unit(RESET_UNIT, "Clears an unfinished kubeadm join", argv, &[]).start().await
    }

    async fn configure(&self) -> Result<()> {
        // The unit of an earlier join removes the configuration when it is dropped: before there is a new one, not after.
        let old = systemd::unit(JOIN_UNIT).await?;
        ensure!(
            old.is_none_or(|unit| !unit.is_running()),
            "write the join configuration: {JOIN_UNIT} is at work"
        );
        systemd::forget(JOIN_UNIT).await?;
        file::make_dir("/run/quorate", 0o700)?;
        file::write(CONFIG, self.expected.as_bytes(), file::PRIVATE).map(drop)
    }

    async fn start_join(&mut self) -> Result<()> {
        self.configure().await?;
        let argv = ["kubeadm", "join", "--config", CONFIG].map(str::to_owned).into();
        // systemd removes the secrets whatever becomes of us, and of kubeadm.
        let remove = format!("/bin/rm -f {CONFIG}");
        self.join.ours = true;
        unit(
            JOIN_UNIT,
            "Joins this host to its cluster",
            argv,
            &[("ExecStartPost", &remove), ("ExecStopPost", &remove)],
        )
        .start()
        .await
    }

    /// The data of a member that is listed nowhere, with nobody who could start on the emptied directory.
    async fn wipe(&self) -> Result<()> {
        kubelet_stopped().await?;
        let manifests = file::list(MANIFESTS)?;
        ensure!(
            manifests.is_empty(),
            "empty {}: {} still lie in {MANIFESTS}, and an etcd started on an empty directory founds a cluster of its own",
            self.data_dir.display(),
            manifests.join(", ")
        );
        ensure!(
            !file::is_locked(self.data_dir.join("member/snap/db"))?,
            "empty {}: an etcd still runs on it",
            self.data_dir.display()
        );
        for name in file::list(&self.data_dir)? {
            // The directory may be a file system of its own.
            if name != "lost+found" {
                file::remove_all(self.data_dir.join(name))?;
            }
        }
        Ok(())
    }

    /// kubeadm's own phase, through the admin's kubeconfig that the join left: no secrets.
    async fn mark(&self) -> Result<()> {
        let mut config: ansible_module::Json = serde_json::from_str(&self.expected)?;
        if let Some(config) = config.as_object_mut() {
            config.insert(
                "discovery".into(),
                serde_json::json!({"file": {"kubeConfigPath": cluster::ADMIN}}),
            );
            config.remove("skipPhases");
            if let Some(control_plane) =
                config.get_mut("controlPlane").and_then(|part| part.as_object_mut())
            {
                control_plane.remove("certificateKey");
            }
        }
        let args =
            ["join", "phase", "control-plane-join", "mark-control-plane", "--config", "/dev/stdin"];
        Command::new("kubeadm")
            .args(args)
            .stdin(config.to_string())
            .deadline(Duration::from_mins(1))
            .run()
            .await?;
        Ok(())
    }

    fn cri_socket(&self) -> Option<String> {
        let config: ansible_module::Json = serde_json::from_str(&self.expected).ok()?;
        config.pointer("/nodeRegistration/criSocket")?.as_str().map(str::to_owned)
    }
}

impl Watched {
    async fn attempt(&mut self, name: &str) -> Result<Attempt> {
        let Some(unit) = systemd::unit(name).await? else {
            let gone = || Attempt::Failed { here: true, cause: cause("stopped", &[]) };
            return Ok(if self.ours { gone() } else { Attempt::None });
        };
        if unit.is_running() {
            self.ours = true;
            return Ok(Attempt::Running);
        }
        if unit.is_done() {
            return Ok(Attempt::Done { here: self.ours });
        }
        if unit.active == Active::Inactive {
            // Queued: systemd has taken it and not begun.
            return Ok(if self.ours { Attempt::Running } else { Attempt::None });
        }
        let lines = systemd::journal_tail(name, Some(&unit.invocation), LINES).await?;
        Ok(Attempt::Failed { here: self.ours, cause: cause(&unit.result, &lines) })
    }
}

/// A oneshot that stays: found again as active (exited) or failed, whoever comes next.
fn unit(name: &str, description: &str, argv: Vec<String>, more: &[(&str, &str)]) -> Transient {
    let own = [("Type", "oneshot"), ("TimeoutStartSec", LONGEST)];
    let properties = own
        .iter()
        .chain(more)
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    Transient { unit: name.to_owned(), description: description.to_owned(), argv, properties }
}

async fn kubelet_stopped() -> Result<()> {
    let unit = systemd::unit(KUBELET).await?;
    ensure!(
        unit.is_none_or(|unit| !unit.is_running()),
        "touch the static pods: the kubelet runs again"
    );
    Ok(())
}

/// `v1.36.3`, from `v1.36.3` or `Kubernetes v1.36.3`.
async fn version(program: &str, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args.iter().copied()).run().await.ok()?.text();
    output.split_whitespace().last().map(str::to_owned)
}

async fn lookup(endpoint: &str) -> Result<SocketAddr> {
    let mut found = lookup_host(endpoint).await.with_context(|| format!("resolve {endpoint}"))?;
    found.next().with_context(|| format!("resolve {endpoint}: it has no address"))
}

async fn reach(endpoint: &str) -> Readiness {
    match timeout(CONNECT, TcpStream::connect(endpoint)).await {
        Ok(Ok(_)) => Readiness::Ready,
        Ok(Err(error)) => Readiness::Not(error.to_string()),
        Err(_) => Readiness::Not(format!("no answer within {} s", CONNECT.as_secs())),
    }
}

fn socket(address: &str, port: u16) -> String {
    if address.contains(':') { format!("[{address}]:{port}") } else { format!("{address}:{port}") }
}

/// Used by the fence, which answers in refusals.
fn refuse(reason: &kube_cluster::Unproven) -> Refusal {
    Refusal::finally(reason.code(), reason.to_string())
}
