//! A module's own program replies as the program of all modules does.

use crate::program::{begin, over_stdin, quorate, reply};
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

const SECRET: &str = "hunter2-and-more";

/// Where the programs lie: beside the one of all, or in the directory that `QUORATE_STANDALONE` names.
fn program(name: &str) -> PathBuf {
    let beside = || Path::new(env!("CARGO_BIN_EXE_quorate")).with_file_name("");
    let path = std::env::var_os("QUORATE_STANDALONE").map_or_else(beside, PathBuf::from).join(name);
    assert!(
        path.is_file(),
        "{} is not built: cargo test --workspace builds it, and so does cargo build --bins",
        path.display()
    );
    path
}

fn alone(name: &str) -> Command {
    let mut command = Command::new(program(name));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn modules() -> Vec<String> {
    let (said, _) = reply(&quorate().arg("--spec").output().unwrap());
    let name = |module: &Value| module["name"].as_str().unwrap().to_owned();
    said["modules"].as_array().unwrap().iter().map(name).collect()
}

#[test]
fn a_request_that_no_module_takes_gets_the_same_reply() {
    for name in modules() {
        for mut request in [
            json!({"no_such": 1}),
            json!({"no_such": SECRET, "state": {"a": []}}),
            json!({"timeout": "soon", "state": "nowhere", "_ansible_check_mode": true}),
        ] {
            request["_ansible_module_name"] = json!(format!("quorate.controlplane.{name}"));
            let (all, own) = (over_stdin(quorate(), &request), over_stdin(alone(&name), &request));
            assert_eq!(all, own, "{name}: {request}");
            assert!(own.1 == 1 && !own.0.to_string().contains(SECRET), "{name}: {}", own.0);
        }
    }
}

#[test]
fn it_needs_no_name_in_the_request() {
    let dir = tempfile::tempdir().unwrap();
    let args = dir.path().join("args");
    let mut request =
        json!({"no_such": 1, "sockets": ["/no/such"], "server": "cp2", "state": "ready"});
    let from = |mut program: Command, request: &Value| {
        fs::write(&args, request.to_string()).unwrap();
        reply(&program.arg(&args).output().unwrap())
    };
    let (reply, _) = from(alone("haproxy_pool"), &request);
    let msg = reply["msg"].as_str().unwrap();
    assert!(msg.starts_with("Unsupported parameters for (haproxy_pool) module: no_such"), "{msg}");
    for name in modules() {
        let own = from(alone(&name), &request);
        request["_ansible_module_name"] = json!(name);
        assert_eq!(own, from(quorate(), &request), "{name}");
        request.as_object_mut().unwrap().remove("_ansible_module_name");
    }
}

#[test]
fn what_is_no_request_gets_the_same_reply() {
    let dir = tempfile::tempdir().unwrap();
    for name in modules() {
        for text in ["", "[]", "{\"password\": \"hunter2-and-more\"", "\u{0}"] {
            let args = dir.path().join("args");
            fs::write(&args, text).unwrap();
            let from = |mut program: Command| reply(&program.arg(&args).output().unwrap());
            assert_eq!(from(quorate()), from(alone(&name)), "{name}: {text:?}");
        }
        let (nothing, _) = reply(&alone(&name).output().unwrap());
        let expected = format!("this is an Ansible module ({name}): ");
        assert!(nothing["msg"].as_str().unwrap().starts_with(&expected), "{nothing}");
    }
}

#[test]
fn a_full_device_is_no_success() {
    for name in modules() {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut program = alone(&name);
        let child = begin(program.arg("-").stdout(Stdio::from(full)), &json!({"no_such": 1}));
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), output.stderr.len()), (Some(1), 0), "{name}");
    }
}

#[test]
fn it_describes_itself_as_the_program_of_all_does() {
    let (all, _) = reply(&quorate().arg("--spec").output().unwrap());
    for module in all["modules"].as_array().unwrap() {
        let name = module["name"].as_str().unwrap();
        let (own, _) = reply(&alone(name).arg("--spec").output().unwrap());
        // Both at length would be unreadable. One is older when only some of the programs were built.
        assert!(
            own["modules"] == json!([module]),
            "{name} describes itself otherwise; cargo build --bins builds both anew"
        );
    }
}
