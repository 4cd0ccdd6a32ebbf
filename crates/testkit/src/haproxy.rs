//! A real HAProxy (Debian's package) with small servers behind it, made for one test.
//!
//! Front ends are unix sockets and servers listen on ports the kernel chose, so that any number of tests may run at once.

use crate::or_panic;
use std::fmt::Write as _;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Where Debian puts it.
pub const PROGRAM: &str = "/usr/sbin/haproxy";
const PATIENCE: Duration = Duration::from_secs(10);

/// Describes one backend.
#[derive(Clone, Debug)]
pub struct Backend {
    name: String,
    lines: Vec<String>,
}

impl Backend {
    /// A backend that is checked as one of kube-apiservers is: TCP, `GET /readyz` every 100 ms, `rise 3`, `fall 2`.
    pub fn new(name: &str) -> Self {
        let lines = [
            "balance roundrobin",
            "option httpchk GET /readyz",
            "http-check expect status 200",
            "default-server inter 100ms fall 2 rise 3",
        ];
        Self { name: name.to_owned(), lines: lines.map(str::to_owned).to_vec() }
    }

    /// With a checked server.
    #[must_use]
    pub fn server(self, name: &str, target: &Target) -> Self {
        self.server_with(name, target, "check")
    }

    /// With a server and the rest of its line.
    #[must_use]
    pub fn server_with(self, name: &str, target: &Target, rest: &str) -> Self {
        self.line(&format!("server {name} 127.0.0.1:{} {rest}", target.port()))
    }

    /// With one more line.
    #[must_use]
    pub fn line(mut self, line: &str) -> Self {
        self.lines.push(line.to_owned());
        self
    }
}

/// A running HAProxy; it ends with the value.
#[derive(Debug)]
pub struct Haproxy {
    dir: tempfile::TempDir,
    tcp: String,
    child: Child,
}

impl Haproxy {
    /// Starts it and waits until its socket answers.
    ///
    /// # Panics
    /// When the program is not there or does not take its configuration.
    #[expect(clippy::panic, reason = "a test's way to fail")]
    pub fn start(backends: &[Backend]) -> Self {
        assert!(
            PathBuf::from(PROGRAM).exists(),
            "there is no {PROGRAM}: install Debian's package haproxy"
        );
        // Under /tmp whatever TMPDIR says: the path of a unix socket has at most 108 bytes.
        let dir = or_panic(
            tempfile::Builder::new().prefix("haproxy-").tempdir_in("/tmp"),
            "make a directory",
        );
        let config = dir.path().join("haproxy.cfg");
        let mut log = String::new();
        for _ in 0..3 {
            // Between here and HAProxy's own bind somebody else may take the port: then once more.
            let free = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
            let port = or_panic(free, "find a free port").port();
            or_panic(
                std::fs::write(&config, configuration(&dir, port, backends)),
                "write the configuration",
            );
            let mut child = spawn(&dir);
            if answers(&dir, &mut child) {
                return Self { dir, tcp: format!("127.0.0.1:{port}"), child };
            }
            _ = child.kill();
            _ = child.wait();
            log = std::fs::read_to_string(dir.path().join("log")).unwrap_or_default();
            assert!(log.contains("already in use"), "HAProxy did not start:\n{log}");
        }
        panic!("HAProxy found no free port in three attempts:\n{log}")
    }

    /// Path of the socket of level admin.
    pub fn admin(&self) -> String {
        self.path("admin.sock")
    }

    /// Path of the socket of level operator.
    pub fn operator(&self) -> String {
        self.path("operator.sock")
    }

    /// `host:port` of a socket of level admin.
    pub fn tcp(&self) -> &str {
        &self.tcp
    }

    /// Sends one line to the admin socket and returns the answer.
    ///
    /// # Panics
    /// When nobody answers.
    pub fn ask(&self, line: &str) -> String {
        or_panic(self.try_ask("admin.sock", line), "ask HAProxy")
    }

    /// One request through the front end of a backend: the name of the target that answered, or none.
    pub fn get(&self, backend: &str) -> Option<String> {
        let mut stream = UnixStream::connect(self.path(&format!("{backend}.front"))).ok()?;
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        answer.rsplit_once("\r\n\r\n").map(|(_, name)| name.to_owned())
    }

    /// Opens connections through the front end of a backend until one is with this target, and keeps that one.
    ///
    /// # Panics
    /// When the target never answers.
    #[expect(clippy::panic, reason = "a test's way to fail")]
    pub fn session(&self, backend: &str, target: &Target) -> Session {
        for _ in 0..20 {
            let mut stream = or_panic(
                UnixStream::connect(self.path(&format!("{backend}.front"))),
                "connect to the front end",
            );
            or_panic(stream.write_all(b"GET /stay HTTP/1.0\r\n\r\n"), "send a request");
            let mut name = vec![0; 64];
            let read = or_panic(stream.read(&mut name), "read the answer");
            if name.get(..read) == Some(target.name.as_bytes()) {
                or_panic(stream.set_nonblocking(true), "look without waiting");
                return Session(stream);
            }
        }
        panic!("none of 20 connections was with {}", target.name)
    }

    /// Reloads the configuration, and waits for the new process: all that was set at run time is gone.
    ///
    /// # Panics
    /// When it does not come.
    pub fn reload(&self) {
        let pid = |answer: &str| {
            answer.lines().find_map(|line| line.strip_prefix("Pid: ")).map(str::to_owned)
        };
        let before = pid(&self.ask("show info"));
        let mut asked = None;
        let changed = || {
            // Up to 2.6 the master answers nothing and drops the connection, whether it has heard or not: a busy one may not have.
            if asked.is_none_or(|at: Instant| at.elapsed() > PATIENCE / 3) {
                _ = self.try_ask("master.sock", "reload");
                asked = Some(Instant::now());
            }
            self.try_ask("admin.sock", "show info")
                .is_ok_and(|now| pid(&now).is_some_and(|now| Some(now) != before))
        };
        assert!(until(changed), "HAProxy did not reload: {}", self.log());
    }

    /// Waits until HAProxy itself gives a server this status (`UP`, `DOWN`, `MAINT`, ..).
    ///
    /// # Panics
    /// When that does not come.
    pub fn await_status(&self, backend: &str, server: &str, status: &str) {
        let found = || self.status(backend, server) == status;
        assert!(
            until(found),
            "{backend}/{server} is {}, and did not come to be {status}",
            self.status(backend, server)
        );
    }

    /// What HAProxy says of a server.
    pub fn status(&self, backend: &str, server: &str) -> String {
        let line = format!("{backend},{server},");
        let stat = self.ask("show stat");
        let found = stat.lines().find(|found| found.starts_with(&line));
        found.and_then(|found| found.split(',').nth(17)).unwrap_or("not there").to_owned()
    }

    /// Ends it at once, like a load balancer that loses its power.
    pub fn stop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    fn try_ask(&self, socket: &str, line: &str) -> std::io::Result<String> {
        ask(&self.dir.path().join(socket), line)
    }
}

fn ask(socket: &Path, line: &str) -> std::io::Result<String> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(format!("{line}\n").as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map(|_| answer)
}

/// Whether it comes to answer before it ends or the time is over.
fn answers(dir: &tempfile::TempDir, child: &mut Child) -> bool {
    let mut over = false;
    let socket = dir.path().join("admin.sock");
    until(|| {
        over = child.try_wait().is_ok_and(|status| status.is_some());
        over || ask(&socket, "show info").is_ok_and(|info| info.contains("Pid: "))
    }) && !over
}

impl Drop for Haproxy {
    fn drop(&mut self) {
        self.stop();
    }
}

fn spawn(dir: &tempfile::TempDir) -> Child {
    let log = or_panic(std::fs::File::create(dir.path().join("log")), "make a log");
    let also = or_panic(log.try_clone(), "make a log");
    // A test that is killed takes it along.
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", PROGRAM, "-W", "-S"]).arg(dir.path().join("master.sock"));
    command.arg("-f").arg(dir.path().join("haproxy.cfg"));
    or_panic(
        command.stdin(Stdio::null()).stdout(log).stderr(also).spawn(),
        "start setpriv (Debian's package util-linux)",
    )
}

fn configuration(dir: &tempfile::TempDir, port: u16, backends: &[Backend]) -> String {
    let dir = dir.path().display();
    let mut text = format!(
        "global\n  stats socket {dir}/admin.sock mode 600 level admin\n  stats socket {dir}/operator.sock mode 600 level operator\n  \
         stats socket ipv4@127.0.0.1:{port} level admin\ndefaults\n  mode tcp\n  timeout connect 2s\n  timeout check 2s\n  timeout client 10m\n  timeout server 10m\n"
    );
    for backend in backends {
        let Backend { name, lines } = backend;
        _ = write!(text, "listen {name}\n  bind unix@{dir}/{name}.front\n");
        for line in lines {
            _ = writeln!(text, "  {line}");
        }
    }
    text
}

/// An open connection through a load balancer.
#[derive(Debug)]
pub struct Session(UnixStream);

impl Session {
    /// Whether nobody has ended it.
    pub fn is_open(&mut self) -> bool {
        matches!(self.0.read(&mut [0; 1]), Err(error) if error.kind() == ErrorKind::WouldBlock)
    }
}

/// A server that answers its name to anybody, and its health to `GET /readyz`.
#[derive(Debug)]
pub struct Target {
    name: String,
    port: u16,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    sick: AtomicBool,
    gone: AtomicBool,
    served: AtomicUsize,
    checked: AtomicUsize,
}

impl Target {
    /// Starts one that is well.
    ///
    /// # Panics
    /// When there is no free port.
    pub fn start(name: &str) -> Self {
        let listener = or_panic(TcpListener::bind("127.0.0.1:0"), "listen");
        let port = or_panic(listener.local_addr(), "find the port").port();
        let (shared, owner) = (Arc::new(Shared::default()), name.to_owned());
        let (theirs, name) = (Arc::clone(&shared), name.to_owned());
        let thread = std::thread::spawn(move || accept(&listener, &theirs, &owner));
        Self { name, port, shared, thread: Some(thread) }
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Makes its health check fail, or pass again. It goes on answering everything else.
    pub fn set_sick(&self, sick: bool) {
        self.shared.sick.store(sick, Ordering::SeqCst);
    }

    /// How many connections came that were no health checks.
    pub fn served(&self) -> usize {
        self.shared.served.load(Ordering::SeqCst)
    }

    /// How many health checks came.
    pub fn checked(&self) -> usize {
        self.shared.checked.load(Ordering::SeqCst)
    }

    /// Stops listening: connections are refused from here on.
    pub fn stop(&mut self) {
        self.shared.gone.store(true, Ordering::SeqCst);
        _ = TcpStream::connect(("127.0.0.1", self.port));
        if let Some(thread) = self.thread.take() {
            _ = thread.join();
        }
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        self.stop();
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>, name: &str) {
    for stream in listener.incoming().flatten() {
        if shared.gone.load(Ordering::SeqCst) {
            return;
        }
        let (shared, name) = (Arc::clone(shared), name.to_owned());
        std::thread::spawn(move || answer(stream, &shared, &name));
    }
}

fn answer(mut stream: TcpStream, shared: &Shared, name: &str) {
    let mut request = Vec::new();
    let mut part = [0; 1024];
    while !request.ends_with(b"\r\n\r\n") {
        match stream.read(&mut part) {
            Ok(read) if read > 0 => request.extend(part.get(..read).unwrap_or_default()),
            _ => break,
        }
    }
    if request.starts_with(b"GET /readyz") {
        let status =
            if shared.sick.load(Ordering::SeqCst) { "503 Service Unavailable" } else { "200 OK" };
        _ = write!(stream, "HTTP/1.0 {status}\r\n\r\n");
        shared.checked.fetch_add(1, Ordering::SeqCst);
        return;
    }
    shared.served.fetch_add(1, Ordering::SeqCst);
    if request.starts_with(b"GET /stay") {
        _ = stream.write_all(name.as_bytes());
        // Until the other side ends it, like the watch of a kubelet.
        while stream.read(&mut part).is_ok_and(|read| read > 0) {}
        return;
    }
    _ = stream.write_all(format!("HTTP/1.0 200 OK\r\n\r\n{name}").as_bytes());
}

/// Looks until it is so, or until nobody would wait any longer.
fn until(mut is_so: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        if is_so() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    is_so()
}
