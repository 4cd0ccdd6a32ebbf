//! Asks components how they are, where the kubelet asks them.

use crate::{
    manifest::{Endpoint, Pod},
    state::{Components, Health},
};
use http::Request;
use kube::{Client, Config};
use kube_cluster::{Access, Cluster, chain};
use std::{path::Path, time::Duration};
use tokio::time::{Instant, sleep_until, timeout_at};

/// Between two questions to a component that is not ready.
const AGAIN: Duration = Duration::from_millis(250);

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
    let url =
        address.map_or_else(|| admin.display().to_string(), |at| format!("https://{at}/readyz"));
    let ask = || async {
        let cluster = Cluster::open(&access).await.map_err(|error| error.to_string())?;
        cluster.readyz().await.map_err(|error| error.to_string())?
    };
    said(url, settle(patience, ask).await)
}

/// Without verification: the controller-manager and the scheduler make certificates for themselves that nobody has signed. Nothing is shown to them either.
async fn health(at: &Endpoint, patience: Duration) -> Health {
    let ask = || async {
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
        Err(format!(
            "status {}: {}",
            head.status.as_u16(),
            failed(&String::from_utf8_lossy(&bytes))
        ))
    };
    said(at.url(), settle(patience, ask).await)
}

/// Asks until the answer is yes or the time is up: a component that was just restarted, or waits for the next leader, is not a broken one.
async fn settle<F>(patience: Duration, mut ask: impl FnMut() -> F) -> Result<(), String>
where
    F: Future<Output = Result<(), String>>,
{
    let until = Instant::now() + patience;
    let mut last = None;
    loop {
        match timeout_at(until, ask()).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(why)) if Instant::now() >= until => return Err(why),
            Ok(Err(why)) => last = Some(why),
            Err(_) => return Err(last.unwrap_or_else(|| late(patience))),
        }
        sleep_until((Instant::now() + AGAIN).min(until)).await;
    }
}

/// The checks that failed, on one line; all of it where it names none.
fn failed(text: &str) -> String {
    let checks: Vec<_> = text.lines().filter(|line| line.starts_with("[-]")).collect();
    let shown = if checks.is_empty() {
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    } else {
        checks.join("; ")
    };
    shown.chars().take(300).collect()
}

fn late(patience: Duration) -> String {
    format!("no answer within {} s", patience.as_secs_f64())
}

fn said(url: String, answer: Result<(), String>) -> Health {
    Health { ready: answer.is_ok(), why: answer.err(), url }
}
