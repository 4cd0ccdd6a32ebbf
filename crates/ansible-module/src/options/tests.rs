use super::*;
use crate::{BadArgs, Secret};
use serde_json::json;

/// Removes a member from an etcd cluster.
#[derive(crate::Options, Debug)]
#[options(
    required_if = "state=absent:name|id",
    mutually_exclusive = "id|peer",
    required_by = "password:user"
)]
struct Args {
    /// Name of the member.
    #[option(alias = "member")]
    name: Option<String>,
    /// Its id, as hexadecimal.
    id: Option<String>,
    /// Its peer address.
    peer: Option<String>,
    /// What to reach.
    #[option(default = "absent")]
    state: State,
    /// Where to reach the cluster.
    ///
    /// Any member but the one that goes.
    endpoints: Vec<String>,
    /// Ports to try.
    ports: Vec<u16>,
    /// Who asks.
    user: Option<String>,
    /// Password of the key.
    password: Option<Secret>,
    /// Moves leadership away first.
    #[option(default = "yes")]
    move_leader: bool,
    /// How long the whole may take.
    #[option(default = "5m")]
    timeout: Seconds,
    /// How to trust it.
    tls: Option<Tls>,
}

/// How to reach it.
#[derive(crate::Options, Debug)]
#[options(required_together = "host,port", mutually_exclusive = "host|socket")]
struct Place {
    /// A host.
    #[option(alias = "address")]
    host: Option<String>,
    /// Its port.
    port: Option<u16>,
    /// A socket.
    socket: Option<String>,
    /// Who asks.
    #[option(default = "root")]
    user: String,
}

/// Waits.
#[derive(crate::Options, Debug)]
#[options(required_one_of = "name|id")]
struct Wait {
    /// Its name.
    name: Option<String>,
    /// Who waits.
    ///
    /// It needs no rights.
    #[option(include, documents = "user")]
    place: Place,
    /// Its id.
    id: Option<u32>,
}

/// States.
#[derive(crate::Options, Debug, PartialEq)]
enum State {
    /// The member is not listed.
    Absent,
    /// The member has a vote.
    HasVote,
}

/// Certificates.
#[derive(crate::Options, Debug)]
struct Tls {
    /// Authority.
    #[option(alias = "ca_cert")]
    ca: String,
    /// How strict.
    mode: Option<State>,
}

fn args(value: &crate::Json) -> Result<Args, String> {
    Args::decode(&At::ROOT, value).map_err(|error: BadArgs| error.text("x.y.member"))
}

#[test]
fn values_are_read_leniently_both_ways() {
    let args = args(&json!({"member": 7, "endpoints": "a, b", "ports": [1, "2"], "move_leader": "off", "timeout": "1h30m", "tls": "ca_cert=/x"})).unwrap();
    assert_eq!(
        (args.name.as_deref(), args.endpoints.len(), args.move_leader),
        (Some("7"), 2, false)
    );
    assert_eq!(
        (args.state, args.timeout.0.as_secs(), args.ports),
        (State::Absent, 5400, vec![1, 2])
    );
    let tls = args.tls.unwrap();
    assert_eq!((tls.ca.as_str(), tls.mode), ("/x", None));
    assert!(
        args.id.is_none() && args.peer.is_none() && args.user.is_none() && args.password.is_none()
    );
}

#[test]
fn errors_are_those_of_ansible() {
    let cases = [
        (json!({}), "state is absent but any of the following are missing: name, id"),
        (json!({"state": "x", "id": 1}), "value of state must be one of: absent, has_vote, got: x"),
        (
            json!({"nm": 1, "a": 2}),
            "state is absent but any of the following are missing: name, id",
        ),
        (
            json!({"id": 1, "nm": 1, "a": 2}),
            "Unsupported parameters for (x.y.member) module: a, nm. Supported parameters include: endpoints, id, move_leader, name (member), password, peer, ports, state, timeout, tls, user.",
        ),
        (json!({"id": 1, "peer": 2}), "parameters are mutually exclusive: id|peer"),
        (json!({"id": 1, "tls": {}}), "missing required arguments: ca found in tls"),
        (
            json!({"id": 1, "tls": {"ca": 1, "mode": "z"}}),
            "value of mode must be one of: absent, has_vote, got: z found in tls",
        ),
        (json!({"id": 1, "tls": {"q": 1}}), "missing required arguments: ca found in tls"),
        (
            json!({"id": 1, "tls": {"ca": 1, "q": 1}}),
            "Unsupported parameters for (x.y.member) module: tls.q. Supported parameters include: ca (ca_cert), mode.",
        ),
        (json!({"id": 1, "password": "pass"}), "missing parameter(s) required by 'password': user"),
        (
            json!({"id": 1, "ports": ["x"]}),
            "Elements value for option 'ports' is of type str and we were unable to convert to int: \"'x'\" cannot be converted to an int",
        ),
        (
            json!({"id": 1, "move_leader": [1]}),
            "argument 'move_leader' is of type list and we were unable to convert to bool: <class 'list'> cannot be converted to a bool",
        ),
        (
            json!({"id": 1, "tls": 5}),
            "argument 'tls' is of type int and we were unable to convert to dict: <class 'int'> cannot be converted to a dict",
        ),
        (
            json!({"id": 1, "tls": "x"}),
            "argument 'tls' is of type str and we were unable to convert to dict: dictionary requested, could not parse JSON or key=value",
        ),
        (
            json!({"state": {"a": [true, null]}}),
            "value of state must be one of: absent, has_vote, got: {'a': [True, None]}",
        ),
    ];
    for (given, expected) in cases {
        assert_eq!(args(&given).unwrap_err(), expected, "{given}");
    }
}

#[test]
fn the_table_documents_itself() {
    let spec = spec::options(Args::TABLE);
    assert_eq!(
        spec["move_leader"],
        json!({"type": "bool", "description": ["Moves leadership away first."], "default": true})
    );
    assert_eq!(spec["name"]["aliases"], json!(["member"]));
    assert_eq!(spec["password"]["no_log"], json!(true));
    assert_eq!(
        spec["endpoints"]["description"],
        json!(["Where to reach the cluster.", "Any member but the one that goes."])
    );
    assert_eq!(spec["tls"]["suboptions"]["ca"]["required"], json!(true));
    assert_eq!(
        spec::rules(Args::RULES)["required_if"],
        json!([["state", "absent", ["name", "id"], true]])
    );
}

#[test]
fn spans_and_sizes_have_units() {
    let span =
        |text: &str| Seconds::decode(&At::ROOT, &text.into()).map(|span| span.0.as_secs()).ok();
    assert_eq!(
        [span("90"), span("2m"), span("1d"), span("1h5"), span("x"), span("")],
        [Some(90), Some(120), Some(86400), None, None, None]
    );
    let size = |text: &str| Bytes::decode(&At::ROOT, &text.into()).map(|size| size.0).ok();
    assert_eq!(
        [size("512"), size("2K"), size("32GiB"), size("1T"), size("-1")],
        [Some(512), Some(2048), Some(32 << 30), Some(1 << 40), None]
    );
}

#[test]
fn an_included_struct_is_as_if_it_were_written_there() {
    let names: Vec<_> = Wait::TABLE.iter().map(|opt| opt.name).collect();
    assert_eq!(names, ["name", "host", "port", "socket", "user", "id"]);
    assert_eq!(
        Wait::RULES,
        [
            ("required_one_of", "name|id"),
            ("required_together", "host,port"),
            ("mutually_exclusive", "host|socket")
        ]
    );
    let spec = spec::options(Wait::TABLE);
    assert_eq!(spec["host"]["aliases"], json!(["address"]));
    assert_eq!(spec["user"]["description"], json!(["Who waits.", "It needs no rights."]));
    assert_eq!(
        spec::options(Place::TABLE)["user"]["description"],
        json!(["Who asks."]),
        "the words are the including struct's alone"
    );

    let wait = Wait::decode(&At::ROOT, &json!({"id": "3", "address": "a", "port": 1})).unwrap();
    let Wait { name, place, id } = wait;
    assert_eq!((name, id, place.host.as_deref(), place.port), (None, Some(3), Some("a"), Some(1)));
    assert_eq!((place.user.as_str(), place.socket), ("root", None));
    let cases = [
        (json!({"id": 1, "host": "a"}), "parameters are required together: host, port"),
        (
            json!({"id": 1, "host": "a", "socket": "b"}),
            "parameters are mutually exclusive: host|socket",
        ),
        (json!({}), "one of the following is required: name, id"),
        (
            json!({"id": 1, "place": {}}),
            "Unsupported parameters for (m) module: place. Supported parameters include: host (address), id, name, port, socket, user.",
        ),
    ];
    for (given, expected) in cases {
        assert_eq!(Wait::decode(&At::ROOT, &given).unwrap_err().text("m"), expected, "{given}");
    }
}
