//! What a hypervisor tells a host about itself, like the seed that cloud-init reads.

use crate::command::{command, make_dir, run, write};
use crate::paths;
use crate::plan::{self, CONTROLLER, Host};
use anyhow::Context;
use std::fs;
use std::path::Path;

/// Makes the lab's ssh key, the hosts' keys and the client's configuration.
///
/// They last as long as the lab is up: no secret lies in the cache.
pub fn make_keys() -> anyhow::Result<()> {
    let own = paths::run("id_ed25519");
    make_key(&own, "quorate-lab")?;
    let public = read(&own.with_extension("pub"))?;
    let mut known = String::new();
    for host in plan::hosts() {
        let seed = paths::vm(host).join("seed");
        make_dir(&seed)?;
        let key = seed.join("ssh_host_ed25519_key");
        make_key(&key, host.name)?;
        let public_key = read(&key.with_extension("pub"))?;
        known.push_str(&known_host(host, &public_key));
        write(&seed.join("authorized_keys"), &public, 0o600)?;
        write(&seed.join("identity"), identity(host), 0o644)?;
        write(&seed.join("hosts"), hosts_file(), 0o644)?;
    }
    write(&paths::run("known_hosts"), known, 0o644)?;
    write(&paths::run("ssh_config"), ssh_config(), 0o644)
}

fn make_key(path: &Path, comment: &str) -> anyhow::Result<()> {
    if path.exists() {
        return Ok(());
    }
    run(command("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-C", comment, "-f"]).arg(path))
}

fn read(path: &Path) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

fn known_host(host: Host, public_key: &str) -> String {
    format!("{},{} {public_key}", host.name, host.address())
}

/// Shell assignments that the guest's `prepare` reads.
fn identity(host: Host) -> String {
    let routes: Vec<String> = plan::hosts()
        .filter(|other| *other != host)
        .filter_map(|other| Some(format!("{}={}", other.pods()?, other.address())))
        .collect();
    format!(
        "name={}\naddress={}\ngateway={CONTROLLER}\npods={}\nroutes=\"{}\"\n",
        host.name,
        host.address(),
        host.pods().unwrap_or_default(),
        routes.join(" ")
    )
}

fn hosts_file() -> String {
    let lines: Vec<String> =
        plan::hosts().map(|host| format!("{} {}\n", host.address(), host.name)).collect();
    let lines = lines.concat();
    format!("127.0.0.1 localhost\n::1 localhost\n{lines}{} pve\n", plan::PVE_ADDRESS)
}

fn ssh_config() -> String {
    let run = paths::RUN;
    let hosts: Vec<String> = plan::hosts()
        .map(|host| format!("Host {0} {1}\n  HostName {1}\n", host.name, host.address()))
        .collect();
    let hosts = hosts.concat();
    format!(
        "{hosts}Host *\n  User root\n  IdentityFile {run}/id_ed25519\n  IdentitiesOnly yes\n  \
         UserKnownHostsFile {run}/known_hosts\n  GlobalKnownHostsFile /dev/null\n  StrictHostKeyChecking yes\n  \
         ConnectTimeout 5\n  LogLevel ERROR\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_control_plane_learns_where_everybody_elses_pods_are() {
        let host = plan::host("cp2").unwrap();
        assert_eq!(
            identity(host),
            "name=cp2\naddress=198.18.0.12\ngateway=198.18.0.1\npods=198.19.12.0/24\n\
             routes=\"198.19.11.0/24=198.18.0.11 198.19.13.0/24=198.18.0.13\"\n"
        );
        assert!(identity(plan::LOAD_BALANCER).contains("pods=\n"));
    }

    #[test]
    fn ssh_trusts_only_the_keys_the_lab_made() {
        let config = ssh_config();
        assert!(config.contains("Host cp3 198.18.0.13\n"));
        assert!(config.contains("StrictHostKeyChecking yes"));
        assert_eq!(
            known_host(plan::LOAD_BALANCER, "ssh-ed25519 AAAA lb\n"),
            "lb,198.18.0.10 ssh-ed25519 AAAA lb\n"
        );
    }
}
