//! One JSON object, whatever happens. Runs on both architectures, and for a module's own program.

use crate::program::{begin, over_stdin, quorate, reply, stop_listening, trouble, until};
use serde_json::json;
use std::{fs, os::unix::process::CommandExt, path::Path, process::Stdio, time::Instant};

const SECRET: &str = "hunter2-and-more";

fn lines(file: &Path) -> usize {
    fs::read_to_string(file).map_or(0, |text| text.lines().count())
}

#[test]
fn the_request_names_the_module() {
    let request = json!({"_ansible_module_name": "quorate.controlplane.haproxy_pool", "no_such": 1,
        "sockets": ["/no/such"], "server": "cp2", "state": "ready"});
    let (reply, _) = over_stdin(quorate(), &request);
    let msg = reply["msg"].as_str().unwrap();
    assert!(msg.starts_with("Unsupported parameters for (quorate.controlplane.haproxy_pool) module: no_such. Supported parameters include: "), "{msg}");
}

#[test]
fn a_link_names_the_module_where_the_request_does_not() {
    if std::env::var_os("QUORATE_PROTOCOL_PROGRAM").is_some() {
        eprintln!("not under an emulator: the program has the emulator's name");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let args = dir.path().join("args");
    fs::write(
        &args,
        r#"{"no_such": 1, "sockets": ["/no/such"], "server": "cp2", "state": "ready"}"#,
    )
    .unwrap();
    for name in ["haproxy_pool", "AnsiballZ_haproxy_pool", "haproxy_pool.x86_64"] {
        let (reply, status) =
            reply(&quorate().arg0(format!("/some/where/{name}")).arg(&args).output().unwrap());
        let msg = reply["msg"].as_str().unwrap();
        assert!(
            status == 1 && msg.starts_with("Unsupported parameters for (haproxy_pool) module"),
            "{name}: {msg}"
        );
    }
}

#[test]
fn a_file_standard_input_and_its_device_are_read_alike() {
    let dir = tempfile::tempdir().unwrap();
    let (file, args) = (dir.path().join("file"), dir.path().join("args"));
    let request = json!({"file": file, "_ansible_check_mode": true});
    fs::write(&args, request.to_string()).unwrap();
    let from_file = reply(&trouble().arg(&args).output().unwrap());
    let from_stdin = over_stdin(trouble(), &request);
    let from_device =
        reply(&begin(trouble().arg("/dev/stdin"), &request).wait_with_output().unwrap());
    assert_eq!(from_file.0["steps"], json!(["write line 1", "write line 2"]));
    assert!(from_file == from_stdin && from_stdin == from_device && !file.exists());
}

#[test]
fn what_is_no_request_is_refused_without_repeating_it() {
    let dir = tempfile::tempdir().unwrap();
    let args = dir.path().join("args");
    for text in [
        format!("{{\"password\": \"{SECRET}\""),
        String::new(),
        format!("[\"{SECRET}\"]"),
        "\u{0}".into(),
    ] {
        fs::write(&args, &text).unwrap();
        let (reply, status) = reply(&quorate().arg(&args).output().unwrap());
        assert!(
            status == 1
                && reply["msg"].as_str().unwrap().contains("JSON")
                && !reply.to_string().contains(SECRET),
            "{reply}"
        );
    }
    let (no_file, _) = reply(&quorate().arg("/no/such/file").output().unwrap());
    assert!(no_file["msg"].as_str().unwrap().contains("/no/such/file"));
    let (nothing, _) = reply(&quorate().output().unwrap());
    assert!(nothing["msg"].as_str().unwrap().starts_with("this is an Ansible module"));
}

#[test]
fn a_run_changes_once_and_shows_what_differs() {
    let dir = tempfile::tempdir().unwrap();
    let request = json!({"file": dir.path().join("file"), "_ansible_diff": true});
    let (first, _) = over_stdin(trouble(), &request);
    let (second, _) = over_stdin(trouble(), &request);
    assert_eq!((&first["changed"], &second["changed"]), (&json!(true), &json!(false)));
    let view = |lines: u32| json!({"lines": lines, "flood": null});
    assert_eq!(first["diff"], json!({"before": view(0), "after": view(2)}));
}

#[test]
fn a_panic_on_any_thread_is_a_reply_that_says_what_was_done() {
    for kind in ["panic", "panic_elsewhere"] {
        let dir = tempfile::tempdir().unwrap();
        let request = json!({"file": dir.path().join("file"), "trouble": kind, "password": SECRET});
        let (reply, status) = over_stdin(trouble(), &request);
        assert!(
            status == 1 && reply["msg"].as_str().unwrap().contains("a bug in the module"),
            "{reply}"
        );
        assert_eq!(
            (&reply["changed"], &reply["steps_done"]),
            (&json!(true), &json!(["write line 1"]))
        );
        assert!(!reply.to_string().contains(SECRET));
    }
}

#[test]
fn secrets_are_in_no_reply() {
    let dir = tempfile::tempdir().unwrap();
    let request = json!({"file": dir.path().join("file"), "trouble": "fault", "password": SECRET, "_ansible_version": "2.19.0"});
    let (reply, _) = over_stdin(trouble(), &request);
    assert!(
        !reply.to_string().contains(SECRET) && reply["msg"].as_str().unwrap().contains("********"),
        "{reply}"
    );
    assert_eq!(
        reply["invocation"]["module_args"]["password"],
        "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER"
    );
    assert_eq!(reply["steps_in_doubt"], json!(["write line 2"]));
}

#[test]
fn a_signal_ends_a_wait_at_once_with_a_reply() {
    for signal in ["TERM", "HUP", "INT"] {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        let child = begin(trouble().arg("-"), &json!({"file": file, "trouble": "wait"}));
        until("the first line", || lines(&file) == 1);
        let began = Instant::now();
        let sent = std::process::Command::new("kill")
            .args(["-s", signal, &child.id().to_string()])
            .status()
            .unwrap();
        let (reply, status) = reply(&child.wait_with_output().unwrap());
        assert!(
            sent.success() && status == 1 && began.elapsed().as_secs() < 5,
            "{signal}: {:?}",
            began.elapsed()
        );
        assert!(
            reply["msg"].as_str().unwrap().contains("stopped by a signal"),
            "{signal}: {reply}"
        );
        assert_eq!((&reply["changed"], lines(&file)), (&json!(true), 1), "{signal}: {reply}");
    }
}

#[test]
fn nothing_is_changed_any_more_when_nobody_listens() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    let mut child = begin(trouble().arg("-"), &json!({"file": file, "trouble": "wait"}));
    until("the first line", || lines(&file) == 1);
    stop_listening(&mut child);
    fs::write(file.with_extension("go"), "").unwrap();
    let status = child.wait().unwrap();
    assert_eq!((status.code(), lines(&file)), (Some(1), 1));
}

#[test]
fn a_full_device_is_no_success() {
    let dir = tempfile::tempdir().unwrap();
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let request = json!({"file": dir.path().join("file"), "_ansible_check_mode": true});
    let child = begin(trouble().arg("-").stdout(Stdio::from(full)), &request);
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.len()), (Some(1), 0));
}

#[test]
fn ten_megabytes_of_arguments_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let request = json!({"file": dir.path().join("file"), "ballast": "x".repeat(10_000_000), "_ansible_check_mode": true});
    let (reply, status) = over_stdin(trouble(), &request);
    assert_eq!((status, reply["steps"].as_array().map(Vec::len)), (0, Some(2)));
}

#[test]
fn what_a_program_says_is_utf8_in_the_reply() {
    let dir = tempfile::tempdir().unwrap();
    let request = json!({"file": dir.path().join("file"), "trouble": "noise", "password": SECRET});
    // `reply` reads it as UTF-8 strictly.
    let (reply, status) = over_stdin(trouble(), &request);
    let msg = reply["msg"].as_str().unwrap();
    assert!(
        status == 1 && msg.contains("exit status 3: \u{fffd}\u{fffd} ******** \u{fffd}"),
        "{msg}"
    );
    assert!(!reply.to_string().contains(SECRET), "{reply}");
}

#[test]
fn a_result_that_is_too_large_is_one_clear_failure() {
    let dir = tempfile::tempdir().unwrap();
    let request = json!({"file": dir.path().join("file"), "trouble": "flood"});
    let (reply, status) = over_stdin(trouble(), &request);
    assert_eq!((status, &reply["changed"], &reply["failed"]), (1, &json!(true), &json!(true)));
    assert!(reply["msg"].as_str().unwrap().starts_with("the module's result is 1800"), "{reply}");
    assert!(reply.to_string().len() < 1000, "{reply}");
}

#[test]
fn bytes_that_are_no_utf8_are_no_request() {
    let dir = tempfile::tempdir().unwrap();
    let args = dir.path().join("args");
    fs::write(&args, b"{\"file\": \"/\xff\xfe\"}").unwrap();
    let (reply, status) = reply(&trouble().arg(&args).output().unwrap());
    assert!(status == 1 && reply["msg"].as_str().unwrap().contains("not JSON"), "{reply}");
}
