//! Reads one host.

use crate::{
    args::{Part, Wanted},
    manifest::{self, Need, PKI, Pod},
    probe::{self, Pods},
    state::{Certificate, Clock, File, Manifests, Versions, View},
};
use ansible_module::Secret;
use anyhow::{Context, Result, anyhow};
use host::{Command, file};
use sha2::{Digest, Sha256};
use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

const ETC: &str = "/etc/kubernetes";
const K3S: &str = "/var/lib/rancher/k3s";
const K3S_ADMIN: &str = "/etc/rancher/k3s/k3s.yaml";
/// Larger than any configuration: what is larger is hashed and not read for what it names.
const CONFIGURATION: u64 = 1 << 20;
/// Deeper than kubeadm's and k3s's directories of certificates.
const DEPTH: usize = 3;

/// Reads what was asked for.
pub async fn report(wanted: &Wanted) -> Result<View> {
    let host = Host { root: wanted.root.clone() };
    let has = |part: Part| wanted.subset.contains(&part);
    let mut view = View {
        name: Some(wanted.name.clone().map_or_else(host::identity::hostname, Ok)?),
        distribution: host.distribution().map(str::to_owned),
        clock: has(Part::Clock).then(|| clock(wanted)),
        ..View::default()
    };
    let k3s = view.distribution.as_deref() == Some("k3s");
    if has(Part::Certificates) {
        let all = host.certificates(k3s)?;
        view.expires_first = all.iter().min_by_key(|one| one.days_left).cloned();
        view.certificates = Some(all);
    }
    let pods =
        if has(Part::Manifests) || has(Part::Components) { host.pods()? } else { Pods::default() };
    if has(Part::Manifests) {
        let show = |pod: &Option<Pod>| pod.as_ref().map(Pod::manifest);
        view.manifests = Some(Manifests {
            apiserver: show(&pods.apiserver),
            controller_manager: show(&pods.controller_manager),
            scheduler: show(&pods.scheduler),
            etcd: show(&pods.etcd),
        });
    }
    let key = wanted.key.as_ref();
    view.files = match &wanted.files {
        Some(given) => Some(given.iter().map(|file| host.again(file, key)).collect::<Result<_>>()?),
        None if has(Part::Manifests) => Some(host.files(&pods, key)?),
        None => None,
    };
    let components = async {
        match (has(Part::Components), k3s) {
            (false, _) => None,
            (true, true) => Some(probe::k3s(&host.at(K3S_ADMIN), wanted.timeout).await),
            (true, false) => {
                let admin = host.at(&format!("{ETC}/admin.conf"));
                Some(probe::kubeadm(&pods, &admin, wanted.timeout).await)
            }
        }
    };
    let versions =
        async { if has(Part::Versions) { Some(versions(wanted.timeout).await) } else { None } };
    (view.components, view.versions) = tokio::join!(components, versions);
    if let Some(clock) = &mut view.clock {
        clock.done = Some(seconds(SystemTime::now()));
    }
    Ok(view)
}

fn clock(wanted: &Wanted) -> Clock {
    let now = seconds(wanted.started);
    let since_asked = wanted.asked_at.map(|asked_at| ((now - asked_at) * 1e6).round() / 1e6);
    Clock { now, done: None, asked_at: wanted.asked_at, since_asked }
}

fn seconds(moment: SystemTime) -> f64 {
    moment.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

/// The programs that say their own version, all at once.
async fn versions(patience: Duration) -> Versions {
    let (kubelet, kubeadm, containerd, k3s) = tokio::join!(
        version("kubelet", &["--version"], patience),
        version("kubeadm", &["version", "--output=short"], patience),
        version("containerd", &["--version"], patience),
        version("k3s", &["--version"], patience),
    );
    Versions { kubelet, kubeadm, containerd, k3s }
}

/// The first word that begins as a version does: `Kubernetes v1.36.3`, `containerd github.com/containerd/containerd/v2 v2.3.2 1c4...`.
async fn version(program: &str, args: &[&str], patience: Duration) -> Option<String> {
    let ran = Command::new(program).args(args.iter().copied()).deadline(patience).run().await;
    let said = String::from_utf8(ran.ok()?.stdout).ok()?;
    let is_version = |word: &&str| {
        let digits = word.strip_prefix('v').unwrap_or(word);
        digits.starts_with(|first: char| first.is_ascii_digit()) && digits.contains('.')
    };
    let word = said.split_whitespace().find(is_version)?;
    Some(format!("v{}", word.trim_start_matches('v')))
}

/// The host's file system.
struct Host {
    root: PathBuf,
}

impl Host {
    fn at(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    fn distribution(&self) -> Option<&'static str> {
        let has = |path: &str| self.at(path).exists();
        if has("/etc/kubernetes/manifests/kube-apiserver.yaml") {
            Some("kubeadm")
        } else if has(&format!("{K3S}/server/tls")) {
            Some("k3s")
        } else {
            None
        }
    }

    fn pods(&self) -> Result<Pods> {
        Ok(Pods {
            apiserver: self.pod("kube-apiserver")?,
            controller_manager: self.pod("kube-controller-manager")?,
            scheduler: self.pod("kube-scheduler")?,
            etcd: self.pod("etcd")?,
        })
    }

    fn pod(&self, name: &str) -> Result<Option<Pod>> {
        let path = format!("{ETC}/manifests/{name}.yaml");
        let Some(text) = file::read_text(self.at(&path))? else { return Ok(None) };
        Pod::parse(&text).map(Some).map_err(|why| anyhow!("read manifest {path}: {why}"))
    }

    /// Each once, with what is there now.
    fn files(&self, pods: &Pods, key: Option<&Secret>) -> Result<Vec<File>> {
        let each = [
            ("kube-apiserver", &pods.apiserver),
            ("kube-controller-manager", &pods.controller_manager),
            ("kube-scheduler", &pods.scheduler),
        ];
        let mut needs: Vec<Need> = vec![];
        for (name, pod) in each {
            let Some(pod) = pod else { continue };
            for need in pod.needs(name) {
                let inner = self.named_in(pod, &need.path);
                let by = format!("{name}, named in {}", need.path);
                needs.push(need);
                needs.extend(inner.into_iter().map(|path| Need {
                    path,
                    by: by.clone(),
                    secret: true,
                }));
            }
        }
        manifest::distinct(needs).iter().map(|need| self.file(need, key)).collect()
    }

    /// What a configuration names in turn, of files that are there.
    fn named_in(&self, pod: &Pod, path: &str) -> Vec<String> {
        let at = self.at(path);
        let small =
            fs::metadata(&at).is_ok_and(|about| about.is_file() && about.len() < CONFIGURATION);
        let content = small.then(|| fs::read_to_string(&at).ok()).flatten();
        let mut named = content.map(|content| pod.named_in(&content)).unwrap_or_default();
        named.retain(|path| self.at(path).is_file());
        named
    }

    fn again(&self, file: &File, key: Option<&Secret>) -> Result<File> {
        let need =
            Need { path: file.path.clone(), by: file.needed_by.clone(), secret: file.secret };
        self.file(&need, key)
    }

    fn file(&self, need: &Need, key: Option<&Secret>) -> Result<File> {
        let at = self.at(&need.path);
        let kind = match fs::metadata(&at) {
            Ok(about) if about.is_file() => "file",
            Ok(about) if about.is_dir() => "directory",
            Ok(_) => "other",
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => "absent",
            Err(error) => return Err(error).with_context(|| format!("look at {}", at.display())),
        };
        let hash = if kind == "file" { Some(hash(&at)?) } else { None };
        let fingerprint = hash.as_ref().zip(key).map(|(hash, key)| {
            hex(&Sha256::new().chain_update(key.expose()).chain_update(hash).finalize())
        });
        Ok(File {
            path: need.path.clone(),
            needed_by: need.by.clone(),
            kind: kind.to_owned(),
            secret: need.secret,
            sha256: hash.filter(|_| !need.secret).map(|hash| hex(&hash)),
            fingerprint,
        })
    }

    fn certificates(&self, k3s: bool) -> Result<Vec<Certificate>> {
        let now = SystemTime::now();
        let mut found = vec![];
        let places = if k3s {
            vec![format!("{K3S}/server/tls"), format!("{K3S}/agent")]
        } else {
            vec![PKI.to_owned()]
        };
        for place in places {
            for path in self.below(&place, DEPTH)? {
                if path.extension().is_some_and(|ext| ext == "crt") {
                    let shown = self.shown(&path);
                    let text = file::read_text(&path)?.unwrap_or_default();
                    found.extend(read(&shown, &text, now)?);
                }
            }
        }
        if !k3s {
            found.extend(self.clients(now)?);
        }
        Ok(found)
    }

    /// The certificates that kubeconfigs hold or name.
    fn clients(&self, now: SystemTime) -> Result<Vec<Certificate>> {
        let mut found = vec![];
        for name in file::list(self.at(ETC))?.into_iter().filter(|name| is_conf(name)) {
            let path = format!("{ETC}/{name}");
            let text = file::read_text(self.at(&path))?.unwrap_or_default();
            let config = manifest::yaml(&text).map_err(|why| anyhow!("read {path}: {why}"))?;
            let users = config.pointer("/users").and_then(|users| users.as_array());
            for user in users.into_iter().flatten() {
                let data = manifest::text(user, "/user/client-certificate-data");
                let named = manifest::text(user, "/user/client-certificate");
                if !data.is_empty() {
                    let pem = host::certificate::base64(&data).unwrap_or_default();
                    found.extend(read(&path, &String::from_utf8_lossy(&pem), now)?);
                } else if !named.is_empty() {
                    let pem = file::read_text(self.at(&named))?.with_context(|| {
                        format!("read {path}: it names {named}, which is not there")
                    })?;
                    let renews_itself = named.starts_with("/var/lib/kubelet/");
                    let all = read(&named, &pem, now)?.into_iter();
                    found.extend(all.map(|one| Certificate { renews_itself, ..one }));
                }
            }
        }
        Ok(found)
    }

    /// Files of a directory and of those in it, by name.
    fn below(&self, dir: &str, depth: usize) -> Result<Vec<PathBuf>> {
        let mut files = vec![];
        for name in file::list(self.at(dir))? {
            let path = self.at(dir).join(&name);
            if path.is_dir() && depth > 0 {
                files.extend(self.below(&format!("{dir}/{name}"), depth - 1)?);
            } else if path.is_file() {
                files.push(path);
            }
        }
        Ok(files)
    }

    /// As the host itself would call it.
    fn shown(&self, path: &Path) -> String {
        let inside = path.strip_prefix(&self.root).unwrap_or(path);
        format!("/{}", inside.display().to_string().trim_start_matches('/'))
    }
}

fn is_conf(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|ext| ext == "conf")
}

fn read(path: &str, pem: &str, now: SystemTime) -> Result<Vec<Certificate>> {
    let lives = host::certificate::lives(pem).with_context(|| format!("read {path}"))?;
    let one = |life: host::certificate::Life| Certificate {
        path: path.to_owned(),
        days_left: life.days_left(now),
        lifetime_days: life.lifetime_days(),
        not_after: life.ends.to_string(),
        subject: life.subject,
        renews_itself: false,
    };
    Ok(lives.into_iter().map(one).collect())
}

fn hash(path: &Path) -> Result<[u8; 32]> {
    let about = || format!("read {}", path.display());
    let mut file = fs::File::open(path).with_context(about)?;
    let (mut sum, mut buffer) = (Sha256::new(), vec![0_u8; 64 << 10]);
    loop {
        let count = file.read(&mut buffer).with_context(about)?;
        let Some(part) = buffer.get(..count).filter(|part| !part.is_empty()) else { break };
        sum.update(part);
    }
    Ok(sum.finalize().into())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}
