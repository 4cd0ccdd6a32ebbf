//! The few objects a join needs, over the Kubernetes API.
//!
//! Secrets of others are read by their metadata alone; of a token of our own the content is read, to compare it.

use anyhow::{Context, Result, anyhow, bail};
use http::{Method, Request, StatusCode};
use kube::{
    Client, Config,
    client::Body,
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::{Value, json};
use std::{path::Path, time::Duration};

const SYSTEM: &str = "/api/v1/namespaces/kube-system";
const ANSWER: Duration = Duration::from_secs(15);

/// How an answer is asked for. An apiserver refuses the form of an object for a list, and the other way round.
#[derive(Clone, Copy)]
enum Form {
    Whole,
    Metadata,
    MetadataList,
}

impl Form {
    fn accept(self) -> &'static str {
        match self {
            Self::Whole => "application/json",
            Self::Metadata => "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1",
            Self::MetadataList => {
                "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
            }
        }
    }
}

/// The label that names the node a token was made for.
pub(crate) const FOR_NODE: &str = "quorate.controlplane/join";
/// The annotation with the hash of the key that the certificates were encrypted with. The key has 256 random bits: its hash gives nothing away.
pub(crate) const KEY_HASH: &str = "quorate.controlplane/key-sha256";
/// The annotation with the time of the upload.
pub(crate) const UPLOADED: &str = "quorate.controlplane/uploaded";

/// A connection to one apiserver.
pub(crate) struct Api {
    client: Client,
}

impl Api {
    pub(crate) async fn open(kubeconfig: &Path) -> Result<Self> {
        let at = || format!("use kubeconfig {}", kubeconfig.display());
        let read = Kubeconfig::read_from(kubeconfig).with_context(at)?;
        let mut config = Config::from_custom_kubeconfig(read, &KubeConfigOptions::default())
            .await
            .with_context(at)?;
        config.connect_timeout = Some(Duration::from_secs(5));
        Ok(Self { client: Client::try_from(config).with_context(at)? })
    }

    /// `data` of a ConfigMap.
    pub(crate) async fn config_map(&self, namespace: &str, name: &str) -> Result<Option<Value>> {
        let path = format!("/api/v1/namespaces/{namespace}/configmaps/{name}");
        Ok(self
            .call(Method::GET, &path, None, Form::Whole)
            .await?
            .map(|map| map.get("data").cloned().unwrap_or_default()))
    }

    /// The apiserver's version, as `v1.36.3`.
    pub(crate) async fn version(&self) -> Result<String> {
        let version = self.call(Method::GET, "/version", None, Form::Whole).await?;
        let read = version.as_ref().and_then(|version| version.get("gitVersion")?.as_str());
        read.map(str::to_owned).context("GET /version: no gitVersion in the answer")
    }

    /// Everything of a bootstrap token.
    pub(crate) async fn token(&self, id: &str) -> Result<Option<Value>> {
        self.call(Method::GET, &format!("{SYSTEM}/secrets/bootstrap-token-{id}"), None, Form::Whole)
            .await
    }

    /// `metadata` of a Secret in kube-system, and nothing else of it.
    pub(crate) async fn secret_metadata(&self, name: &str) -> Result<Option<Value>> {
        let secret = self
            .call(Method::GET, &format!("{SYSTEM}/secrets/{name}"), None, Form::Metadata)
            .await?;
        Ok(secret.and_then(|secret| secret.get("metadata").cloned()))
    }

    /// Ids of the tokens that were made for a node.
    pub(crate) async fn tokens_for(&self, node: &str) -> Result<Vec<String>> {
        let path =
            format!("{SYSTEM}/secrets?labelSelector={}%3D{node}", FOR_NODE.replace('/', "%2F"));
        let list =
            self.call(Method::GET, &path, None, Form::MetadataList).await?.unwrap_or_default();
        let items = list.get("items").and_then(Value::as_array).into_iter().flatten();
        let names = items.filter_map(|item| {
            item.pointer("/metadata/name")?.as_str()?.strip_prefix("bootstrap-token-")
        });
        Ok(names.map(str::to_owned).collect())
    }

    /// Creates a Secret, or merges into the one that is there.
    pub(crate) async fn put_secret(&self, name: &str, secret: &Value) -> Result<()> {
        let path = format!("{SYSTEM}/secrets/{name}");
        if self.call(Method::PATCH, &path, Some(secret), Form::Metadata).await?.is_none() {
            self.call(Method::POST, &format!("{SYSTEM}/secrets"), Some(secret), Form::Metadata)
                .await?;
        }
        Ok(())
    }

    /// Merges into a Secret that is there.
    pub(crate) async fn annotate_secret(&self, name: &str, annotations: &Value) -> Result<()> {
        let part = json!({"metadata": {"annotations": annotations}});
        let found = self
            .call(Method::PATCH, &format!("{SYSTEM}/secrets/{name}"), Some(&part), Form::Metadata)
            .await?;
        found.map(drop).with_context(|| format!("annotate Secret kube-system/{name}: it is gone"))
    }

    /// Deletes a Secret; one that is gone is no error.
    pub(crate) async fn delete_secret(&self, name: &str) -> Result<()> {
        self.call(Method::DELETE, &format!("{SYSTEM}/secrets/{name}"), None, Form::Metadata)
            .await
            .map(drop)
    }

    /// One call; none when there is no such object.
    async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        form: Form,
    ) -> Result<Option<Value>> {
        let call = format!("{method} {}", path.split('?').next().unwrap_or(path));
        let kind = if method == Method::PATCH {
            "application/merge-patch+json"
        } else {
            "application/json"
        };
        let request = Request::builder().method(method).uri(path).header("content-type", kind);
        let request = request.header("accept", form.accept());
        let bytes = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
        let request = request.body(Body::from(bytes)).with_context(|| call.clone())?;
        let answer = async {
            let (head, body) = self.client.send(request).await?.into_parts();
            Ok::<_, kube::Error>((head.status, body.collect_bytes().await?))
        };
        let answer = tokio::time::timeout(ANSWER, answer)
            .await
            .map_err(|_| anyhow!("{call}: no answer within {} s", ANSWER.as_secs()))?;
        let (status, bytes) = answer.with_context(|| call.clone())?;
        if status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        if !status.is_success() {
            // The server's words name fields, and repeat values of the request at most: those are scrubbed.
            let told: Value = serde_json::from_slice(&bytes).unwrap_or_default();
            bail!(
                "{call}: {status}: {}",
                told.get("message").and_then(Value::as_str).unwrap_or_default()
            );
        }
        Ok(Some(
            serde_json::from_slice(&bytes)
                .with_context(|| format!("{call}: the answer is not JSON"))?,
        ))
    }
}
