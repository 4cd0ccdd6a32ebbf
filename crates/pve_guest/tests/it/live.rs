//! Against the lab's Proxmox VE program: real HTTP, TLS, tokens and tasks.

use serde_json::{Value, json};
use std::{thread, time::Duration};
use testkit::{
    module::{Call, Reply},
    pve::{DISK, Pve, UUID},
};

fn call(pve: &Pve, more: &Value) -> Call {
    let mut args = pve.args();
    for (key, value) in more.as_object().into_iter().flatten() {
        args[key] = value.clone();
    }
    Call::new(env!("CARGO_BIN_EXE_pve_guest"), &args)
}

pub fn run(pve: &Pve, more: &Value) -> Reply {
    call(pve, more).run()
}

/// The API, asked past the module.
fn api(pve: &Pve) -> proxmox_api::Client {
    let text = |key: &str| pve.args()[key].as_str().map(str::to_owned);
    let given = proxmox_api::Given {
        host: text("api_host"),
        port: Some(pve.port()),
        user: text("api_user"),
        token_id: text("api_token_id"),
        token_secret: text("api_token_secret"),
        ca: text("ca_path").map(Into::into),
        verify: Some(true),
    };
    given.resolve(|_| None).map(|access| proxmox_api::Client::new(&access).unwrap()).unwrap()
}

fn good(reply: &Reply, changed: bool, status: &str) {
    let json = &reply.json;
    assert!(!reply.failed() && reply.changed() == changed && json["status"] == status, "{json}");
    assert!(!json.to_string().contains("s3cret-token"), "{json}");
}

#[test]
fn check_run_check_run() {
    let pve = Pve::start(&json!({}));
    for (state, status, path) in
        [("started", "running", "/status/start"), ("stopped", "stopped", "/status/shutdown")]
    {
        let wanted = json!({"state": state, "onboot": state == "started"});
        let first = call(&pve, &wanted).check().run();
        good(&first, true, status);
        assert_eq!(pve.count("POST", path), 0);
        let second = run(&pve, &wanted);
        good(&second, true, status);
        assert_eq!(
            (&second.json["disks"]["scsi0"], &second.json["smbios_uuid"]),
            (&json!(DISK), &json!(UUID))
        );
        let after = |reply: &Reply| {
            ["status", "onboot", "ha_state", "disks"].map(|key| reply.json[key].clone())
        };
        assert_eq!(after(&first), after(&second), "what check mode promised");
        good(&call(&pve, &wanted).check().run(), false, status);
        good(&run(&pve, &wanted), false, status);
        assert_eq!(pve.count("POST", path), 1);
    }
    assert_eq!(pve.vm()["config"]["onboot"], json!("0"));
}

#[test]
fn a_machine_is_looked_up_by_name_and_nothing_is_done() {
    let pve = Pve::start(&json!({}));
    let mut args = pve.args();
    args.as_object_mut().unwrap().remove("vmid");
    let reply = Call::new(env!("CARGO_BIN_EXE_pve_guest"), &args).run();
    good(&reply, false, "stopped");
    assert_eq!(reply.json["vmid"], 101);
}

#[test]
fn another_machines_name_is_refused_before_any_request() {
    let pve = Pve::start(&json!({}));
    let reply = run(&pve, &json!({"name": "cp2", "state": "started", "onboot": false}));
    assert_eq!((reply.refusal(), reply.changed()), ("name_differs", false));
    assert_eq!(pve.count("POST", ""), 0);
}

#[test]
fn a_lock_is_waited_out_and_named() {
    let pve = Pve::start(&json!({}));
    pve.set(&json!({"status": "running", "lock": "backup"}), &json!({}));
    let reply = run(&pve, &json!({"state": "stopped", "lock_timeout": 1}));
    assert!(
        reply.failed() && reply.msg().contains("wait for lock \"backup\" of VM 101 (cp1) to go"),
        "{}",
        reply.json
    );
    assert_eq!(pve.count("POST", ""), 0);
    let before = pve.count("GET", "/status/current");
    thread::scope(|scope| {
        let waiting = scope.spawn(|| run(&pve, &json!({"state": "stopped"})));
        while pve.count("GET", "/status/current") < before + 2 {
            thread::sleep(Duration::from_millis(5));
        }
        pve.set(&json!({"lock": null}), &json!({}));
        good(&waiting.join().unwrap(), true, "stopped");
    });
}

#[test]
fn a_task_of_somebody_else_is_waited_out() {
    let pve = Pve::start(&json!({}));
    pve.set(&json!({"status": "running"}), &json!({}));
    pve.control(
        "start-task",
        &json!({"vmid": 101, "type": "qmsnapshot", "seconds": 1, "user": "quorate@pve!t"}),
    );
    let planned = call(&pve, &json!({"state": "stopped"})).check().run();
    assert_eq!(planned.json["steps"][0], "wait for task qmsnapshot of VM 101 (cp1) to end");
    good(&run(&pve, &json!({"state": "stopped"})), true, "stopped");
}

#[test]
fn a_machine_that_a_running_task_will_start_is_not_stopped() {
    let pve = Pve::start(&json!({}));
    pve.control("task", &json!({"type": "qmstart", "seconds": 1}));
    // By the same token, as a run of before that was killed would have.
    api(&pve).start("pve1", 101).unwrap();
    let planned = call(&pve, &json!({"state": "stopped"})).check().run();
    assert_eq!(planned.json["steps"][0], "wait for task qmstart of VM 101 (cp1) to end");
    good(&run(&pve, &json!({"state": "stopped"})), true, "stopped");
}

#[test]
fn an_ha_managed_machine_is_stopped_when_the_ha_stack_says_so() {
    let pve = Pve::start(&json!({}));
    pve.set(&json!({"status": "running", "ha_state": "started"}), &json!({}));
    let reply = run(&pve, &json!({"state": "stopped"}));
    good(&reply, true, "stopped");
    assert_eq!(reply.json["ha_state"], "stopped");
    let reply = run(&pve, &json!({"state": "started"}));
    good(&reply, true, "running");
    assert_eq!((pve.count("POST", "/status/start"), pve.count("POST", "/status/shutdown")), (1, 1));
}

#[test]
fn a_stopped_machine_that_ha_would_start_is_taken_from_it() {
    let pve = Pve::start(&json!({}));
    pve.set(&json!({"ha_state": "started"}), &json!({}));
    let reply = run(&pve, &json!({"state": "stopped"}));
    good(&reply, true, "stopped");
    assert_eq!(pve.vm()["ha_state"], "stopped");
}

#[test]
fn a_guest_that_does_not_shut_down_is_named_or_powered_off() {
    let pve = Pve::start(&json!({}));
    pve.set(&json!({"status": "running", "acpi": false}), &json!({}));
    let reply = run(&pve, &json!({"state": "stopped", "timeout": 1}));
    assert_eq!(reply.refusal(), "task_failed");
    assert!(
        reply.msg().contains("VM quit/powerdown failed - got timeout")
            && reply.msg().contains("force: true"),
        "{}",
        reply.msg()
    );
    good(&run(&pve, &json!({"state": "stopped", "timeout": 1, "force": true})), true, "stopped");
    pve.set(&json!({"status": "running"}), &json!({}));
    good(&run(&pve, &json!({"state": "stopped", "timeout": 0, "force": true})), true, "stopped");
    assert_eq!(pve.count("POST", "/status/stop"), 1);
}

#[test]
fn a_lost_reply_is_not_sent_twice() {
    let pve = Pve::start(&json!({}));
    pve.set(&json!({"status": "running"}), &json!({}));
    for (state, status, path) in
        [("stopped", "stopped", "/status/shutdown"), ("started", "running", "/status/start")]
    {
        pve.control("lose-reply", &json!({"method": "POST", "suffix": path}));
        good(&run(&pve, &json!({"state": state})), true, status);
        assert_eq!(pve.count("POST", path), 1);
    }
}

#[test]
fn a_config_that_is_being_written_is_asked_again() {
    let pve = Pve::start(&json!({}));
    let busy = "can't lock file '/var/lock/qemu-server/lock-101.conf' - got timeout";
    pve.control(
        "fail",
        &json!({"method": "POST", "suffix": "/config", "status": 500, "message": busy, "times": 1}),
    );
    good(&run(&pve, &json!({"onboot": false})), true, "stopped");
    assert_eq!(pve.count("POST", "/config"), 2);
}

#[test]
fn what_the_api_refuses_is_told_at_once() {
    let pve = Pve::start(&json!({"rights": {"/vms/101": ["VM.Audit"]}}));
    let reply = run(&pve, &json!({"state": "started"}));
    assert_eq!(reply.refusal(), "task_failed");
    assert!(
        reply.msg().contains("403 Permission check failed (/vms/101, VM.PowerMgmt)"),
        "{}",
        reply.msg()
    );
    let reply = run(&pve, &json!({"state": "started", "api_token_secret": "wrong-secret"}));
    assert!(
        reply.failed()
            && reply.msg().contains("401 authentication failure")
            && !reply.msg().contains("wrong-secret"),
        "{}",
        reply.msg()
    );
}

#[test]
fn an_api_out_of_reach_or_of_another_authority_proves_nothing() {
    let pve = Pve::start(&json!({}));
    let reply = run(&pve, &json!({"state": "stopped", "api_port": 1}));
    assert!(
        reply.failed() && !reply.changed() && reply.msg().contains("https://127.0.0.1:1/"),
        "{}",
        reply.msg()
    );
    let other = Pve::start(&json!({}));
    let reply = run(&pve, &json!({"state": "stopped", "ca_path": other.file("ca.pem")}));
    assert!(reply.failed() && reply.msg().contains("certificate"), "{}", reply.msg());
    assert_eq!(pve.count("GET", ""), 0, "a token is not shown to a stranger");
    good(
        &run(
            &pve,
            &json!({"state": "stopped", "ca_path": other.file("ca.pem"), "validate_certs": false}),
        ),
        false,
        "stopped",
    );
}
