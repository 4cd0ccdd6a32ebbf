//! A real HA control plane on loopback: three etcd members, an apiserver on each, `HAProxy` in front.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use testkit::etcd::Etcd;

/// A cold start of everything on a busy machine.
const PATIENCE: Duration = Duration::from_mins(3);
pub const BACKEND: &str = "kube-apiserver";
pub const SIZE: usize = 3;

pub struct ControlPlane {
    pub etcd: Etcd,
    apiservers: Vec<Option<Process>>,
    _haproxy: Process,
    pub port: u16,
    dir: tempfile::TempDir,
}

/// A child that ends with the test, however the test ends.
pub struct Process(Child);

impl Process {
    fn start(program: &Path, arguments: &[String], log: &Path) -> Self {
        let file = File::create(log).unwrap();
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL"])
            .arg(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .spawn()
            .unwrap_or_else(|error| panic!("start setpriv (Debian: util-linux): {error}"));
        Self(child)
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.0.id().try_into().unwrap()), signal).unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl ControlPlane {
    pub async fn start() -> Self {
        let etcd = Etcd::start(SIZE).await.unwrap();
        let dir = tempfile::tempdir().unwrap();
        let hosts: Vec<String> = (0..SIZE).map(|index| etcd.host(index).to_string()).collect();
        let names: Vec<String> = hosts.iter().cloned().chain(["127.0.0.1".to_string()]).collect();
        etcd.issue("apiserver", &names).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        // Anonymous requests are refused where everything else is allowed: the checks need a certificate.
        let pem =
            [etcd.client_cert(), etcd.client_key()].map(|path| fs::read_to_string(path).unwrap());
        fs::write(dir.path().join("check.pem"), pem.concat()).unwrap();
        let haproxy = haproxy(dir.path(), port, &hosts);
        let apiservers = (0..SIZE).map(|_| None).collect();
        let mut this = Self { etcd, apiservers, _haproxy: haproxy, port, dir };
        fs::write(this.kubeconfig(), this.kubeconfig_text()).unwrap();
        for index in 0..SIZE {
            this.start_apiserver(index);
        }
        for index in 0..SIZE {
            this.await_state(index, "UP");
        }
        this
    }

    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    pub fn member_url(&self, index: usize) -> String {
        format!("https://{}:6443", self.etcd.host(index))
    }

    pub fn kubeconfig(&self) -> PathBuf {
        self.dir.path().join("admin.conf")
    }

    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("haproxy.sock")
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn start_apiserver(&mut self, index: usize) {
        let program = artefacts::kube_apiserver().unwrap();
        let log = self.file(&format!("apiserver-{index}.log"));
        self.apiservers[index] = Some(Process::start(&program, &self.arguments(index), &log));
    }

    /// Ends an apiserver as a power failure does.
    pub fn kill_apiserver(&mut self, index: usize) {
        self.apiservers[index] = None;
    }

    /// Ends an apiserver as kubelet does: it finishes what is under way.
    pub fn stop_apiserver(&mut self, index: usize) {
        let mut process = self.apiservers[index].take().unwrap();
        process.signal(Signal::SIGTERM);
        process.0.wait().unwrap();
    }

    /// Says a line to `HAProxy`.
    pub fn ask(&self, line: &str) -> String {
        let mut stream = UnixStream::connect(self.socket()).unwrap();
        stream.write_all(format!("{line}\n").as_bytes()).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    }

    pub fn await_state(&self, index: usize, state: &str) {
        let wanted = format!("{BACKEND},cp{},", index + 1);
        poll(&format!("cp{} {state}", index + 1), || {
            let stat = self.ask("show stat");
            stat.lines()
                .any(|line| line.starts_with(&wanted) && line.split(',').nth(17) == Some(state))
        });
    }

    /// Asks an apiserver itself.
    pub fn is_ready(&self, index: usize) -> bool {
        self.kubectl(&["--server", &self.member_url(index), "get", "--raw", "/readyz"])
    }

    /// Deletes an object behind everyone's back.
    pub fn delete(&self, path: &str) {
        assert!(self.kubectl(&["delete", "--raw", path]));
    }

    fn kubectl(&self, arguments: &[&str]) -> bool {
        let mut command = Command::new(artefacts::kubectl().unwrap());
        command.arg("--kubeconfig").arg(self.kubeconfig()).args(arguments);
        command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success()
    }

    fn arguments(&self, index: usize) -> Vec<String> {
        let pki = |name: &str| self.etcd.ca_cert().with_file_name(name).display().to_string();
        [
            ("etcd-servers", self.etcd.url(index)),
            ("etcd-cafile", pki("ca.crt")),
            ("etcd-certfile", pki("healthcheck-client.crt")),
            ("etcd-keyfile", pki("healthcheck-client.key")),
            ("bind-address", self.etcd.host(index).to_string()),
            ("secure-port", "6443".into()),
            ("tls-cert-file", pki("apiserver.crt")),
            ("tls-private-key-file", pki("apiserver.key")),
            ("client-ca-file", pki("ca.crt")),
            ("cert-dir", self.file("run").display().to_string()),
            ("service-account-key-file", pki("apiserver.crt")),
            ("service-account-signing-key-file", pki("apiserver.key")),
            ("service-account-issuer", "https://kubernetes.default.svc".into()),
            ("service-cluster-ip-range", "10.0.0.0/24".into()),
            ("disable-admission-plugins", "ServiceAccount".into()),
            ("endpoint-reconciler-type", "none".into()),
            ("authorization-mode", "AlwaysAllow".into()),
        ]
        .map(|(flag, value)| format!("--{flag}={value}"))
        .into()
    }

    fn kubeconfig_text(&self) -> String {
        serde_json::json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "a",
            "clusters": [{"name": "a", "cluster": {"server": self.url(), "certificate-authority": self.etcd.ca_cert()}}],
            "users": [{"name": "a", "user": {"client-certificate": self.etcd.client_cert(), "client-key": self.etcd.client_key()}}],
            "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
        })
        .to_string()
    }
}

/// Starts `HAProxy` as load balancers of control planes are set up: TCP, checked by /readyz.
///
/// The least used server comes first and nothing is tried elsewhere: a killed server draws all requests until it is
/// found DOWN, so that there is something to be seen.
fn haproxy(dir: &Path, port: u16, hosts: &[String]) -> Process {
    let check = format!("check check-ssl verify none crt {}/check.pem", dir.display());
    let servers: Vec<String> = (1..)
        .zip(hosts)
        .map(|(number, host)| format!("  server cp{number} {host}:6443 {check}\n"))
        .collect();
    let servers = servers.concat();
    let socket = dir.join("haproxy.sock");
    let config = format!(
        "global\n  stats socket {} level admin\n\
         defaults\n  mode tcp\n  retries 0\n  timeout connect 2s\n  timeout client 10m\n  timeout server 10m\n\
         frontend in\n  bind 127.0.0.1:{port}\n  default_backend {BACKEND}\n\
         backend {BACKEND}\n  balance leastconn\n  option httpchk GET /readyz\n  http-check expect status 200\n  \
         default-server inter 500ms fall 3 rise 2 on-marked-down shutdown-sessions\n{servers}",
        socket.display()
    );
    let file = dir.join("haproxy.cfg");
    fs::write(&file, config).unwrap();
    let arguments = ["-db".to_string(), "-f".to_string(), file.display().to_string()];
    let program = ["/usr/sbin/haproxy", "/usr/bin/haproxy"]
        .map(Path::new)
        .into_iter()
        .find(|path| path.exists());
    let process = Process::start(
        program.expect("haproxy is not installed"),
        &arguments,
        &dir.join("haproxy.log"),
    );
    poll("HAProxy", || UnixStream::connect(&socket).is_ok());
    process
}

/// Waits for something, and says what it was when it does not come.
pub fn poll(what: &str, mut is_there: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is_there() {
        assert!(Instant::now() < until, "{what} did not come within {} s", PATIENCE.as_secs());
        std::thread::sleep(Duration::from_millis(50));
    }
}
