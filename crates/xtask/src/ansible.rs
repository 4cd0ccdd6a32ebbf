//! Ansible against the lab: playbooks and single modules, run inside the lab's network.

use crate::run::{MUSL, ask, cargo, command, execute, in_python_env, root, target_dir, wait_until};
use anyhow::{Context, bail};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

/// What the lab writes while it is up.
pub const LAB_RUN: &str = "/run/quorate-lab";

/// The staged collection, the lab, and a place for what Ansible leaves.
pub struct Ansible {
    stage: PathBuf,
    /// Programs of this workspace that run beside it.
    programs: PathBuf,
    /// Where results and logs go.
    pub dir: PathBuf,
}

impl Ansible {
    /// Builds the programs that run beside Ansible, and empties the place for results.
    pub fn new(stage: PathBuf, dir: PathBuf) -> anyhow::Result<Self> {
        execute(&mut cargo(["build", "--quiet", "-p", "lab", "-p", "witness", "--target", MUSL]))?;
        if dir.exists() {
            fs::remove_dir_all(&dir)
                .with_context(|| format!("failed to empty {}", dir.display()))?;
        }
        fs::create_dir_all(&dir)?;
        // An ansible.cfg of the user's, or of the directory, would make another demonstration of this one.
        fs::write(dir.join("ansible.cfg"), "")?;
        Ok(Self { stage, programs: target_dir().join(MUSL).join("debug"), dir })
    }

    /// A command of the lab's program.
    pub fn lab(&self, args: &[&str]) -> Command {
        command(self.programs.join("lab"), args)
    }

    /// A program of this machine, inside the lab's network.
    pub fn inside(&self, program: impl AsRef<Path>, args: &[&str]) -> Command {
        let mut lab = self.lab(&["run", "--"]);
        lab.arg(program.as_ref()).args(args);
        lab
    }

    /// The program that keeps the API under watch.
    pub fn witness(&self, args: &[&str]) -> Command {
        self.inside(self.programs.join("witness"), args)
    }

    /// A way to HAProxy's runtime socket on the load balancer, as a socket of this machine, until it is dropped.
    pub fn haproxy(&self, name: &str) -> anyhow::Result<HaproxySocket> {
        let path = PathBuf::from(LAB_RUN).join(name);
        _ = fs::remove_file(&path);
        let config = format!("{LAB_RUN}/ssh_config");
        let forward = format!("{}:/run/haproxy/admin.sock", path.display());
        let ssh = self
            .inside("ssh", &["-F", &config, "-N", "-L", &forward, "lb"])
            .stdin(Stdio::null())
            .spawn()
            .context("failed to start ssh")?;
        let way = HaproxySocket { path, ssh };
        wait_until("the way to HAProxy's runtime socket", Duration::from_secs(10), || {
            Ok(fs::exists(&way.path)?)
        })?;
        Ok(way)
    }

    /// A playbook of the collection.
    pub fn playbook(&self, name: &str, args: &[&str]) -> anyhow::Result<Command> {
        let name = format!("quorate.controlplane.{name}");
        let mut playbook = self.inside("ansible-playbook", &["-i", &inventory(), &name]);
        playbook.args(args);
        self.set_up(&mut playbook)?;
        Ok(playbook)
    }

    /// A play of this checkout's own.
    pub fn play(&self, file: &Path) -> anyhow::Result<Command> {
        let mut play = self.inside("ansible-playbook", &["-i", &inventory()]);
        play.arg(file).env("QUORATE_LAB", self.programs.join("lab"));
        self.set_up(&mut play)?;
        Ok(play)
    }

    /// A scenario of molecule.
    pub fn molecule(&self, scenario: &str) -> anyhow::Result<Command> {
        let mut molecule = self.inside("molecule", &["test", "--scenario-name", scenario]);
        molecule
            .env("QUORATE_LAB", self.programs.join("lab"))
            .env("QUORATE_INVENTORY", inventory())
            .env("QUORATE_STAGE", &self.stage);
        self.set_up(&mut molecule)?;
        Ok(molecule)
    }

    /// The result of one module, whether it failed or not.
    pub fn module(&self, host: &str, module: &str, args: &Value) -> anyhow::Result<Value> {
        let tree = self.dir.join("adhoc");
        let name = format!("quorate.controlplane.{module}");
        let mut ansible =
            self.inside("ansible", &["-i", &inventory(), host, "-m", &name, "--tree"]);
        ansible.arg(&tree);
        // An empty object would be taken for a word.
        if args.as_object().is_some_and(|args| !args.is_empty()) {
            ansible.arg("-a").arg(args.to_string());
        }
        self.set_up(&mut ansible)?;
        let output = ansible.output().context("failed to start ansible")?;
        let text = fs::read_to_string(tree.join(host));
        fs::remove_dir_all(&tree).ok();
        let Ok(text) = text else {
            bail!(
                "ansible -m {module} on {host} left no result: {}",
                String::from_utf8_lossy(&output.stdout).trim()
            );
        };
        serde_json::from_str(&text)
            .with_context(|| format!("the result of {module} on {host} is no JSON"))
    }

    /// What a command on a host of the lab prints.
    pub fn on(&self, host: &str, line: &str) -> anyhow::Result<String> {
        ask(&mut self.lab(&["exec", host, "--", line]))
    }

    fn set_up(&self, ansible: &mut Command) -> anyhow::Result<()> {
        ansible
            .env("ANSIBLE_COLLECTIONS_PATH", &self.stage)
            .env("ANSIBLE_HOME", self.dir.join("ansible"))
            .env("ANSIBLE_CONFIG", self.dir.join("ansible.cfg"))
            .env("ANSIBLE_CALLBACK_PLUGINS", root().join("crates/witness/ansible"))
            .env("ANSIBLE_CALLBACKS_ENABLED", "quorate_steps")
            .env("ANSIBLE_FORCE_COLOR", "0")
            .env("ANSIBLE_NOCOWS", "1")
            .env("ANSIBLE_DEPRECATION_WARNINGS", "False")
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("LC_ALL", "C.UTF-8");
        in_python_env(ansible)
    }
}

/// A forwarded socket, and the ssh that forwards it.
pub struct HaproxySocket {
    pub path: PathBuf,
    ssh: Child,
}

impl Drop for HaproxySocket {
    fn drop(&mut self) {
        _ = self.ssh.kill();
        _ = self.ssh.wait();
    }
}

/// The inventory that the lab wrote.
pub fn inventory() -> String {
    format!("{LAB_RUN}/inventory.yml")
}
