//! Asks components how they are, where the kubelet asks them.

use crate::{
    manifest::{Endpoint, Pod},
    state::{Components, Health},
};
use http::Request;
use kube::{Client, Config};
use kube_cluster::{Access, Cluster};
use std::{path::Path, time::Duration};
use tokio::time::timeout;

/// The manifests of the four, where there are some.
#[derive(Default)]
pub struct Pods {
    /// kube-apiserver.
    pub apiserver: Option<Pod>,
    /// kube-controller-manager.
    pub controller_manager: Option<Pod>,
    /// kube-scheduler.
    pub scheduler: Option<Pod>,
    /// etcd.
    pub etcd: Option<Pod>,
}

/// Asks all of them at once.
pub async fn kubeadm(pods: &Pods, admin: &Path, patience: Duration) -> Components {
    let at = |pod: &Option<Pod>, port: u16, path: &str| {
        let read = pod.as_ref().and_then(Pod::endpoint);
        read.unwrap_or_else(|| Endpoint::local("https", port, path))
    };
    let server = at(&pods.apiserver, 6443, "/readyz");
    let manager = at(&pods.controller_manager, 10257, "/healthz");
    let scheduler = at(&pods.scheduler, 10259, "/readyz");
    let kubelet = Endpoint::local("http", 10248, "/healthz");
    let etcd = pods
        .etcd
        .as_ref()
        .map(|pod| pod.endpoint().unwrap_or_else(|| Endpoint::local("http", 2381, "/readyz")));
    let (apiserver, controller_manager, scheduler, kubelet, etcd) = tokio::join!(
        apiserver(admin, Some(&server.address), patience),
        health(&manager, patience),
        health(&scheduler, patience),
        health(&kubelet, patience),
        async {
            match &etcd {
                Some(etcd) => Some(health(etcd, patience).await),
                None => None,
            }
        },
    );
    Components {
        apiserver: Some(apiserver),
        controller_manager: Some(controller_manager),
        scheduler: Some(scheduler),
        kubelet: Some(kubelet),
        etcd,
    }
}

/// Asks the apiserver of a k3s server, in whose process all others run.
pub async fn k3s(admin: &Path, patience: Duration) -> Components {
    Components { apiserver: Some(apiserver(admin, None, patience).await), ..Components::default() }
}

/// With the administrator's certificate, because an apiserver may answer nobody else; its own is verified.
async fn apiserver(admin: &Path, address: Option<&str>, patience: Duration) -> Health {
    let access = Access::at(admin);
    let access = match address {
        Some(address) => access.to_server(format!("https://{address}")),
        None => access,
    };
    let asked = async {
        let cluster = Cluster::open(&access).await.map_err(|error| error.to_string())?;
        let url = cluster.server().to_owned();
        let answer = cluster.readyz().await.map_err(|error| error.to_string());
        Ok::<_, String>((url, answer.and_then(|answer| answer)))
    };
    let url = address.map_or_else(|| admin.display().to_string(), |at| format!("https://{at}"));
    match timeout(patience, asked).await {
        Ok(Ok((url, answer))) => said(format!("{url}/readyz"), answer),
        Ok(Err(why)) => said(url, Err(why)),
        Err(_) => said(url, Err(late(patience))),
    }
}

/// Without verification: the controller-manager and the scheduler make certificates for themselves that nobody has signed. Nothing is shown to them either.
async fn health(at: &Endpoint, patience: Duration) -> Health {
    let asked = async {
        let url = format!("{}://{}", at.scheme, at.address);
        let mut config = Config::new(url.parse().map_err(|_| "no usable address".to_owned())?);
        config.accept_invalid_certs = true;
        config.default_retry = false;
        config.connect_timeout = Some(patience);
        let client = Client::try_from(config).map_err(|error| chain(&error))?;
        let request = Request::get(at.path.as_str()).body(kube::client::Body::empty());
        let request = request.map_err(|error| error.to_string())?;
        let (head, body) = client.send(request).await.map_err(|error| chain(&error))?.into_parts();
        let bytes = body.collect_bytes().await.map_err(|error| chain(&error))?;
        if head.status.is_success() {
            return Ok(());
        }
        let text: String = String::from_utf8_lossy(&bytes).chars().take(300).collect();
        Err(format!("status {}: {}", head.status.as_u16(), text.trim()))
    };
    let answer = timeout(patience, asked).await.unwrap_or_else(|_| Err(late(patience)));
    said(at.url(), answer)
}

fn late(patience: Duration) -> String {
    format!("no answer within {} s", patience.as_secs_f64())
}

fn said(url: String, answer: Result<(), String>) -> Health {
    Health { ready: answer.is_ok(), why: answer.err(), url }
}

/// An error with its causes; the outermost often says only that there is one.
fn chain(error: &dyn std::error::Error) -> String {
    let mut texts = vec![error.to_string()];
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !texts.iter().any(|known| known.contains(&text)) {
            texts.push(text);
        }
        cause = error.source();
    }
    texts.join(": ")
}
