//! One request and its answer, and everything that can be wrong with it.

use crate::{Cluster, Timestamp};
use http::{HeaderMap, Method, Request, StatusCode};
use k8s_openapi::jiff::fmt::rfc2822;
use kube::{client::Body, core::Status};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{collections::BTreeMap, fmt, time::Duration};
use tokio::time::Instant;

/// Longer than an etcd election (k3s: 5 to 7 s), so that a call survives one.
const ANSWER: Duration = Duration::from_secs(15);
/// A read is repeated for this long: a load balancer cuts the connections of a server that it takes out, and etcd has elections.
const READ_AGAIN: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(250);
/// Asks for an object's metadata alone.
const METADATA_ONLY: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,\
                             application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";

/// Why a call has no usable answer. `call` is the method and the path, which names the object.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Error {
    /// The kubeconfig or the server's address cannot be used.
    Access(String),
    /// No answer: whether the call took effect is unknown.
    Unreachable {
        /// Method and path.
        call: String,
        /// What stood in the way.
        why: String,
    },
    /// 404.
    NotFound {
        /// Method and path.
        call: String,
    },
    /// 409: a precondition did not hold, or the name is taken.
    Conflict {
        /// Method and path.
        call: String,
        /// The server's words.
        why: String,
    },
    /// 429: not now.
    NotNow {
        /// Method and path.
        call: String,
        /// The server's words, the causes included.
        why: String,
        /// When the server wants to be asked again.
        after: Option<Duration>,
    },
    /// Any other error status.
    Denied {
        /// Method and path.
        call: String,
        /// The HTTP status.
        status: u16,
        /// The server's words.
        why: String,
    },
    /// An answer that is not what was asked for.
    Garbled {
        /// Method and path.
        call: String,
        /// What is wrong with it.
        why: String,
    },
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Access(why) => f.write_str(why),
            Self::Unreachable { call, why } => write!(f, "{call}: no answer: {why}"),
            Self::NotFound { call } => write!(f, "{call}: not found"),
            Self::Conflict { call, why } => write!(f, "{call}: conflict: {why}"),
            Self::NotNow { call, why, .. } => write!(f, "{call}: not now: {why}"),
            Self::Denied { call, status, why } => write!(f, "{call}: status {status}: {why}"),
            Self::Garbled { call, why } => write!(f, "{call}: unexpected answer: {why}"),
        }
    }
}

impl std::error::Error for Error {}

impl Error {
    /// Whether the same call may soon get another answer. Whether it may be repeated is another question.
    pub fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::NotNow { .. } => true,
            Self::Denied { status, .. } => (500..=504).contains(status),
            _ => false,
        }
    }
}

/// An answer, and the server's clock when it was given.
pub(crate) struct Answer<T> {
    pub value: T,
    /// To the second. Ages are judged by the server's clock, because the one of the host a module runs on may be off by hours.
    pub date: Option<Timestamp>,
}

/// What can be asked of an answer's form.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Whole,
    Metadata,
}

impl Cluster {
    /// Reads an object or a list.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        Ok(self.exchange(Method::GET, path, None, Form::Whole).await?.value)
    }

    /// Reads an object or a list, and the server's clock.
    pub(crate) async fn get_dated<T: DeserializeOwned>(
        &self,
        path: &str,
    ) -> Result<Answer<T>, Error> {
        self.exchange(Method::GET, path, None, Form::Whole).await
    }

    /// Reads an object's metadata and nothing else of it.
    pub(crate) async fn get_metadata<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        Ok(self.exchange(Method::GET, path, None, Form::Metadata).await?.value)
    }

    /// Creates an object, or calls a subresource.
    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &serde_json::Value,
    ) -> Result<T, Error> {
        Ok(self.exchange(Method::POST, path, Some(body), Form::Whole).await?.value)
    }

    /// Merges a part into an object. A `metadata.resourceVersion` or `metadata.uid` in it is a precondition.
    pub(crate) async fn merge<T: DeserializeOwned>(
        &self,
        path: &str,
        part: &serde_json::Value,
    ) -> Result<T, Error> {
        Ok(self.exchange(Method::PATCH, path, Some(part), Form::Whole).await?.value)
    }

    /// Deletes an object if it has this UID.
    pub(crate) async fn delete(&self, path: &str, uid: &str) -> Result<(), Error> {
        let options = serde_json::json!({"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": uid}});
        let answer = self.exchange(Method::DELETE, path, Some(&options), Form::Whole).await;
        answer.map(|_: Answer<serde::de::IgnoredAny>| ())
    }

    /// The text at a path, whatever it is, with its status.
    pub(crate) async fn text(&self, path: &str) -> Result<(StatusCode, String), Error> {
        let (status, _, bytes) = self.send(Method::GET, path, None, Form::Whole).await?;
        Ok((status, String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// Reads are repeated, changes never: whether one took effect is for the caller to see.
    async fn exchange<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&serde_json::Value>,
        form: Form,
    ) -> Result<Answer<T>, Error> {
        let since = Instant::now();
        loop {
            match self.exchange_once(method.clone(), path, body, form).await {
                Err(error)
                    if method == Method::GET
                        && error.may_pass()
                        && since.elapsed() < READ_AGAIN =>
                {
                    tokio::time::sleep(PAUSE).await;
                }
                answer => return answer,
            }
        }
    }

    async fn exchange_once<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&serde_json::Value>,
        form: Form,
    ) -> Result<Answer<T>, Error> {
        let call = format!("{method} {}", path.split('?').next().unwrap_or(path));
        let (status, headers, bytes) = self.send(method, path, body, form).await?;
        if !status.is_success() {
            return Err(failure(call, status, &headers, &bytes));
        }
        let value = serde_json::from_slice(&bytes);
        let value = value.map_err(|error| Error::Garbled { call, why: error.to_string() })?;
        Ok(Answer { value, date: date(&headers) })
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&serde_json::Value>,
        form: Form,
    ) -> Result<(StatusCode, HeaderMap, Vec<u8>), Error> {
        let call = format!("{method} {}", path.split('?').next().unwrap_or(path));
        let kind = if method == Method::PATCH {
            "application/merge-patch+json"
        } else {
            "application/json"
        };
        let accept = if form == Form::Metadata { METADATA_ONLY } else { "application/json" };
        let request = Request::builder().method(method).uri(path);
        let request = request.header("accept", accept).header("content-type", kind);
        let bytes = body.map(|body| body.to_string().into_bytes()).unwrap_or_default();
        let request = request.body(Body::from(bytes));
        let request = request
            .map_err(|error| Error::Garbled { call: call.clone(), why: error.to_string() })?;
        let answer = async {
            let (head, body) = self.client.send(request).await?.into_parts();
            Ok::<_, kube::Error>((head, body.collect_bytes().await?))
        };
        let lost = |why: String| Error::Unreachable { call: call.clone(), why };
        match tokio::time::timeout(ANSWER, answer).await {
            Ok(Ok((head, bytes))) => Ok((head.status, head.headers, bytes.to_vec())),
            Ok(Err(error)) => Err(lost(format!("{}: {}", self.server(), chain(&error)))),
            Err(_) => Err(lost(format!("{}: none within {} s", self.server(), ANSWER.as_secs()))),
        }
    }
}

/// An error of kube with its causes, each said once: its own wording says "`ServiceError`" and leaves the reason in the chain.
pub fn chain(error: &dyn std::error::Error) -> String {
    let outermost = error.to_string();
    let mut texts = vec![outermost.trim_start_matches("ServiceError: ").to_owned()];
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

/// What an error status means.
fn failure(call: String, status: StatusCode, headers: &HeaderMap, bytes: &[u8]) -> Error {
    let told = serde_json::from_slice::<Status>(bytes).unwrap_or_else(|_| {
        Status::failure(
            String::from_utf8_lossy(bytes).chars().take(200).collect::<String>().trim(),
            "",
        )
    });
    let causes = told.details.iter().flat_map(|details| &details.causes);
    let causes: Vec<_> = causes.map(|cause| cause.message.clone()).collect();
    let mut why = told.message.clone();
    if !causes.is_empty() && !causes.iter().any(|cause| why.contains(cause.as_str())) {
        why = format!("{why} {}", causes.join(" "));
    }
    let header = headers.get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
    let field = told.details.as_ref().map(|details| u64::from(details.retry_after_seconds));
    let after = field.filter(|seconds| *seconds > 0).or(header).map(Duration::from_secs);
    match status.as_u16() {
        404 => Error::NotFound { call },
        409 => Error::Conflict { call, why },
        // A patch that names the UID of an object that was replaced meanwhile.
        422 if why.contains("metadata.uid: Invalid value") => Error::Conflict { call, why },
        429 => Error::NotNow { call, why, after },
        status => Error::Denied { call, status, why },
    }
}

fn date(headers: &HeaderMap) -> Option<Timestamp> {
    let text = headers.get("date")?.to_str().ok()?;
    Some(rfc2822::parse(text).ok()?.timestamp())
}

/// `metadata`, as far as it is used.
#[derive(Deserialize, Serialize, Clone, PartialEq, Eq, Debug, Default)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Meta {
    pub name: String,
    pub namespace: String,
    pub uid: String,
    pub resource_version: String,
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
    pub finalizers: Vec<String>,
    pub deletion_timestamp: Option<String>,
    pub owner_references: Vec<OwnerReference>,
}

/// Who an object belongs to.
#[derive(Deserialize, Serialize, Clone, PartialEq, Eq, Debug, Default)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct OwnerReference {
    pub kind: String,
    pub name: String,
    pub controller: Option<bool>,
}

/// A list of objects.
#[derive(Deserialize)]
pub(crate) struct List<T> {
    pub items: Vec<T>,
}

/// An object of which the metadata is used alone.
#[derive(Deserialize)]
pub(crate) struct Bare {
    pub metadata: Meta,
}

/// A condition of a node or pod.
#[derive(Deserialize, Clone, Debug, Default)]
#[serde(default)]
pub(crate) struct Condition {
    #[serde(rename = "type")]
    pub kind: String,
    pub status: String,
    pub reason: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        [(http::HeaderName::from_static(name), value.parse().unwrap())].into_iter().collect()
    }

    #[test]
    fn the_servers_clock_is_read() {
        let read = date(&headers("date", "Sat, 21 Nov 2026 07:59:01 GMT")).unwrap();
        assert_eq!(read.to_string(), "2026-11-21T07:59:01Z");
    }

    #[test]
    fn a_budget_is_named_and_the_servers_delay_kept() {
        let body = serde_json::json!({"kind": "Status", "status": "Failure", "code": 429, "reason": "TooManyRequests",
            "message": "Cannot evict pod as it would violate the pod's disruption budget.",
            "details": {"retryAfterSeconds": 10, "causes": [{"reason": "DisruptionBudget", "message": "The disruption budget web needs 2 healthy pods and has 2 currently"}]}});
        let error = failure(
            "POST /x".into(),
            StatusCode::TOO_MANY_REQUESTS,
            &HeaderMap::new(),
            body.to_string().as_bytes(),
        );
        let Error::NotNow { why, after, .. } = error else { panic!("{error}") };
        assert!(
            why.ends_with("The disruption budget web needs 2 healthy pods and has 2 currently"),
            "{why}"
        );
        assert_eq!(after, Some(Duration::from_secs(10)));
    }

    #[test]
    fn an_overloaded_server_says_when_in_a_header() {
        let error = failure(
            "GET /x".into(),
            StatusCode::TOO_MANY_REQUESTS,
            &headers("retry-after", "3"),
            b"Too many requests, please try again later.",
        );
        let Error::NotNow { why, after, .. } = error else { panic!("{error}") };
        assert_eq!(
            (why.as_str(), after),
            ("Too many requests, please try again later.", Some(Duration::from_secs(3)))
        );
    }
}
