//! The built program.

use serde_json::json;
use testkit::module::Call;

const PROGRAM: &str = env!("CARGO_BIN_EXE_control_plane_info");

#[test]
fn a_key_that_could_be_guessed_is_refused_and_not_shown() {
    let call = Call::new(PROGRAM, &json!({"fingerprint_key": "s3cr3t-s3cr3t"}));
    let dir = tempfile::tempdir().unwrap();
    for reply in [call.run(), call.run_from_file(dir.path()), call.clone().check().run()] {
        assert!(reply.failed() && reply.msg().contains("shorter than 16"), "{}", reply.json);
        assert!(!reply.json.to_string().contains("s3cr3t"), "{}", reply.json);
    }
}

#[test]
fn reports_need_the_time_at_which_they_are_judged() {
    let reply = Call::new(PROGRAM, &json!({"reports": []})).run();
    assert!(reply.failed() && reply.msg().contains("asked_at"), "{}", reply.json);
}

#[test]
fn an_unknown_option_is_named() {
    let reply = Call::new(PROGRAM, &json!({"reprots": []})).run();
    assert!(reply.failed() && reply.msg().contains("reprots"), "{}", reply.json);
}
