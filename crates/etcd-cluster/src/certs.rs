//! Where the certificates for etcd lie: given, or found in the layouts of kubeadm and k3s.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

/// The three files of a mutual TLS connection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Files {
    /// The authority that signed the members' server certificates.
    pub ca: PathBuf,
    /// A client certificate.
    pub cert: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

impl Files {
    /// kubeadm's: the certificate it makes for etcd's own health checks.
    pub fn kubeadm(root: &Path) -> Self {
        let of = |name: &str| root.join("etc/kubernetes/pki/etcd").join(name);
        Self {
            ca: of("ca.crt"),
            cert: of("healthcheck-client.crt"),
            key: of("healthcheck-client.key"),
        }
    }

    /// The one that k3s makes for its API server.
    pub fn k3s(root: &Path) -> Self {
        let of = |name: &str| root.join("var/lib/rancher/k3s/server/tls/etcd").join(name);
        Self { ca: of("server-ca.crt"), cert: of("client.crt"), key: of("client.key") }
    }

    /// Fills what was not given from the first layout that is there.
    ///
    /// # Errors
    /// When a file is neither given nor found.
    pub fn find(
        root: &Path,
        ca: Option<&Path>,
        cert: Option<&Path>,
        key: Option<&Path>,
    ) -> Result<Self, NotFound> {
        let layouts = [Self::kubeadm(root), Self::k3s(root)];
        let found = layouts.iter().find(|files| files.ca.exists());
        let pick = |given: Option<&Path>, of: fn(&Self) -> &PathBuf| {
            given.map(Path::to_owned).or_else(|| found.map(|files| of(files).clone()))
        };
        match (pick(ca, |f| &f.ca), pick(cert, |f| &f.cert), pick(key, |f| &f.key)) {
            (Some(ca), Some(cert), Some(key)) => Ok(Self { ca, cert, key }),
            _ => Err(NotFound(layouts.map(|files| files.ca))),
        }
    }
}

/// No layout is there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NotFound([PathBuf; 2]);

impl fmt::Display for NotFound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [kubeadm, k3s] = &self.0;
        write!(
            f,
            "no etcd certificates: neither {} (kubeadm) nor {} (k3s) exists on this host; give ca_cert, client_cert and client_key, or run on a control-plane node",
            kubeadm.display(),
            k3s.display()
        )
    }
}

impl std::error::Error for NotFound {}

/// Certificates that cannot be used; says why and names the path.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BadCertificates(pub String);

impl fmt::Display for BadCertificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadCertificates {}

/// The contents of [`Files`]; the key is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Tls {
    pub(crate) ca: Vec<u8>,
    pub(crate) cert: Vec<u8>,
    pub(crate) key: Vec<u8>,
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// When one cannot be read or holds no PEM of its kind; names the path.
    pub fn read(files: &Files) -> Result<Self, String> {
        let read = |path: &Path, kind: &str| {
            let bytes =
                fs::read(path).map_err(|error| format!("read {}: {error}", path.display()))?;
            let is_pem = String::from_utf8_lossy(&bytes).contains(kind);
            if is_pem {
                Ok(bytes)
            } else {
                Err(format!("{} holds no PEM block {kind:?}", path.display()))
            }
        };
        Ok(Self {
            ca: read(&files.ca, "CERTIFICATE")?,
            cert: read(&files.cert, "CERTIFICATE")?,
            key: read(&files.key, "PRIVATE KEY")?,
        })
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kubeadm_comes_before_k3s_and_what_is_given_before_both() {
        let root = tempfile::tempdir().unwrap();
        let none = Files::find(root.path(), None, None, None).unwrap_err().to_string();
        assert!(none.contains("pki/etcd/ca.crt") && none.contains("server-ca.crt"), "{none}");
        for files in [Files::k3s(root.path()), Files::kubeadm(root.path())] {
            fs::create_dir_all(files.ca.parent().unwrap()).unwrap();
            fs::write(&files.ca, "x").unwrap();
            assert_eq!(Files::find(root.path(), None, None, None).unwrap(), files);
        }
        let given =
            Files::find(root.path(), Some(Path::new("/a")), None, Some(Path::new("/c"))).unwrap();
        assert_eq!((given.ca, given.key), (PathBuf::from("/a"), PathBuf::from("/c")));
        assert_eq!(given.cert, Files::kubeadm(root.path()).cert);
    }

    #[test]
    fn a_file_that_is_no_certificate_is_named() {
        let root = tempfile::tempdir().unwrap();
        let files = Files::kubeadm(root.path());
        fs::create_dir_all(files.ca.parent().unwrap()).unwrap();
        assert!(Tls::read(&files).unwrap_err().contains("ca.crt"));
        fs::write(&files.ca, "x").unwrap();
        assert!(Tls::read(&files).unwrap_err().contains("no PEM block"));
    }
}
