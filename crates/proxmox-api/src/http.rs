//! Requests and answers.

use crate::{Access, Error, Upid, json::text, tls, wire::Reason};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
    sync::{Mutex, PoisonError},
    time::Duration,
};
use ureq::{
    Agent, Body,
    http::{Response, header::AUTHORIZATION},
    unversioned::{resolver::DefaultResolver, transport::Connector, transport::DefaultConnector},
};

/// What a call returns.
pub type Reply<T> = Result<T, Error>;

/// PVE's own proxy gives another node 30 seconds.
const ANSWER: Duration = Duration::from_secs(35);
const CONNECT: Duration = Duration::from_secs(10);

/// A connection to one API. Blocking; one call at a time.
pub struct Http {
    agent: Agent,
    base: String,
    token: String,
    reason: Reason,
    /// One call at a time, so that a reason phrase belongs to its answer.
    turn: Mutex<()>,
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}", self.base)
    }
}

impl Http {
    /// Prepares a client; connects to nothing yet.
    pub fn new(access: &Access) -> Reply<Self> {
        let reason = Reason::default();
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .max_redirects(0)
            .timeout_connect(Some(CONNECT))
            .timeout_global(Some(ANSWER))
            .user_agent(concat!("quorate/", env!("CARGO_PKG_VERSION")))
            .tls_config(tls::config(access.ca.as_ref(), access.verify)?)
            .build();
        let agent = Agent::with_parts(
            config,
            DefaultConnector::default().chain(reason.clone()),
            DefaultResolver::default(),
        );
        let host = if access.host.contains(':') && !access.host.starts_with('[') {
            format!("[{}]", access.host)
        } else {
            access.host.clone()
        };
        let id = access.token_id.rsplit('!').next().unwrap_or_default();
        let token = format!("PVEAPIToken={}!{id}={}", access.user, access.token_secret);
        Ok(Self {
            agent,
            base: format!("https://{host}:{}/api2/json", access.port),
            token,
            reason,
            turn: Mutex::new(()),
        })
    }

    /// Reads.
    pub fn get(&self, path: &str, query: &[(&str, &str)]) -> Reply<Value> {
        let url = format!("{}{path}", self.base);
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let request = self
            .agent
            .get(&url)
            .query_pairs(query.iter().copied())
            .header(AUTHORIZATION, &self.token);
        self.answer(&format!("GET {path}"), request.call())
    }

    /// Changes; most changes are tasks, and those that are done at once name none.
    pub fn change(&self, method: &str, path: &str, form: &[(&str, &str)]) -> Reply<Option<Upid>> {
        let url = format!("{}{path}", self.base);
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let request = if method == "PUT" { self.agent.put(&url) } else { self.agent.post(&url) };
        let call = format!("{method} {path}");
        let data = self.answer(
            &call,
            request.header(AUTHORIZATION, &self.token).send_form(form.iter().copied()),
        )?;
        // Some calls answered null on older versions: then the work was done before the answer.
        data.as_str()
            .map(|upid| upid.parse().map_err(|why| Error::Garbled { call, why }))
            .transpose()
    }

    fn answer(&self, call: &str, answer: Result<Response<Body>, ureq::Error>) -> Reply<Value> {
        let unreachable = |error: ureq::Error| Error::Unreachable {
            call: call.to_owned(),
            why: format!("{}: {error}", self.base),
        };
        let mut answer = answer.map_err(unreachable)?;
        let (status, reason) = (answer.status().as_u16(), self.reason.take());
        let body = answer.body_mut().read_to_string().map_err(unreachable)?;
        let json: Option<Value> = serde_json::from_str(&body).ok();
        if !(200..300).contains(&status) {
            return Err(refused(call, status, &reason, json.as_ref()));
        }
        let data = json.and_then(|mut json| json.get_mut("data").map(Value::take));
        data.ok_or_else(|| Error::Garbled {
            call: call.to_owned(),
            why: format!("{} bytes without data", body.len()),
        })
    }
}

fn refused(call: &str, status: u16, reason: &str, body: Option<&Value>) -> Error {
    let message =
        body.and_then(|body| text(body, "message")).map(|message| message.trim().to_owned());
    let fields = body.and_then(|body| body.get("errors")?.as_object()).into_iter().flatten();
    let fields: BTreeMap<_, _> = fields
        .filter_map(|(key, why)| Some((key.clone(), why.as_str()?.trim().to_owned())))
        .collect();
    Error::Refused {
        call: call.to_owned(),
        status,
        text: message.filter(|message| !message.is_empty()).unwrap_or_else(|| reason.to_owned()),
        fields,
    }
}

/// Percent-encodes a path segment.
pub fn encode(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(byte.into());
        } else {
            _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_old_version_says_it_in_the_reason_phrase_only() {
        let error =
            |body: &Value| refused("POST /x", 500, "VM is locked (backup)", Some(body)).to_string();
        assert_eq!(error(&json!({"data": null})), "POST /x: 500 VM is locked (backup)");
        assert_eq!(
            error(&json!({"data": null, "message": "the whole text\n"})),
            "POST /x: 500 the whole text"
        );
        let errors =
            json!({"data": null, "errors": {"size": "value does not match the regex pattern\n"}});
        assert_eq!(
            error(&errors),
            "POST /x: 500 VM is locked (backup); size: value does not match the regex pattern"
        );
    }

    #[test]
    fn task_ids_are_path_segments() {
        assert_eq!(encode("UPID:pve1:a@pve!t:"), "UPID%3Apve1%3Aa%40pve%21t%3A");
    }

    #[test]
    fn a_client_does_not_show_its_token() {
        let access = Access {
            host: "::1".into(),
            port: 8006,
            user: "a@pve".into(),
            token_id: "a@pve!t".into(),
            token_secret: "s3cret".into(),
            ca: None,
            verify: false,
        };
        let client = Http::new(&access).unwrap();
        assert_eq!(format!("{client:?}"), "https://[::1]:8006/api2/json");
        assert_eq!(client.token, "PVEAPIToken=a@pve!t=s3cret");
    }

    /// Answers one request over plain HTTP with these bytes.
    fn answered(bytes: &'static str) -> Reply<Value> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let access = Access {
            host: "127.0.0.1".into(),
            port: 1,
            user: "a@pve".into(),
            token_id: "t".into(),
            token_secret: "s".into(),
            ca: None,
            verify: false,
        };
        let mut http = Http::new(&access).unwrap();
        http.base = format!("http://{}/api2/json", listener.local_addr().unwrap());
        let server = std::thread::spawn(move || {
            use std::io::{BufRead, BufReader, Write};
            let (mut stream, _) = listener.accept().unwrap();
            let lines = BufReader::new(stream.try_clone().unwrap()).lines();
            lines.map_while(Result::ok).take_while(|line| !line.is_empty()).for_each(drop);
            stream.write_all(bytes.as_bytes()).unwrap();
        });
        let answer = http.get("/version", &[]);
        server.join().unwrap();
        answer
    }

    #[test]
    fn the_reason_phrase_survives_the_transport() {
        let error = answered("HTTP/1.1 500 got no worker upid - start worker failed\r\nContent-Length: 13\r\n\r\n{\"data\":null}").unwrap_err();
        assert_eq!(error.to_string(), "GET /version: 500 got no worker upid - start worker failed");
        assert_eq!(
            answered("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{\"data\":7}").unwrap(),
            json!(7)
        );
    }

    #[test]
    fn a_page_of_a_proxy_is_no_answer() {
        let error = answered("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>").unwrap_err();
        assert_eq!(error.to_string(), "GET /version: not understood: 6 bytes without data");
        let error = answered("HTTP/1.1 200 OK\r\nContent-Length: 60\r\n\r\n{").unwrap_err();
        assert_eq!(error.class(), crate::Class::Unknown);
    }
}
