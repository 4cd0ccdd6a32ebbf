//! How to reach a cluster, and the connection.

use crate::Error;
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

/// Where distributions keep the administrator's kubeconfig: kubeadm, k3s, RKE2.
const USUAL: [&str; 3] =
    ["/etc/kubernetes/admin.conf", "/etc/rancher/k3s/k3s.yaml", "/etc/rancher/rke2/rke2.yaml"];
const CONNECT: Duration = Duration::from_secs(5);

/// How to reach a cluster.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Access {
    /// The kubeconfig; none means the first of kubeadm's, k3s's and RKE2's that exists on this host.
    pub kubeconfig: Option<PathBuf>,
    /// The context in it; none means the current one.
    pub context: Option<String>,
    /// Another address than the kubeconfig's, to ask one apiserver rather than the load balancer: `https://198.18.0.11:6443`.
    pub server: Option<String>,
}

impl Access {
    /// Through a given kubeconfig.
    pub fn at(kubeconfig: impl Into<PathBuf>) -> Self {
        Self { kubeconfig: Some(kubeconfig.into()), ..Self::default() }
    }

    /// The same way, but to one server.
    #[must_use]
    pub fn to_server(&self, server: impl Into<String>) -> Self {
        Self { server: Some(server.into()), ..self.clone() }
    }

    /// The kubeconfig that is used.
    ///
    /// # Errors
    /// When none was given and none lies where distributions put it.
    pub fn path(&self) -> Result<PathBuf, Error> {
        let usual = || USUAL.iter().map(Path::new).find(|path| path.exists()).map(Path::to_owned);
        self.kubeconfig.clone().or_else(usual).ok_or_else(|| {
            Error::Access(format!(
                "no kubeconfig was given and there is none of {}",
                USUAL.join(", ")
            ))
        })
    }
}

/// A connection to a cluster. Opening it makes no request.
#[derive(Clone)]
pub struct Cluster {
    pub(crate) client: Client,
    server: String,
}

impl Cluster {
    /// Reads the kubeconfig and prepares the connection.
    ///
    /// # Errors
    /// When the kubeconfig cannot be read or used; no request is made yet.
    pub async fn open(access: &Access) -> Result<Self, Error> {
        let path = access.path()?;
        let at = |why: String| Error::Access(format!("kubeconfig {}: {why}", path.display()));
        let kubeconfig = Kubeconfig::read_from(&path).map_err(|error| at(error.to_string()))?;
        let options =
            KubeConfigOptions { context: access.context.clone(), ..KubeConfigOptions::default() };
        let config = Config::from_custom_kubeconfig(kubeconfig, &options).await;
        let mut config = config.map_err(|error| at(error.to_string()))?;
        if let Some(server) = &access.server {
            let uri = server.parse::<http::Uri>().ok().filter(|uri| uri.host().is_some());
            config.cluster_url = uri.ok_or_else(|| {
                Error::Access(format!(
                    "server {server:?} is no URL such as https://198.18.0.11:6443"
                ))
            })?;
        }
        config.connect_timeout = Some(CONNECT);
        config.default_retry = false;
        let server = config.cluster_url.to_string();
        let client = Client::try_from(config).map_err(|error| at(error.to_string()))?;
        Ok(Self { client, server: server.trim_end_matches('/').to_owned() })
    }

    /// The address of the server that is asked.
    pub fn server(&self) -> &str {
        &self.server
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_kubeconfig_is_named() {
        let run = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let access = Access::at("/nonexistent/admin.conf");
        let error = run.block_on(Cluster::open(&access)).err().unwrap().to_string();
        assert!(error.starts_with("kubeconfig /nonexistent/admin.conf: "), "{error}");
    }
}
