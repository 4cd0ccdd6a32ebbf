//! A real etcd cluster with mutual TLS, every member at a loopback address of its own.
//!
//! Members listen at the usual ports of an address such as 127.83.12.7, so that addresses tell members apart as they do
//! between hosts. Each is killed when the cluster is dropped, and by a watchdog when the test itself is killed.

use anyhow::{Context, bail};
use etcd_client::{Certificate, Client, ConnectOptions, Identity, MemberAddOptions, TlsOptions};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use rcgen::{CertifiedIssuer, KeyPair};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

mod pki;
mod process;
pub use pki::Flaw;
use process::{Running, free_net};

/// How long a cluster may take to come up on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// A cluster of real etcd processes.
pub struct Etcd {
    dir: tempfile::TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
    members: Vec<Server>,
    net: [u8; 2],
    args: Vec<String>,
    /// What clients and members are verified against, where it is not [`Etcd::ca_cert`].
    trusted: Option<PathBuf>,
    scheme: &'static str,
}

/// One member: its name, its address, and its process while it runs.
struct Server {
    name: String,
    host: String,
    program: PathBuf,
    running: Option<Running>,
}

impl Etcd {
    /// Starts `count` members, `cp1` and on, and waits until each of them serves linearizable reads.
    ///
    /// # Errors
    /// When the program cannot be built or does not come up; with the end of its log.
    pub async fn start(count: usize) -> anyhow::Result<Self> {
        Self::start_with(count, &[]).await
    }

    /// The same with more arguments for every member, such as `--quota-backend-bytes=16777216`.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn start_with(count: usize, args: &[&str]) -> anyhow::Result<Self> {
        Self::begin(vec![program()?; count], args, "https").await
    }

    /// Starts a member of each of these lines of etcd, such as `3.5`: a cluster in the middle of an upgrade where they differ.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn start_of(lines: &[&str]) -> anyhow::Result<Self> {
        let programs = lines.iter().map(|line| artefacts::etcd_of(line));
        Self::begin(programs.collect::<anyhow::Result<_>>()?, &[], "https").await
    }

    /// The same without TLS, as etcd is by default.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn start_plain(count: usize) -> anyhow::Result<Self> {
        Self::begin(vec![program()?; count], &[], "http").await
    }

    async fn begin(
        programs: Vec<PathBuf>,
        args: &[&str],
        scheme: &'static str,
    ) -> anyhow::Result<Self> {
        let dir = tempfile::tempdir()?;
        let (issuer, args) =
            (pki::authority()?, args.iter().map(|arg| (*arg).to_owned()).collect());
        let mut cluster =
            Self { dir, issuer, members: vec![], net: free_net(), args, trusted: None, scheme };
        fs::create_dir_all(cluster.pki())?;
        fs::write(cluster.ca_cert(), cluster.issuer.pem())?;
        cluster.issue("healthcheck-client", &[])?;
        let count = programs.len();
        for program in programs {
            cluster.enlist(program)?;
        }
        let initial = cluster.initial(count);
        for index in 0..count {
            cluster.launch(index, &initial, "new")?;
        }
        for index in 0..count {
            cluster.serves(index).await?;
        }
        Ok(cluster)
    }

    /// Tells the client URL of a member, counted from zero.
    pub fn url(&self, index: usize) -> String {
        format!("{}://{}:2379", self.scheme, self.host(index))
    }

    /// Tells the peer URL of a member.
    pub fn peer_url(&self, index: usize) -> String {
        format!("{}://{}:2380", self.scheme, self.host(index))
    }

    /// Tells the client URLs of all members.
    pub fn endpoints(&self) -> Vec<String> {
        (0..self.members.len()).map(|index| self.url(index)).collect()
    }

    /// Tells the address of a member, which no other has.
    pub fn host(&self, index: usize) -> &str {
        self.members.get(index).map_or("", |server| server.host.as_str())
    }

    /// Tells the name of a member.
    pub fn name(&self, index: usize) -> &str {
        self.members.get(index).map_or("", |server| server.name.as_str())
    }

    /// The authority of all certificates, in kubeadm's layout below [`Self::root`].
    pub fn ca_cert(&self) -> PathBuf {
        self.pki().join("ca.crt")
    }

    /// A client certificate.
    pub fn client_cert(&self) -> PathBuf {
        self.pki().join("healthcheck-client.crt")
    }

    /// Its key.
    pub fn client_key(&self) -> PathBuf {
        self.pki().join("healthcheck-client.key")
    }

    /// The directory that holds everything, as a host's root directory would.
    pub fn root(&self) -> &Path {
        self.dir.path()
    }

    /// Tells where a member keeps its data.
    pub fn data_dir(&self, index: usize) -> PathBuf {
        self.dir.path().join("var/lib").join(self.name(index))
    }

    /// Kills a member at once, as a power failure does. Its data stays.
    pub fn kill(&mut self, index: usize) {
        if let Some(server) = self.members.get_mut(index) {
            server.running = None;
        }
    }

    /// Asks a member to end, as a service manager does, and does not wait.
    ///
    /// # Errors
    /// When it does not run.
    pub fn terminate(&self, index: usize) -> anyhow::Result<()> {
        self.signal(index, Signal::SIGTERM)
    }

    /// Stops a member in its tracks: its host accepts connections and nobody answers.
    ///
    /// # Errors
    /// When it does not run.
    pub fn pause(&self, index: usize) -> anyhow::Result<()> {
        self.signal(index, Signal::SIGSTOP)
    }

    /// Lets a paused member go on.
    ///
    /// # Errors
    /// When it does not run.
    pub fn resume(&self, index: usize) -> anyhow::Result<()> {
        self.signal(index, Signal::SIGCONT)
    }

    /// Starts a member again on its data.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn restart(&mut self, index: usize) -> anyhow::Result<()> {
        self.kill(index);
        let initial = self.initial(self.members.len());
        self.launch(index, &initial, "existing")
    }

    /// Empties the data of a member and starts it as its manifest says: it founds a cluster of its own at its old address.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn found_anew(&mut self, index: usize) -> anyhow::Result<()> {
        self.kill(index);
        fs::remove_dir_all(self.data_dir(index))?;
        let itself = format!("{}={}", self.name(index), self.peer_url(index));
        self.launch(index, &itself, "new")?;
        self.serves(index).await
    }

    /// Makes members that start from here on accept what another authority signed, by a bundle that holds both.
    pub fn trust(&mut self, bundle: &Path) {
        self.trusted = Some(bundle.to_owned());
    }

    /// Tells whether the process of a member is there.
    pub fn runs(&mut self, index: usize) -> bool {
        let running = self.members.get_mut(index).and_then(|server| server.running.as_mut());
        running.is_some_and(|running| matches!(running.etcd.try_wait(), Ok(None)))
    }

    /// Adds a member through member `via` and does not start it: it is listed without a name. Returns its index.
    ///
    /// # Errors
    /// When etcd refuses.
    pub async fn add_unstarted(&mut self, via: usize, learner: bool) -> anyhow::Result<usize> {
        let index = self.enlist(program()?)?;
        let mut client = self.client(via).await?;
        let options = learner.then(|| MemberAddOptions::new().with_is_learner());
        let added = client.member_add([self.peer_url(index)], options).await;
        if let Err(error) = added {
            self.members.pop();
            bail!("add a member: {error}");
        }
        Ok(index)
    }

    /// Starts a member that was added. It stays a learner until it is promoted.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn start_added(&mut self, index: usize) -> anyhow::Result<()> {
        let listed = self.client(0).await?.member_list().await?;
        let urls: Vec<&str> = listed
            .members()
            .iter()
            .flat_map(etcd_client::Member::peer_urls)
            .map(String::as_str)
            .collect();
        let all = (0..self.members.len()).filter(|at| urls.contains(&self.peer_url(*at).as_str()));
        let initial = all
            .map(|at| format!("{}={}", self.name(at), self.peer_url(at)))
            .collect::<Vec<_>>()
            .join(",");
        self.launch(index, &initial, "existing")
    }

    /// Waits until a member serves linearizable reads.
    ///
    /// # Errors
    /// When it does not within a minute; with the end of its log.
    pub async fn serves(&mut self, index: usize) -> anyhow::Result<()> {
        let until = Instant::now() + PATIENCE;
        let mut client = self.client(index).await?;
        loop {
            let read =
                tokio::time::timeout(Duration::from_secs(2), client.get("ready", None)).await;
            if matches!(read, Ok(Ok(_))) {
                return Ok(());
            }
            if Instant::now() >= until || !self.runs(index) {
                bail!("etcd member {} does not serve: {}", self.name(index), self.log_end(index));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Opens a client to one member, for what a test itself does to the cluster.
    ///
    /// # Errors
    /// When the certificates cannot be read.
    pub async fn client(&self, index: usize) -> anyhow::Result<Client> {
        if self.scheme == "http" {
            return Ok(Client::connect([self.url(index)], None).await?);
        }
        let identity =
            Identity::from_pem(fs::read(self.client_cert())?, fs::read(self.client_key())?);
        let tls = TlsOptions::new()
            .ca_certificate(Certificate::from_pem(fs::read(self.ca_cert())?))
            .identity(identity);
        Ok(Client::connect([self.url(index)], Some(ConnectOptions::new().with_tls(tls))).await?)
    }

    fn pki(&self) -> PathBuf {
        self.dir.path().join("etc/kubernetes/pki/etcd")
    }

    fn initial(&self, count: usize) -> String {
        let one = |index| format!("{}={}", self.name(index), self.peer_url(index));
        (0..count).map(one).collect::<Vec<_>>().join(",")
    }

    fn enlist(&mut self, program: PathBuf) -> anyhow::Result<usize> {
        let index = self.members.len();
        let [a, b] = self.net;
        let (name, host) = (format!("cp{}", index + 1), format!("127.{a}.{b}.{}", index + 1));
        self.issue(&name, &[host.clone(), "localhost".to_owned()])?;
        self.members.push(Server { name, host, program, running: None });
        Ok(index)
    }

    fn launch(&mut self, index: usize, initial: &str, state: &str) -> anyhow::Result<()> {
        let (url, peer) = (self.url(index), self.peer_url(index));
        let pem = |name: &str, end: &str| self.pki().join(format!("{name}.{end}"));
        let name = self.name(index).to_owned();
        let ca = self.trusted.clone().unwrap_or_else(|| self.ca_cert());
        let log = fs::File::create(self.log(index))?;
        let server = self.members.get(index).context("there is no such member")?;
        let mut command = Command::new(&server.program);
        command.args([
            "--name",
            &name,
            "--initial-cluster",
            initial,
            "--initial-cluster-state",
            state,
        ]);
        command.args(["--listen-client-urls", &url, "--advertise-client-urls", &url]);
        command.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
        command.args(["--log-level", "warn"]);
        // what a test kills is a process and never the kernel: the page cache survives, and syncing only costs time
        command.args(["--unsafe-no-fsync", "--initial-cluster-token", "quorate"]);
        command.arg("--data-dir").arg(self.data_dir(index));
        for prefix in ["", "peer-"].into_iter().filter(|_| self.scheme == "https") {
            command.arg(format!("--{prefix}client-cert-auth"));
            command.arg(format!("--{prefix}cert-file")).arg(pem(&name, "crt"));
            command.arg(format!("--{prefix}key-file")).arg(pem(&name, "key"));
            command.arg(format!("--{prefix}trusted-ca-file")).arg(&ca);
        }
        command.args(&self.args);
        fs::create_dir_all(self.dir.path().join("var/lib"))?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let running = Running::start(&mut command)?;
        if let Some(server) = self.members.get_mut(index) {
            server.running = Some(running);
        }
        Ok(())
    }

    fn signal(&self, index: usize, signal: Signal) -> anyhow::Result<()> {
        let running = self
            .members
            .get(index)
            .and_then(|server| server.running.as_ref())
            .context("the member does not run")?;
        Ok(kill(Pid::from_raw(running.etcd.id().cast_signed()), signal)?)
    }

    fn log(&self, index: usize) -> PathBuf {
        self.dir.path().join(format!("{}.log", self.name(index)))
    }

    fn log_end(&self, index: usize) -> String {
        let log = fs::read_to_string(self.log(index)).unwrap_or_default();
        let lines: Vec<&str> = log.lines().rev().take(5).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }
}

/// The etcd of a test that names none.
fn program() -> anyhow::Result<PathBuf> {
    artefacts::etcd().context("build the etcd that tests run against")
}
