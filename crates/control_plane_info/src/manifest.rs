//! Static pods as their manifests have them, and the files of the host that they name. Pure functions of texts.

use crate::state::{HostPath, Manifest};
use ansible_module::Json;

/// Where kubeadm keeps certificates, unless told otherwise.
pub const PKI: &str = "/etc/kubernetes/pki";
/// What kubeadm mounts by default besides (phases/controlplane/volumes.go): certificates of the system, two kubeconfigs, the directory of volume plugins.
const DEFAULTS: [&str; 10] = [
    "/etc/ssl/certs",
    "/etc/pki",
    "/etc/pki/ca-trust",
    "/etc/pki/tls/certs",
    "/etc/ca-certificates",
    "/usr/share/ca-certificates",
    "/usr/local/share/ca-certificates",
    "/etc/kubernetes/controller-manager.conf",
    "/etc/kubernetes/scheduler.conf",
    "/usr/libexec/kubernetes/kubelet-plugins/volume/exec",
];
/// What kubeadm makes below its directory of certificates.
const PKI_FILES: [&str; 22] = [
    "apiserver-etcd-client.crt",
    "apiserver-etcd-client.key",
    "apiserver-kubelet-client.crt",
    "apiserver-kubelet-client.key",
    "apiserver.crt",
    "apiserver.key",
    "ca.crt",
    "ca.key",
    "etcd/ca.crt",
    "etcd/ca.key",
    "etcd/healthcheck-client.crt",
    "etcd/healthcheck-client.key",
    "etcd/peer.crt",
    "etcd/peer.key",
    "etcd/server.crt",
    "etcd/server.key",
    "front-proxy-ca.crt",
    "front-proxy-ca.key",
    "front-proxy-client.crt",
    "front-proxy-client.key",
    "sa.key",
    "sa.pub",
];
/// The distribution's own bundles: packages bring them, and hosts may have them in different states.
const BUNDLES: [&str; 4] =
    ["ca-certificates.crt", "ca-bundle.crt", "ca-bundle.trust.crt", "tls-ca-bundle.pem"];
/// Flags that name what is written.
const OUTPUTS: [&str; 6] =
    ["audit-log-path", "cert-dir", "log-dir", "log-file", "root-dir", "flex-volume-plugin-dir"];
/// Flags whose files hold no secrets.
const PUBLIC: [&str; 7] = [
    "admission-control-config-file",
    "audit-policy-file",
    "authentication-config",
    "authorization-config",
    "authorization-policy-file",
    "egress-selector-config-file",
    "tracing-config-file",
];
/// What is made anew at every boot.
const VOLATILE: [&str; 5] = ["/run/", "/var/run/", "/dev/", "/proc/", "/sys/"];

/// A static pod.
#[derive(Clone, PartialEq, Debug)]
pub struct Pod(Json);

/// A place where a component says how it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Endpoint {
    /// `https` or `http`.
    pub scheme: String,
    /// Address and port.
    pub address: String,
    /// With its slash.
    pub path: String,
}

impl Endpoint {
    /// On this host.
    pub fn local(scheme: &str, port: u16, path: &str) -> Self {
        Self { scheme: scheme.into(), address: format!("127.0.0.1:{port}"), path: path.into() }
    }

    /// As a URL.
    pub fn url(&self) -> String {
        format!("{}://{}{}", self.scheme, self.address, self.path)
    }
}

/// A file that must be there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Need {
    /// On the host.
    pub path: String,
    /// What names it.
    pub by: String,
    /// Whether its content may be a secret.
    pub secret: bool,
}

impl Pod {
    /// Reads a manifest.
    ///
    /// # Errors
    /// Says where it is no YAML, or that it has no containers.
    pub fn parse(text: &str) -> Result<Self, String> {
        let pod = Self(yaml(text)?);
        if pod.container().is_null() {
            return Err("expected a pod with a container, found none".into());
        }
        Ok(pod)
    }

    fn at(&self, pointer: &str) -> &Json {
        self.0.pointer(pointer).unwrap_or(&Json::Null)
    }

    fn container(&self) -> &Json {
        self.at("/spec/containers/0")
    }

    /// What is shown of it.
    pub fn manifest(&self) -> Manifest {
        let image = text(self.container(), "/image");
        let tag = image.rsplit('/').next().and_then(|last| last.split('@').next()?.split_once(':'));
        let version = tag.and_then(|(_, tag)| tag.split('-').next()).map(str::to_owned);
        let pki = self.pki();
        let host_path = |volume: &Json| {
            let path = text(volume, "/hostPath/path");
            (!path.is_empty()).then(|| HostPath {
                default: path == pki || is_default(&path),
                kind: text(volume, "/hostPath/type"),
                path,
            })
        };
        Manifest { image, version, host_paths: self.volumes().filter_map(host_path).collect() }
    }

    fn volumes(&self) -> impl Iterator<Item = &Json> {
        self.at("/spec/volumes").as_array().into_iter().flatten()
    }

    /// The directory of certificates: kubeadm calls its volume so.
    fn pki(&self) -> String {
        let named = self.volumes().find(|volume| text(volume, "/name") == "k8s-certs");
        let path = named.map(|volume| text(volume, "/hostPath/path"));
        path.filter(|path| !path.is_empty()).unwrap_or_else(|| PKI.into())
    }

    /// Where a path of the container lies on the host.
    pub fn on_host(&self, path: &str) -> Option<String> {
        let mounts = self.container().pointer("/volumeMounts").and_then(Json::as_array);
        let mounted = |mount: &Json| {
            let at = text(mount, "/mountPath");
            let rest = below(path, &at)?.to_owned();
            let name = text(mount, "/name");
            let volume = self.volumes().find(|volume| text(volume, "/name") == name)?;
            let host = text(volume, "/hostPath/path");
            let sub = text(mount, "/subPath");
            let host = if sub.is_empty() { host } else { format!("{host}/{sub}") };
            (!host.is_empty()).then(|| (at.len(), format!("{}{rest}", host.trim_end_matches('/'))))
        };
        mounts.into_iter().flatten().filter_map(mounted).max().map(|(_, path)| path)
    }

    /// The flags of its program.
    fn flags(&self) -> Vec<(String, String)> {
        let list = |part: &str| {
            let words = self.container().pointer(part).and_then(Json::as_array);
            words.into_iter().flatten().filter_map(Json::as_str)
        };
        let words: Vec<&str> = list("/command").chain(list("/args")).collect();
        let flag = |(number, word): (usize, &&str)| {
            let flag = word.strip_prefix("--").or_else(|| word.strip_prefix('-'))?;
            let apart = || words.get(number + 1).filter(|next| !next.starts_with('-'));
            Some(match flag.split_once('=') {
                Some((name, value)) => (name.to_owned(), value.to_owned()),
                None => (flag.to_owned(), apart().map_or_else(String::new, |next| (*next).into())),
            })
        };
        words.iter().enumerate().filter_map(flag).collect()
    }

    /// The files and directories of the host that it needs and that kubeadm does not make.
    pub fn needs(&self, component: &str) -> Vec<Need> {
        let pki = self.pki();
        let mut needs: Vec<Need> = vec![];
        for (flag, value) in self.flags() {
            for path in value.split([',', ':']).filter(|part| part.starts_with('/')) {
                let Some(path) = self.on_host(path) else { continue };
                if !OUTPUTS.contains(&flag.as_str()) && !is_made(&path, &pki) {
                    let by = format!("{component} --{flag}");
                    needs.push(Need { path, by, secret: !is_public(&flag) });
                }
            }
        }
        for mounted in self.manifest().host_paths {
            let brought = ["", "Directory", "File"].contains(&mounted.kind.as_str());
            let volatile = VOLATILE.iter().any(|place| mounted.path.starts_with(place));
            if brought && !volatile && !mounted.default && !is_made(&mounted.path, &pki) {
                let by = format!("{component}, which mounts it");
                needs.push(Need { path: mounted.path, by, secret: true });
            }
        }
        distinct(needs)
    }

    /// The files of the host that a configuration of it names in turn, as the admission configuration names those of its plugins.
    pub fn named_in(&self, content: &str) -> Vec<String> {
        let Ok(value) = yaml(content) else { return vec![] };
        let mut paths = vec![];
        strings(&value, &mut |word| {
            paths.extend(word.starts_with('/').then(|| self.on_host(word)).flatten());
        });
        let pki = self.pki();
        paths.retain(|path| !is_made(path, &pki));
        paths
    }

    /// Where it is asked whether it is ready: where the kubelet asks.
    pub fn endpoint(&self) -> Option<Endpoint> {
        let container = self.container();
        let probe = ["/readinessProbe/httpGet", "/livenessProbe/httpGet"];
        let get = probe.iter().find_map(|at| container.pointer(at))?;
        let port = match get.pointer("/port")? {
            Json::String(name) => name.parse().ok().or_else(|| {
                let ports = container.pointer("/ports").and_then(Json::as_array);
                let named = ports.into_iter().flatten().find(|port| text(port, "/name") == *name);
                named.and_then(|port| port.pointer("/containerPort")?.as_u64())
            })?,
            number => number.as_u64()?,
        };
        let host = Some(text(get, "/host")).filter(|host| !host.is_empty());
        let host = host.unwrap_or_else(|| "127.0.0.1".into());
        let host = if host.contains(':') { format!("[{host}]") } else { host };
        Some(Endpoint {
            scheme: text(get, "/scheme").to_lowercase(),
            address: format!("{host}:{port}"),
            path: text(get, "/path"),
        })
        .map(|end| match end.scheme.as_str() {
            "https" => end,
            _ => Endpoint { scheme: "http".into(), ..end },
        })
    }
}

/// Each path once, and no directory of which a file is needed: it is there when that is.
pub fn distinct(needs: Vec<Need>) -> Vec<Need> {
    let all: Vec<String> = needs.iter().map(|need| need.path.clone()).collect();
    let holds =
        |dir: &str| all.iter().any(|path| below(path, dir).is_some_and(|rest| !rest.is_empty()));
    let mut once: Vec<Need> = vec![];
    for need in needs.into_iter().filter(|need| !holds(&need.path)) {
        if !once.iter().any(|known| known.path == need.path) {
            once.push(need);
        }
    }
    once
}

/// Reads YAML.
///
/// # Errors
/// Says where it is none.
pub fn yaml(content: &str) -> Result<Json, String> {
    let read = serde_saphyr::from_str::<Json>(content);
    // The reader's own text shows lines of the file, which may hold secrets.
    read.map_err(|error| match error.location() {
        Some(place) => format!("no YAML at line {}", place.line()),
        None => "no YAML".to_owned(),
    })
}

/// The text at a pointer, or nothing.
pub fn text(value: &Json, pointer: &str) -> String {
    value.pointer(pointer).and_then(Json::as_str).unwrap_or_default().to_owned()
}

fn strings<'j>(value: &'j Json, found: &mut impl FnMut(&'j str)) {
    match value {
        Json::String(word) => found(word),
        Json::Array(all) => all.iter().for_each(|value| strings(value, found)),
        Json::Object(map) => map.values().for_each(|value| strings(value, found)),
        _ => {}
    }
}

/// What follows `dir` in `path`: nothing, or with its slash.
fn below<'p>(path: &'p str, dir: &str) -> Option<&'p str> {
    let rest = path.strip_prefix(dir.trim_end_matches('/'))?;
    (rest.is_empty() || rest.starts_with('/')).then_some(rest)
}

fn is_default(path: &str) -> bool {
    DEFAULTS.contains(&path.trim_end_matches('/'))
}

/// Whether kubeadm, or a package of the distribution, makes it.
fn is_made(path: &str, pki: &str) -> bool {
    let own = below(path, pki).map(|rest| rest.trim_start_matches('/'));
    own.is_some_and(|rest| rest.is_empty() || PKI_FILES.contains(&rest))
        || is_default(path)
        || path.rsplit('/').next().is_some_and(|name| BUNDLES.contains(&name))
}

fn is_public(flag: &str) -> bool {
    PUBLIC.contains(&flag) || flag.ends_with("ca-file") || flag.ends_with("cert-file")
}

#[cfg(test)]
mod tests;
