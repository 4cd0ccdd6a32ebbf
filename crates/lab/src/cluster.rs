//! The Kubernetes cluster on the hosts: made by kubeadm, judged by kubectl.

use crate::command::{feed, inside, output, run, ssh};
use crate::plan::{self, CONTROL_PLANES, Host, LOAD_BALANCER};
use crate::{image, paths, vm};
use anyhow::{Context, bail};
use serde_json::Value;
use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// Makes the cluster on three fresh hosts that answer ssh.
pub fn create() -> anyhow::Result<()> {
    let secrets = Secrets::new()?;
    let mut hosts = CONTROL_PLANES.iter();
    let first = *hosts.next().context("no control plane is planned")?;
    crate::say(&format!("kubeadm init on {}", first.name));
    kubeadm(first, "init --upload-certs", &init_config(first, &secrets))?;
    fetch_admin_conf(first)?;
    for host in hosts {
        crate::say(&format!("kubeadm join on {}", host.name));
        kubeadm(*host, "join", &join_config(*host, &secrets))?;
    }
    Ok(())
}

fn kubeadm(host: Host, verb: &str, config: &str) -> anyhow::Result<()> {
    // kubeadm reads its secrets from a file that only root reads, and that does not stay.
    let script = format!(
        "set -eu; umask 077; cat > /run/kubeadm.yaml; kubeadm {verb} --config /run/kubeadm.yaml >/run/kubeadm.log 2>&1 \
         || {{ tail -n 30 /run/kubeadm.log >&2; exit 1; }}; rm -f /run/kubeadm.yaml"
    );
    feed(ssh(host.name).arg(script), config).map(drop)
}

/// Fetches the administrator's kubeconfig, which names the load balancer.
pub fn fetch_admin_conf(host: Host) -> anyhow::Result<()> {
    let text = output(ssh(host.name).arg("cat /etc/kubernetes/admin.conf"))?;
    crate::command::write(&paths::run("admin.conf"), text + "\n", 0o600)
}

/// What lets a host join.
struct Secrets {
    token: String,
    certificate_key: String,
}

impl Secrets {
    fn new() -> anyhow::Result<Self> {
        let token = random_hex(11)?;
        let (id, secret) = token.split_at(6);
        Ok(Self { token: format!("{id}.{secret}"), certificate_key: random_hex(32)? })
    }
}

fn random_hex(bytes: usize) -> anyhow::Result<String> {
    let mut buffer = vec![0; bytes];
    std::fs::File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut buffer))
        .context("cannot read /dev/urandom")?;
    Ok(buffer.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat())
}

fn endpoint() -> String {
    format!("{}:{}", LOAD_BALANCER.address(), plan::API_PORT)
}

/// The check of kubeadm that fails where cgroups have version 1, although the kubelet is told to accept it.
pub const IGNORED: &str = "SystemVerification";

fn node_registration(host: Host) -> String {
    format!(
        "nodeRegistration:\n  name: {}\n  ignorePreflightErrors: [{IGNORED}]\n  kubeletExtraArgs:\n    - {{name: node-ip, value: {}}}\n",
        host.name,
        host.address()
    )
}

fn init_config(host: Host, secrets: &Secrets) -> String {
    let sans = plan::hosts().map(|host| format!("    - {}\n    - {}\n", host.name, host.address()));
    let sans = sans.collect::<Vec<_>>().concat();
    format!(
        "apiVersion: kubeadm.k8s.io/v1beta4
kind: InitConfiguration
certificateKey: {key}
bootstrapTokens:
  - {{token: {token}, ttl: 2h0m0s}}
localAPIEndpoint:
  advertiseAddress: {address}
{registration}---
apiVersion: kubeadm.k8s.io/v1beta4
kind: ClusterConfiguration
clusterName: lab
kubernetesVersion: {version}
controlPlaneEndpoint: {endpoint}
networking:
  serviceSubnet: {services}
etcd:
  local:
    imageTag: {etcd}
apiServer:
  certSANs:
{sans}dns:
  disabled: true
proxy:
  disabled: true
---
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
cgroupDriver: cgroupfs
failCgroupV1: false
failSwapOn: false
resolvConf: /etc/resolv.conf
",
        key = secrets.certificate_key,
        token = secrets.token,
        address = host.address(),
        registration = node_registration(host),
        version = artefacts::KUBERNETES_VERSION,
        endpoint = endpoint(),
        services = plan::SERVICE_RANGE,
        etcd = image::ETCD_TAG,
    )
}

fn join_config(host: Host, secrets: &Secrets) -> String {
    format!(
        "apiVersion: kubeadm.k8s.io/v1beta4
kind: JoinConfiguration
discovery:
  bootstrapToken:
    token: {token}
    apiServerEndpoint: {endpoint}
    # Both ends of this cable were made a minute ago by the same program.
    unsafeSkipCAVerification: true
controlPlane:
  certificateKey: {key}
  localAPIEndpoint:
    advertiseAddress: {address}
{registration}",
        token = secrets.token,
        endpoint = endpoint(),
        key = secrets.certificate_key,
        address = host.address(),
        registration = node_registration(host),
    )
}

/// Returns what the cluster is made by, for the key under which a finished one is kept.
pub fn recipe() -> String {
    let secrets = Secrets { token: String::new(), certificate_key: String::new() };
    let joins = CONTROL_PLANES.iter().map(|host| join_config(*host, &secrets));
    CONTROL_PLANES.iter().map(|host| init_config(*host, &secrets)).chain(joins).collect()
}

/// Runs kubectl against the load balancer.
pub fn kubectl(arguments: &[&str]) -> anyhow::Result<String> {
    let program = artefacts::kubectl()?;
    let program = program.to_str().context("the cache's path is not UTF-8")?;
    let config = paths::run("admin.conf");
    output(inside(program, ["--request-timeout=5s", "--kubeconfig"]).arg(config).args(arguments))
}

/// What keeps the cluster from being whole, or nothing.
///
/// A node's Ready condition outlives its kubelet by forty seconds and a power cut by any time, so its lease must
/// have been renewed since `since` (seconds of Unix time) as well.
pub fn missing(since: u64) -> anyhow::Result<Vec<String>> {
    let nodes = kubectl(&["get", "nodes", "-o", "json"])?;
    let leases = kubectl(&["get", "leases", "-n", "kube-node-lease", "-o", "json"])?;
    let nodes: Value = serde_json::from_str(&nodes).context("kubectl did not answer with JSON")?;
    let leases: Value =
        serde_json::from_str(&leases).context("kubectl did not answer with JSON")?;
    let mut missing = unready(&nodes, &leases, since);
    let stat = haproxy("show stat").unwrap_or_default();
    let down = CONTROL_PLANES.iter().filter(|host| server_status(&stat, host.name) != Some("UP"));
    missing.extend(down.map(|host| format!("{} is not UP in HAProxy", host.name)));
    Ok(missing)
}

fn unready(nodes: &Value, leases: &Value, since: u64) -> Vec<String> {
    let renewed = |name: &str| {
        let lease = items(leases).iter().find(|lease| text(lease, "/metadata/name") == name)?;
        seconds(text(lease, "/spec/renewTime"))
    };
    let ready = |node: &Value| {
        let conditions = node.pointer("/status/conditions").and_then(Value::as_array);
        conditions.is_some_and(|all| {
            all.iter().any(|one| text(one, "/type") == "Ready" && text(one, "/status") == "True")
        })
    };
    let judge = |host: &Host| match items(nodes)
        .iter()
        .find(|node| text(node, "/metadata/name") == host.name)
    {
        None => Some(format!("{} is not a node", host.name)),
        Some(node) if !ready(node) => Some(format!("{} is not Ready", host.name)),
        Some(_) if renewed(host.name).is_none_or(|at| at < since) => {
            Some(format!("{} has an old lease", host.name))
        }
        Some(_) => None,
    };
    CONTROL_PLANES.iter().filter_map(judge).collect()
}

fn items(list: &Value) -> &[Value] {
    list.get("items").and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// Returns the Unix time of `2026-11-21T08:00:00.000000Z`.
fn seconds(stamp: &str) -> Option<u64> {
    let (date, time) = stamp.split_once('T')?;
    let mut date = date.split('-').map(|part| part.parse::<u64>().ok());
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let mut time = time.get(..8)?.split(':').map(|part| part.parse::<u64>().ok());
    let (hour, minute, second) = (time.next()??, time.next()??, time.next()??);
    // Days since 1 March of year 0: leap days then fall at the end of a year.
    let (year, month) =
        if month > 2 { (year, month - 3) } else { (year.checked_sub(1)?, month + 9) };
    let days = 365 * year + year / 4 - year / 100
        + year / 400
        + (153 * month + 2) / 5
        + day.checked_sub(1)?;
    Some(days.checked_sub(719_468)? * 86_400 + hour * 3600 + minute * 60 + second)
}

/// Asks HAProxy on its admin socket, through the files of the host it runs on.
pub fn haproxy(line: &str) -> anyhow::Result<String> {
    let socket = vm::files(LOAD_BALANCER)?.join("run/haproxy/admin.sock");
    ask(&socket, line).with_context(|| format!("cannot ask HAProxy at {}", socket.display()))
}

fn ask(socket: &Path, line: &str) -> std::io::Result<String> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    stream.write_all(format!("{line}\n").as_bytes())?;
    stream.shutdown(Shutdown::Write)?;
    let mut said = String::new();
    stream.read_to_string(&mut said)?;
    Ok(said)
}

/// Returns the status of a server of the API's backend out of `show stat`.
pub fn server_status<'a>(stat: &'a str, server: &str) -> Option<&'a str> {
    let fields = |line: &'a str| line.split(',').collect::<Vec<_>>();
    let line = stat
        .lines()
        .map(fields)
        .find(|line| line.first() == Some(&"kube-apiserver") && line.get(1) == Some(&server))?;
    line.get(17).copied()
}

/// Waits until ssh answers on a host.
pub fn await_ssh(host: Host) -> anyhow::Result<()> {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        match run(ssh(host.name).arg("true")) {
            Ok(()) => return Ok(()),
            Err(error) if Instant::now() > deadline => {
                return Err(error.context(format!("{} does not answer ssh", host.name)));
            }
            Err(_) => std::thread::sleep(Duration::from_millis(100)),
        }
    }
}

/// Waits until nothing is missing.
pub fn await_whole(since: u64, within: Duration) -> anyhow::Result<()> {
    let deadline = Instant::now() + within;
    loop {
        let found = missing(since);
        if found.as_ref().is_ok_and(Vec::is_empty) {
            return Ok(());
        }
        if Instant::now() > deadline {
            match found {
                Ok(list) => bail!(
                    "the cluster is not whole after {} s: {}",
                    within.as_secs(),
                    list.join(", ")
                ),
                Err(error) => {
                    return Err(error
                        .context(format!("the API does not answer after {} s", within.as_secs())));
                }
            }
        }
        std::thread::sleep(Duration::from_millis(250));
    }
}

#[cfg(test)]
mod tests;
