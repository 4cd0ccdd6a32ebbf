//! A real kube-apiserver over a real etcd, on free loopback ports.
//!
//! No controller-manager and no kubelet run: what they would do (allow a disruption, end a pod, answer a finalizer) the test does itself, at the
//! moment it wants it. `kubectl` of the same version is the independent tool to arrange and to check with.

use anyhow::{Context, bail};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use serde_json::Value;
use std::{
    fs::{self, File},
    io::Write,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError, Weak},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// A cold apiserver on a busy machine.
const START: Duration = Duration::from_mins(2);
/// Ends the server when its standard input is closed, so that it cannot outlive the test however the test ends.
const LEASHED: &str =
    r#"exec 3<&0; "$@" </dev/null & pid=$!; (read -r _ <&3; kill -9 $pid) & wait $pid"#;

static SHARED: Mutex<Weak<Apiserver>> = Mutex::new(Weak::new());

/// A running apiserver. It ends when it is dropped.
pub struct Apiserver {
    dir: TempDir,
    kubectl: PathBuf,
    port: u16,
    // Dropped in this order: the apiserver before what it stores into.
    server: Server,
    etcd: Server,
}

impl Apiserver {
    /// The one that other tests of this process use at the moment, or a new one. Tests keep apart by the names they give.
    ///
    /// # Errors
    /// Says which program could not be built or started, with the end of its log.
    pub fn shared() -> anyhow::Result<Arc<Self>> {
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = shared.upgrade() {
            return Ok(running);
        }
        let started = Arc::new(Self::start()?);
        *shared = Arc::downgrade(&started);
        Ok(started)
    }

    /// Starts one.
    ///
    /// # Errors
    /// As [`Self::shared`].
    pub fn start() -> anyhow::Result<Self> {
        let programs = (artefacts::etcd()?, artefacts::kube_apiserver()?, artefacts::kubectl()?);
        let (etcd, apiserver, kubectl) = programs;
        let dir = tempfile::tempdir().context("make a directory for the apiserver")?;
        let at = dir.path();
        certificates(at).context("make the apiserver's certificates")?;
        let (client, peer, port) = (free_port()?, free_port()?, free_port()?);
        let client = format!("http://127.0.0.1:{client}");
        let peer = format!("http://127.0.0.1:{peer}");
        let mut command = Server::leash(&etcd);
        command.arg(format!("--data-dir={}", at.join("etcd").display()));
        command.args(["--unsafe-no-fsync", "--log-level=warn"]);
        command.arg(format!("--listen-client-urls={client}"));
        command.arg(format!("--advertise-client-urls={client}"));
        command.arg(format!("--listen-peer-urls={peer}"));
        command.arg(format!("--initial-advertise-peer-urls={peer}"));
        command.arg(format!("--initial-cluster=default={peer}"));
        let etcd = Server::start(command, at.join("etcd.log"))?;
        let command = serve(&apiserver, at, &client, port);
        let server = Server::start(command, at.join("apiserver.log"))?;
        write(&at.join("admin.conf"), &kubeconfig(at, port))?;
        let mut this = Self { dir, kubectl, port, server, etcd };
        this.await_ready()?;
        Ok(this)
    }

    /// A kubeconfig of an administrator.
    pub fn kubeconfig(&self) -> PathBuf {
        self.dir.path().join("admin.conf")
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// Reads a path, as `/api/v1/nodes/cp1`.
    ///
    /// # Errors
    /// With kubectl's words.
    pub fn get(&self, path: &str) -> anyhow::Result<Value> {
        let text = self.kubectl(&["get", "--raw", path], None)?;
        serde_json::from_str(&text).with_context(|| format!("GET {path}: not JSON: {text}"))
    }

    /// Creates an object in a collection, as `/api/v1/nodes`.
    ///
    /// # Errors
    /// With kubectl's words.
    pub fn create(&self, collection: &str, object: &Value) -> anyhow::Result<Value> {
        let text = self.kubectl(&["create", "--raw", collection, "-f", "-"], Some(object))?;
        serde_json::from_str(&text).with_context(|| format!("POST {collection}: not JSON: {text}"))
    }

    /// Replaces an object or a subresource, as `/api/v1/nodes/cp1/status`.
    ///
    /// # Errors
    /// With kubectl's words.
    pub fn replace(&self, path: &str, object: &Value) -> anyhow::Result<Value> {
        let text = self.kubectl(&["replace", "--raw", path, "-f", "-"], Some(object))?;
        serde_json::from_str(&text).with_context(|| format!("PUT {path}: not JSON: {text}"))
    }

    /// Reads an object, changes it, and writes it back to the same path.
    ///
    /// # Errors
    /// With kubectl's words.
    pub fn edit(&self, path: &str, change: impl FnOnce(&mut Value)) -> anyhow::Result<Value> {
        let mut object = self.get(path)?;
        change(&mut object);
        self.replace(path, &object)
    }

    /// Runs kubectl as the administrator.
    ///
    /// # Errors
    /// With its words.
    pub fn kubectl(&self, args: &[&str], input: Option<&Value>) -> anyhow::Result<String> {
        let mut command = Command::new(&self.kubectl);
        command.arg("--kubeconfig").arg(self.kubeconfig()).args(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().context("run kubectl")?;
        if let (Some(mut stdin), Some(input)) = (child.stdin.take(), input) {
            stdin.write_all(input.to_string().as_bytes()).context("write to kubectl")?;
        }
        let output = child.wait_with_output().context("wait for kubectl")?;
        if !output.status.success() {
            bail!("kubectl {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Ready, and the namespaces that every cluster has are there.
    fn await_ready(&mut self) -> anyhow::Result<()> {
        let until = Instant::now() + START;
        let paths = [
            "/readyz",
            "/api/v1/namespaces/kube-system",
            "/api/v1/namespaces/kube-node-lease",
            "/api/v1/namespaces/default",
        ];
        for path in paths {
            while let Err(error) = self.kubectl(&["get", "--raw", path], None) {
                let ended = self.server.has_ended() || self.etcd.has_ended();
                if ended || Instant::now() > until {
                    let (server, etcd) = (self.server.log(), self.etcd.log());
                    bail!(
                        "the apiserver did not become ready: {error}\napiserver: {server}\netcd: {etcd}"
                    );
                }
                std::thread::sleep(Duration::from_millis(100));
            }
        }
        Ok(())
    }
}

/// A server process on a leash.
struct Server {
    child: Child,
    log: PathBuf,
}

impl Server {
    fn leash(program: &Path) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", LEASHED, "sh"]).arg(program);
        command
    }

    fn start(mut command: Command, log: PathBuf) -> anyhow::Result<Self> {
        let file = File::create(&log).with_context(|| format!("create {}", log.display()))?;
        let copy = file.try_clone().context("share a log file")?;
        command.stdin(Stdio::piped()).stdout(file).stderr(copy);
        let child = command.spawn().with_context(|| format!("start {command:?}"))?;
        Ok(Self { child, log })
    }

    fn has_ended(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|status| status.is_some())
    }

    fn log(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = text.lines().rev().take(12).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        _ = self.child.wait();
    }
}

fn serve(program: &Path, dir: &Path, etcd: &str, port: u16) -> Command {
    let path = |name: &str| dir.join(name).display().to_string();
    let mut command = Server::leash(program);
    for (flag, value) in [
        ("etcd-servers", etcd.to_owned()),
        ("bind-address", "127.0.0.1".into()),
        ("secure-port", port.to_string()),
        ("tls-cert-file", path("server.crt")),
        ("tls-private-key-file", path("server.key")),
        ("client-ca-file", path("ca.crt")),
        ("cert-dir", path("run")),
        ("service-account-key-file", path("server.pub")),
        ("service-account-signing-key-file", path("server.key")),
        ("service-account-issuer", "https://kubernetes.default.svc".into()),
        ("service-cluster-ip-range", "10.0.0.0/24".into()),
        // Pods come with no ServiceAccount, and the loopback address is nobody's endpoint.
        ("disable-admission-plugins", "ServiceAccount".into()),
        ("endpoint-reconciler-type", "none".into()),
        ("authorization-mode", "AlwaysAllow".into()),
        ("allow-privileged", "true".into()),
    ] {
        command.arg(format!("--{flag}={value}"));
    }
    command
}

fn kubeconfig(dir: &Path, port: u16) -> String {
    let path = |name: &str| dir.join(name).display().to_string();
    serde_json::json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "admin",
        "clusters": [{"name": "test", "cluster": {"server": format!("https://127.0.0.1:{port}"), "certificate-authority": path("ca.crt")}}],
        "users": [{"name": "admin", "user": {"client-certificate": path("admin.crt"), "client-key": path("admin.key")}}],
        "contexts": [{"name": "admin", "context": {"cluster": "test", "user": "admin"}}],
    })
    .to_string()
}

/// A CA, the server's certificate for loopback, and an administrator's.
fn certificates(dir: &Path) -> anyhow::Result<()> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign];
    params.distinguished_name.push(DnType::CommonName, "test CA");
    let key = KeyPair::generate()?;
    write(&dir.join("ca.crt"), &params.self_signed(&key)?.pem())?;
    let ca = Issuer::new(params, key);
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let mut server = CertificateParams::new(names)?;
    server.distinguished_name.push(DnType::CommonName, "kube-apiserver");
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    issue(dir, "server", &server, &ca)?;
    let mut admin = CertificateParams::new(Vec::new())?;
    admin.distinguished_name.push(DnType::CommonName, "admin");
    admin.distinguished_name.push(DnType::OrganizationName, "system:masters");
    admin.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    issue(dir, "admin", &admin, &ca)
}

fn issue(
    dir: &Path,
    name: &str,
    params: &CertificateParams,
    ca: &Issuer<'_, KeyPair>,
) -> anyhow::Result<()> {
    let key = KeyPair::generate()?;
    write(&dir.join(format!("{name}.crt")), &params.signed_by(&key, ca)?.pem())?;
    write(&dir.join(format!("{name}.pub")), &key.public_key_pem())?;
    write(&dir.join(format!("{name}.key")), &key.serialize_pem())
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    fs::write(path, text).with_context(|| format!("write {}", path.display()))
}

fn free_port() -> anyhow::Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").context("find a free port")?;
    Ok(listener.local_addr()?.port())
}
