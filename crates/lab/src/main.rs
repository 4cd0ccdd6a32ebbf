//! For development: real control planes on one machine. See the README beside this crate.

mod archive;
mod cgroup;
mod checkpoint;
mod cluster;
mod command;
mod fault;
mod image;
mod inventory;
mod network;
mod paths;
mod plan;
mod pve;
mod seed;
mod status;
mod storage;
mod up;
mod vm;

use anyhow::{Context, bail};
use plan::Host;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

const USAGE: &str = "usage: lab <command>
  up [--fresh]                        boot everything; --fresh forgets the cached cluster
  down                                leave nothing behind
  status                              show what runs
  exec <host> -- <command>            run a command on a host
  ssh <host>                          open a shell on a host
  run -- <command>                    run a command of this machine inside the lab's network
  power <vm> state|on [--disk <file>]|shutdown|off
  fault disk <host> [--path <path>]   damage the disk beneath etcd's database (/var/lib/etcd)
  fault net <host> [--heal]           cut a host (or pve) off, or connect it again
  fault pve <what> <json>             a fault inside the PVE program: see pve/quorate_pve/control.py
  checkpoint save|restore|remove <name> | list";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match dispatch(&words) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("lab: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(words: &[&str]) -> anyhow::Result<ExitCode> {
    match words {
        ["up"] => up::up(false)?,
        ["up", "--fresh"] => up::up(true)?,
        ["down"] => up::down()?,
        ["status"] => print(&status::table())?,
        ["exec", host, "--", line @ ..] if !line.is_empty() => return exec(host, line),
        ["exec", host, first, rest @ ..] if *first != "--" => {
            return exec(host, &[&[*first], rest].concat());
        }
        ["ssh", host] => return pass(command::ssh(known(host)?.name)),
        ["run", "--", program, rest @ ..] => return pass(command::inside(program, rest)),
        ["fault", rest @ ..] => fault(rest)?,
        ["power", vm, rest @ ..] => power(known(vm)?, rest)?,
        ["checkpoint", rest @ ..] => checkpoint(rest)?,
        // Started by this program itself.
        ["hypervise", vm, disk] => vm::hypervise(known(vm)?, Path::new(disk))?,
        ["serve-pve", python, config] => pve::serve(Path::new(python), Path::new(config))?,
        _ => bail!("{USAGE}"),
    }
    Ok(ExitCode::SUCCESS)
}

fn power(host: Host, words: &[&str]) -> anyhow::Result<()> {
    match words {
        ["state"] => print(if vm::is_on(host)? { "running\n" } else { "stopped\n" }),
        ["on"] => vm::on(host, None),
        ["on", "--disk", disk] => vm::on(host, Some(Path::new(disk))),
        ["shutdown"] => vm::shutdown(host),
        ["off"] => vm::off(host),
        _ => bail!("{USAGE}"),
    }
}

fn fault(words: &[&str]) -> anyhow::Result<()> {
    match words {
        ["disk", host, rest @ ..] => {
            let path = match rest {
                [] => PathBuf::from("/var/lib/etcd"),
                ["--path", path] => PathBuf::from(path),
                _ => bail!("{USAGE}"),
            };
            let blocks = fault::disk(known(host)?, &path)?;
            print(&format!(
                "{blocks} blocks below {} on {host} can no longer be read\n",
                path.display()
            ))
        }
        ["net", "pve"] => network::connect("pve", false),
        ["net", "pve", "--heal"] => network::connect("pve", true),
        ["pve", what, given] => print(&format!("{}\n", pve::fault(what, given)?)),
        ["net", host] => network::connect(known(host)?.name, false),
        ["net", host, "--heal"] => network::connect(known(host)?.name, true),
        _ => bail!("{USAGE}"),
    }
}

fn checkpoint(words: &[&str]) -> anyhow::Result<()> {
    match words {
        ["save", name] => checkpoint::save(name),
        ["restore", name] => checkpoint::restore(name),
        ["remove", name] => checkpoint::remove(name),
        ["list"] => checkpoint::list()?.iter().try_for_each(|name| print(&format!("{name}\n"))),
        _ => bail!("{USAGE}"),
    }
}

/// One word is a line for the host's shell; several are the words of one command, as they are.
fn exec(host: &str, line: &[&str]) -> anyhow::Result<ExitCode> {
    let line = match line {
        [one] => (*one).to_owned(),
        words => words.iter().map(|word| command::quote(word)).collect::<Vec<_>>().join(" "),
    };
    let mut command = command::ssh(known(host)?.name);
    command.arg(line);
    pass(command)
}

fn known(name: &str) -> anyhow::Result<Host> {
    plan::host(name)
        .with_context(|| format!("there is no host {name:?}; there are {}", plan::host_names()))
}

/// Gives this terminal to a command and returns what it returned.
fn pass(mut command: Command) -> anyhow::Result<ExitCode> {
    command::require_root()?;
    if !network::exists(plan::NAMESPACE) {
        bail!("the lab is down; bring it up first: cargo xtask lab up");
    }
    let error = command.stdin(Stdio::inherit()).exec();
    Err(error).with_context(|| format!("cannot start {}", command.get_program().display()))
}

fn print(text: &str) -> anyhow::Result<()> {
    std::io::stdout().write_all(text.as_bytes()).context("cannot write to standard output")
}

/// Tells whoever waits what goes on; standard output is for answers.
pub(crate) fn say(text: &str) {
    eprintln!("lab: {text}");
}
