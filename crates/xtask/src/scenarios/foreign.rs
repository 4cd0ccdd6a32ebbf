//! The data directory of an upgraded node is emptied under its kubelet: its etcd founds a cluster of its own (safety rule R5b).

use crate::{
    ansible::{Ansible, HaproxySocket},
    replacement::Replacement,
    run::{execute, now, run_reading, say, wait_until},
    spec::field,
};
use anyhow::{Context, bail};
use serde_json::{Value, json};
use std::{
    fs,
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

const TARGET: &str = "cp2";
const PEER: &str = "cp1";
/// The task after which the server may serve again, and not before.
const BACK: &str = "Put the server back into the load balancers";

/// The manifest as `kubeadm upgrade` leaves it: the member alone, and no word of a cluster that exists.
///
/// That of the node that `kubeadm init` made says the same from the start, but there the ids come out equal, because etcd makes them from the
/// address: it falls in with its old cluster again, or crashes on what it has lost. Only an upgraded node founds a cluster that can be told apart.
const UPGRADE: &str = "sed -e '/--initial-cluster-state=/d' -e 's,--initial-cluster=.*,--initial-cluster=cp2=https://198.18.0.12:2380,' \
    /etc/kubernetes/manifests/etcd.yaml > /root/etcd.yaml && mv /root/etcd.yaml /etc/kubernetes/manifests/etcd.yaml";
/// Whether etcd runs with that.
const UPGRADED: &str = "for line in /proc/[0-9]*/cmdline; do tr '\\0' ' ' < $line 2>/dev/null; echo; done | grep '^etcd ' | grep -vc initial-cluster-state || true";
/// The hosts have no pkill. Emptied twice: an etcd that still runs may write a file while the first goes through the directories.
const EMPTY: &str = "rm -rf /var/lib/etcd/member; for comm in /proc/[0-9]*/comm; do \
    if [ \"$(cat $comm 2>/dev/null)\" = etcd ]; then pid=${comm%/comm}; kill -KILL ${pid#/proc/}; fi; done; rm -rf /var/lib/etcd/member";

pub fn run(ansible: &Ansible) -> anyhow::Result<()> {
    let replacement = Replacement { ansible, target: TARGET };
    say("\n-- the manifest as an upgrade leaves it");
    execute(&mut ansible.lab(&["exec", TARGET, "--", UPGRADE]))?;
    wait_until("etcd runs with that manifest", Duration::from_mins(2), || {
        Ok(ansible.on(TARGET, UPGRADED)?.trim() == "1")
    })?;
    say("\n-- empty /var/lib/etcd under the kubelet");
    execute(&mut ansible.lab(&["exec", TARGET, "--", EMPTY]))?;
    let mut foreign = String::new();
    let named = wait_until("etcd_info names a foreign cluster", Duration::from_mins(3), || {
        let info = ansible.module(PEER, "etcd_info", &json!({}))?;
        foreign = missing(&info);
        Ok(foreign.contains("cluster"))
    });
    say(&foreign);
    named?;

    say("\n-- replace the node, HAProxy under watch");
    let steps = ansible.dir.join("foreign.jsonl");
    let pool = Pool::watch(ansible)?;
    let mut playbook = replacement.command(false)?;
    let ended = run_reading(playbook.env("QUORATE_STEPS", &steps), |_| ())?;
    let seen = pool.end()?;
    if !ended {
        bail!("the replacement failed");
    }
    let (out, back) = window(&steps)?;
    if let Some((at, line)) = seen.iter().find(|(at, line)| *at > out && *at < back && serves(line))
    {
        bail!(
            "HAProxy served from {TARGET} at {at:.1}, between its way out at {out:.1} and {back:.1}: {line}"
        );
    }
    if seen.len() < 20 {
        bail!("HAProxy was seen only {} times", seen.len());
    }
    replacement.has_finished()
}

/// What the target's member lacks.
fn missing(info: &Value) -> String {
    let members = field(info, "members").as_array().map_or(&[][..], Vec::as_slice);
    let target = members.iter().find(|member| *field(member, "name") == json!(TARGET));
    target.map(|member| field(member, "missing").to_string()).unwrap_or_default()
}

/// From when the server was out of the load balancer, until it was to be put back.
fn window(steps: &Path) -> anyhow::Result<(f64, f64)> {
    let text = fs::read_to_string(steps)?;
    let step = |name: &str| {
        text.lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .find(|step| field(step, "step").as_str().is_some_and(|step| step.starts_with(name)))
            .with_context(|| format!("no step {name:?}"))
    };
    let out = step("Put the server into maintenance")?;
    let number = |step: &Value, name: &str| field(step, name).as_f64().unwrap_or_default();
    Ok((number(&out, "at") + number(&out, "seconds"), number(&step(BACK)?, "at")))
}

/// Whether HAProxy sends requests to the server of this line of `show stat`: `srv_admin` and `srv_op_state` of `show servers state`.
fn serves(line: &str) -> bool {
    let words: Vec<_> = line.split_whitespace().collect();
    // be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state ..: op_state 2 is running, admin state 0 is ready.
    words.get(5) == Some(&"2") && words.get(6) == Some(&"0")
}

/// HAProxy's runtime socket, asked again and again.
struct Pool {
    /// The way there, for as long as it is asked.
    _way: HaproxySocket,
    stop: Arc<AtomicBool>,
    asking: thread::JoinHandle<Vec<(f64, String)>>,
}

impl Pool {
    fn watch(ansible: &Ansible) -> anyhow::Result<Self> {
        let way = ansible.haproxy("haproxy-watch.sock")?;
        let stop = Arc::new(AtomicBool::new(false));
        let (asked, socket) = (stop.clone(), way.path.clone());
        let asking = thread::spawn(move || {
            let mut seen = vec![];
            while !asked.load(Ordering::Relaxed) {
                seen.extend(state(&socket).map(|line| (now(), line)));
                thread::sleep(Duration::from_millis(250));
            }
            seen
        });
        Ok(Self { _way: way, stop, asking })
    }

    fn end(self) -> anyhow::Result<Vec<(f64, String)>> {
        self.stop.store(true, Ordering::Relaxed);
        self.asking.join().map_err(|_| anyhow::anyhow!("the watcher panicked"))
    }
}

/// The target's line of `show servers state`. None where it does not answer.
fn state(socket: &Path) -> Option<String> {
    let mut stream = UnixStream::connect(socket).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
    stream.write_all(b"show servers state kube-apiserver\n").ok()?;
    let mut said = String::new();
    stream.read_to_string(&mut said).ok()?;
    said.lines().find(|line| line.split_whitespace().nth(3) == Some(TARGET)).map(str::to_owned)
}
