//! Bringing the lab up and down.

use crate::command::{make_dir, remove_tree, require_root, require_tools, write};
use crate::plan::{
    self, CONTROL_PLANES, DISK_BYTES, Host, IMPORT_IMAGE, IMPORT_STORAGE, LOAD_BALANCER,
};
use crate::{cluster, image, inventory, network, paths, pve, say, seed, storage, vm};
use anyhow::{Context, bail};
use artefacts::Key;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

/// kubeadm's certificates last a year; a cached cluster is given up well before.
const CLUSTER_AGE: Duration = Duration::from_hours(250 * 24);
/// How long the whole cluster may take from the boot.
const WHOLE: Duration = Duration::from_mins(3);

/// Boots the whole lab and returns when the cluster is whole.
///
/// # Errors
/// When a tool or root is missing, or the cluster does not become whole.
pub fn up(fresh: bool) -> anyhow::Result<()> {
    require_tools()?;
    let began = Instant::now();
    let _lock = lock()?;
    let images = image::build()?;
    let python = python()?;
    artefacts::kubectl()?;
    clean()?;
    prepare()?;
    let cached = storage_of("cluster")?;
    let mark = cached.with_extension("key");
    let key = cluster_key(&images);
    if fresh || fs::read_to_string(&mark).ok().as_deref() != Some(&key) || is_old(&mark) {
        let _ = fs::remove_file(&mark);
        remove_tree(&cached)?;
        create(&images)?;
        storage::replace(&paths::live()?, &cached)?;
        write(&mark, &key, 0o644)?;
    } else {
        storage::replace(&cached, &paths::live()?)?;
    }
    boot_all(&python, &plan::hosts().map(Power::first).collect::<anyhow::Result<Vec<_>>>()?)?;
    say(&format!("up after {:.0} s", began.elapsed().as_secs_f64()));
    Ok(())
}

/// Returns the Python environment of the PVE program.
pub fn python() -> anyhow::Result<PathBuf> {
    artefacts::python_env(
        "pve",
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("pve/requirements.txt"),
    )
}

/// What boots a host: its disk, and whether it is on at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Power {
    pub host: Host,
    pub disk: PathBuf,
    pub on: bool,
}

impl Power {
    fn first(host: Host) -> anyhow::Result<Self> {
        Ok(Self { host, disk: paths::first_disk(host)?, on: true })
    }
}

/// Makes what lies in /run and the network.
fn prepare() -> anyhow::Result<()> {
    make_dir(Path::new(paths::RUN))?;
    storage::up()?;
    network::up()?;
    seed::make_keys()?;
    write(&paths::run("inventory.yml"), inventory::yaml(&pve::secret()?), 0o600)
}

fn storage_of(name: &str) -> anyhow::Result<PathBuf> {
    Ok(paths::storage()?.join(name))
}

/// Everything the finished cluster is made of.
fn cluster_key(images: &image::Images) -> String {
    [&images.control_plane, &images.load_balancer]
        .iter()
        .fold(Key::new(cluster::recipe()), |key, path| {
            key.with(path.as_os_str().as_encoded_bytes())
        })
        .with(DISK_BYTES.to_string())
        .short()
}

fn is_old(mark: &Path) -> bool {
    let age = fs::metadata(mark)
        .and_then(|data| data.modified())
        .ok()
        .and_then(|at| SystemTime::now().duration_since(at).ok());
    age.is_none_or(|age| age > CLUSTER_AGE)
}

/// Makes a new cluster on new disks and leaves it powered off.
fn create(images: &image::Images) -> anyhow::Result<()> {
    say("making a new cluster, which later runs start from");
    let began = Instant::now();
    let live = paths::live()?;
    remove_tree(&live)?;
    let store = storage_of("images")?;
    let (control_plane, balancer) = (store.join(IMPORT_IMAGE), store.join("lb.raw"));
    storage::bring(&images.control_plane, &control_plane)?;
    storage::bring(&images.load_balancer, &balancer)?;
    storage::clone(&control_plane, &live.join(IMPORT_STORAGE).join("import").join(IMPORT_IMAGE))?;
    storage::clone(&balancer, &paths::first_disk(LOAD_BALANCER)?)?;
    for host in CONTROL_PLANES {
        let disk = paths::first_disk(host)?;
        storage::clone(&control_plane, &disk)?;
        let file = File::options()
            .write(true)
            .open(&disk)
            .with_context(|| format!("cannot open {}", disk.display()))?;
        file.set_len(DISK_BYTES).with_context(|| format!("cannot extend {}", disk.display()))?;
    }
    let since = now()?;
    boot(&plan::hosts().map(Power::first).collect::<anyhow::Result<Vec<_>>>()?)?;
    cluster::create()?;
    cluster::await_whole(since, WHOLE)?;
    fs::copy(paths::run("admin.conf"), live.join("admin.conf"))
        .context("cannot keep admin.conf")?;
    vm::all_off()?;
    say(&format!("made a new cluster in {:.0} s", began.elapsed().as_secs_f64()));
    Ok(())
}

/// Boots hosts at once and returns when all answer ssh.
fn boot(hosts: &[Power]) -> anyhow::Result<()> {
    let one = |power: &Power| {
        vm::on(power.host, Some(&power.disk))?;
        cluster::await_ssh(power.host)
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = hosts
            .iter()
            .filter(|power| power.on)
            .map(|power| scope.spawn(move || one(power)))
            .collect();
        threads.into_iter().try_for_each(|thread| match thread.join() {
            Ok(outcome) => outcome,
            Err(_) => bail!("the thread that boots a host panicked"),
        })
    })
}

/// Boots hosts, starts the PVE API beside them, and waits for the cluster if all of it is on.
pub fn boot_all(python: &Path, hosts: &[Power]) -> anyhow::Result<()> {
    let since = now()?;
    let conf = paths::live()?.join("admin.conf");
    let text = fs::read(&conf).with_context(|| format!("cannot read {}", conf.display()))?;
    write(&paths::run("admin.conf"), text, 0o600)?;
    for power in hosts {
        // The API shows the power as it is, so it must know the disks before it starts.
        make_dir(&paths::vm(power.host))?;
        write(&paths::disk_record(power.host), power.disk.display().to_string(), 0o644)?;
    }
    let began = Instant::now();
    std::thread::scope(|scope| {
        let api = scope.spawn(|| pve::up(python));
        boot(hosts)?;
        api.join().map_err(|_| anyhow::anyhow!("the thread that starts the PVE API panicked"))?
    })?;
    say(&format!(
        "hosts answer ssh and the PVE API listens after {:.1} s",
        began.elapsed().as_secs_f64()
    ));
    if hosts.iter().all(|power| power.on) {
        cluster::await_whole(since, WHOLE)?;
        say(&format!("the cluster is whole after {:.1} s", began.elapsed().as_secs_f64()));
    }
    Ok(())
}

pub fn now() -> anyhow::Result<u64> {
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .context("the clock is before 1970")?;
    Ok(since.as_secs())
}

/// Ends the lab.
pub fn down() -> anyhow::Result<()> {
    require_root()?;
    let _lock = lock()?;
    clean()
}

/// Removes whatever of a lab is there, also of one that was killed at any point.
fn clean() -> anyhow::Result<()> {
    pve::down()?;
    vm::all_off()?;
    network::down()?;
    storage::down()?;
    crate::cgroup::remove_own()?;
    // The mount points go only after the mounts: this must never walk into a disk.
    if crate::storage::mounts_below(Path::new(paths::RUN)).is_empty() {
        remove_tree(Path::new(paths::RUN))?;
    } else {
        bail!("something is still mounted below {}", paths::RUN);
    }
    leave_nspawn_clean();
    Ok(())
}

/// systemd-nspawn leaves empty directories behind when it is killed.
fn leave_nspawn_clean() {
    let top = Path::new("/run/systemd/nspawn");
    let propagate = top.join("propagate");
    let of_hosts = plan::hosts().map(|host| propagate.join(host.name));
    // Only empty ones go: other containers of this machine have theirs here too.
    of_hosts.chain([propagate.clone(), top.to_owned()]).for_each(|dir| drop(fs::remove_dir(dir)));
}

/// One `up`, `down` or checkpoint at a time, on this machine.
pub fn lock() -> anyhow::Result<File> {
    let path = Path::new("/run/quorate-lab.lock");
    let file = File::create(path).with_context(|| format!("cannot open {}", path.display()))?;
    if file.try_lock().is_err() {
        say("waiting for another `lab` that is at work");
        file.lock().with_context(|| format!("cannot lock {}", path.display()))?;
    }
    Ok(file)
}
