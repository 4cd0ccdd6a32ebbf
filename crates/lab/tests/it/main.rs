//! The built program, as people and the PVE API call it.

#![cfg(test)]

use std::process::{Command, Output};

fn lab(arguments: &[&str]) -> std::io::Result<Output> {
    Command::new(env!("CARGO_BIN_EXE_lab")).args(arguments).output()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_command_that_is_not_one_is_answered_with_all_there_are() {
    for arguments in
        [&[][..], &["boot"], &["up", "--now"], &["exec", "cp1", "--"], &["power", "cp1", "reset"]]
    {
        let output = lab(arguments).unwrap();
        assert!(!output.status.success());
        assert!(
            said(&output).starts_with("lab: usage: lab <command>"),
            "{arguments:?}: {}",
            said(&output)
        );
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn a_host_that_is_not_one_is_answered_with_all_there_are() {
    for arguments in
        [&["exec", "cp9", "--", "true"][..], &["power", "cp9", "state"], &["fault", "net", "cp9"]]
    {
        let output = lab(arguments).unwrap();
        assert!(!output.status.success());
        assert_eq!(said(&output), "lab: there is no host \"cp9\"; there are lb, cp1, cp2, cp3\n");
    }
}

#[test]
fn a_checkpoint_is_not_a_path() {
    let output = lab(&["checkpoint", "remove", "../live"]).unwrap();
    assert!(!output.status.success());
    assert!(
        said(&output).contains("got \"../live\"") || said(&output).contains("needs root"),
        "{}",
        said(&output)
    );
}
