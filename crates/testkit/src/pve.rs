//! A Proxmox VE API with real disk files, on a free port: the lab's program (`crates/lab/pve`), with faults on request.
//!
//! The world: node `pve1`, VM 101 `cp1` with `scsi0` = `lab:vm-101-disk-0` (4 MiB), the image `local:import/cp.raw` (2 MiB), simulated power.

use crate::or_panic;
use serde_json::{Value, json};
use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// The SMBIOS UUID of VM 101.
pub const UUID: &str = "0ab1f0d2-0000-4000-8000-000000000101";
/// The volume of VM 101's disk.
pub const DISK: &str = "lab:vm-101-disk-0";
/// The image to import.
pub const IMAGE: &str = "local:import/cp.raw";

const MIB: u64 = 1 << 20;
const PATIENCE: Duration = Duration::from_secs(30);

/// A running API. Ends when it is dropped.
#[derive(Debug)]
pub struct Pve {
    folder: TempDir,
    program: Program,
}

#[derive(Debug)]
struct Program {
    child: Child,
    port: u16,
    control: String,
}

impl Drop for Program {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

impl Pve {
    /// Starts one; with other members of `guests.json` (`rights`, `ha_delay`).
    ///
    /// # Panics
    /// When Python, its packages or the program cannot be had.
    pub fn start(more: &Value) -> Self {
        let folder = or_panic(tempfile::tempdir(), "make a folder");
        let root = folder.path();
        for name in ["disks/101", "images/import"] {
            or_panic(fs::create_dir_all(root.join(name)), name);
        }
        raw(&root.join("disks/101/vm-101-disk-0.raw"), b"old", 4 * MIB);
        raw(&root.join("images/import/cp.raw"), b"fresh", 2 * MIB);
        let mut settings = json!({
            "listen": "127.0.0.1", "port": 0, "node": "pve1", "control": true, "ha_delay": 0.3,
            "ca": root.join("ca.pem"), "state": root.join("state.json"),
            "user": "quorate@pve", "token_id": "t", "token_secret": "s3cret-token",
            "storages": {"local": root.join("images"), "lab": root.join("disks")},
            "guests": [{"vmid": 101, "name": "cp1", "uuid": UUID, "mac": "bc:24:11:00:01:01", "disk": DISK, "size": 4 * MIB}]
        });
        if let (Some(settings), Some(more)) = (settings.as_object_mut(), more.as_object()) {
            settings.extend(more.clone());
        }
        or_panic(fs::write(root.join("guests.json"), settings.to_string()), "write guests.json");
        let program = Program::start(&root.join("guests.json"));
        Self { folder, program }
    }

    /// Kills it and starts it again on what it has saved, on another port.
    pub fn restart(&mut self) {
        // Dropping the old one first: two programs on one state file would both write it.
        _ = self.program.child.kill();
        _ = self.program.child.wait();
        self.program = Program::start(&self.folder.path().join("guests.json"));
    }

    /// The connection options of a module, for VM 101 `cp1`.
    pub fn args(&self) -> Value {
        json!({
            "api_host": "127.0.0.1", "api_port": self.program.port, "api_user": "quorate@pve", "api_token_id": "t",
            "api_token_secret": "s3cret-token", "ca_path": self.folder.path().join("ca.pem"), "vmid": 101, "name": "cp1"
        })
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.program.port
    }

    /// A file below its folder: `disks/101/vm-101-disk-0.raw`, `ca.pem`.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Names of VM 101's disk files, sorted.
    pub fn disks(&self) -> Vec<String> {
        let entries = or_panic(fs::read_dir(self.file("disks/101")), "list the disks");
        let mut names: Vec<_> = entries
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    /// Injects a fault or looks inside; see `crates/lab/pve/quorate_pve/control.py`.
    ///
    /// # Panics
    /// When it does not answer, or answers with an error.
    pub fn control(&self, what: &str, given: &Value) -> Value {
        let body = given.to_string();
        let mut stream = or_panic(TcpStream::connect(&self.program.control), &self.program.control);
        let head = format!(
            "POST /{what} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        or_panic(stream.write_all((head + &body).as_bytes()), what);
        let mut answer = String::new();
        or_panic(stream.read_to_string(&mut answer), what);
        assert!(answer.starts_with("HTTP/1.1 200"), "control {what} {given}: {answer}");
        let json: Value = or_panic(
            serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap_or_default()),
            &answer,
        );
        json.get("data").cloned().unwrap_or_default()
    }

    /// VM 101 as the API keeps it: `config`, `pending`, `status`, `ha_state`.
    pub fn vm(&self) -> Value {
        self.control("vm", &json!({"vmid": 101}))
    }

    /// Sets attributes (`status`, `lock`, `ha_state`) and config keys of VM 101.
    pub fn set(&self, attributes: &Value, config: &Value) {
        self.control("vm", &json!({"vmid": 101, "set": attributes, "config": config}));
    }

    /// How often VM 101 was asked to do this: `("POST", "/config")`.
    pub fn count(&self, method: &str, suffix: &str) -> usize {
        let requests = self.control("requests", &json!({}));
        let text = |request: &Value, at| {
            request.get(at).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let same =
            |request: &&Value| text(request, 0) == method && text(request, 1).ends_with(suffix);
        requests.as_array().into_iter().flatten().filter(same).count()
    }

    /// Waits until something holds of VM 101.
    ///
    /// # Panics
    /// When it does not in half a minute.
    pub fn until(&self, what: &str, holds: impl Fn(&Value) -> bool) {
        let since = Instant::now();
        while !holds(&self.vm()) {
            assert!(since.elapsed() < PATIENCE, "not in time: {what}; VM 101 is {}", self.vm());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Program {
    fn start(guests: &Path) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../lab/pve");
        let environment = artefacts::python_env("pve", &folder.join("requirements.txt"));
        let python =
            or_panic(environment.map_err(|error| format!("{error:#}")), "fakepve from PyPI")
                .join("bin/python");
        let mut command = Command::new(&python);
        command
            .arg(folder.join("serve.py"))
            .arg(guests)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = or_panic(command.spawn(), &python.display().to_string());
        let lines =
            child.stdout.take().into_iter().flat_map(|out| BufReader::new(out).lines()).flatten();
        let (mut port, mut control) = (None, String::new());
        for line in lines {
            if let Some(address) = line.strip_prefix("control on http://") {
                address.clone_into(&mut control);
            } else if let Some(url) = line.strip_prefix("listening on ") {
                port = url.rsplit(':').next().and_then(|port| port.parse().ok());
                break;
            }
        }
        let program = Self { child, port: port.unwrap_or(0), control };
        assert!(port.is_some(), "{} ended without listening", folder.join("serve.py").display());
        program
    }
}

/// Runs the program's own tests, which hold it against what was read in qemu-server.
///
/// # Panics
/// When one fails.
pub fn holds_against_its_facts() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../lab/pve");
    let environment = artefacts::python_env("pve", &folder.join("requirements.txt"));
    let python = or_panic(environment.map_err(|error| format!("{error:#}")), "fakepve from PyPI")
        .join("bin/python");
    let mut command = Command::new(python);
    command
        .args(["-B", "-m", "unittest", "discover", "-s", "tests", "-t", "."])
        .current_dir(&folder);
    let ran = or_panic(command.output(), "run Python's unittest");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
}

fn raw(path: &Path, head: &[u8], size: u64) {
    let mut file = or_panic(fs::File::create(path), &path.display().to_string());
    or_panic(file.write_all(head).and_then(|()| file.set_len(size)), &path.display().to_string());
}
