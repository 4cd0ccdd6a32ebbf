//! Against the lab's Proxmox VE program, on real files.

use serde_json::{Value, json};
use std::{
    fs,
    io::{Read, Write},
    process::{Command, Stdio},
    thread,
    time::Duration,
};
use testkit::{
    module::{Call, Reply},
    pve::{DISK, IMAGE, Pve, UUID},
};

const NOTE: &str = "quorate: scsi0 replaced lab:vm-101-disk-0 (4M) by local:import/cp.raw";

fn args(pve: &Pve, more: &Value) -> Value {
    let mut args = pve.args();
    let common =
        json!({"smbios_uuid": UUID, "condemned": DISK, "image": IMAGE, "state": "reimaged"});
    for (key, value) in common.as_object().into_iter().chain(more.as_object()).flatten() {
        args[key] = value.clone();
    }
    args
}

fn call(pve: &Pve, more: &Value) -> Call {
    Call::new(env!("CARGO_BIN_EXE_pve_disk_reimage"), &args(pve, more))
}

pub fn run(pve: &Pve, more: &Value) -> Reply {
    call(pve, more).run()
}

fn commit(pve: &Pve) -> Reply {
    run(pve, &json!({"state": "committed"}))
}

pub fn good(reply: &Reply, changed: bool) {
    assert!(!reply.failed() && reply.changed() == changed, "{}", reply.json);
    assert!(!reply.json.to_string().contains("s3cret-token"), "{}", reply.json);
}

/// Kills the module once something holds.
fn kill_when(pve: &Pve, holds: impl Fn() -> bool) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pve_disk_reimage"));
    let mut child = command.arg("-").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(args(pve, &json!({})).to_string().as_bytes()).unwrap();
    while !holds() {
        assert!(child.try_wait().unwrap().is_none(), "it ended before it could be killed");
        thread::sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Reads the head and the size of a disk file.
fn disk(pve: &Pve, name: &str) -> (String, u64) {
    let path = pve.file("disks/101").join(name);
    let (mut file, mut head) = (fs::File::open(&path).unwrap(), [0; 5]);
    file.read_exact(&mut head).unwrap();
    (
        String::from_utf8_lossy(&head).trim_end_matches('\0').to_owned(),
        fs::metadata(path).unwrap().len() >> 20,
    )
}

/// The disk is a fresh copy of 4 MiB with its old options, the old volume is kept, boot order and the rest are as before.
pub fn replaced(pve: &Pve) {
    let vm = pve.vm();
    let config = &vm["config"];
    assert_eq!(config["scsi0"], "lab:vm-101-disk-1,discard=on,size=4M", "{vm}");
    assert_eq!(
        (&config["unused0"], &config["boot"], &vm["pending"]),
        (&json!(DISK), &json!("order=scsi0;net0"), &json!({})),
        "{vm}"
    );
    assert!(config["description"].as_str().unwrap().lines().any(|line| line == NOTE), "{vm}");
    assert_eq!(disk(pve, "vm-101-disk-0.raw"), ("old".into(), 4));
    assert_eq!(disk(pve, "vm-101-disk-1.raw"), ("fresh".into(), 4));
}

pub fn untouched(pve: &Pve) {
    let vm = pve.vm();
    assert_eq!(vm["config"]["scsi0"], "lab:vm-101-disk-0,discard=on,size=4M", "{vm}");
    assert_eq!(
        (pve.disks(), disk(pve, "vm-101-disk-0.raw")),
        (vec!["vm-101-disk-0.raw".to_owned()], ("old".into(), 4))
    );
}

/// Everything below stands on this.
#[test]
fn the_program_behaves_as_qemu_server_does() {
    testkit::pve::holds_against_its_facts();
}

#[test]
fn check_run_check_run() {
    let pve = Pve::start(&json!({}));
    pve.set(&json!({}), &json!({"description": "Call Ada first."}));
    let first = call(&pve, &json!({})).check().run();
    good(&first, true);
    assert_eq!(pve.count("POST", "/config"), 0);
    let second = run(&pve, &json!({}));
    good(&second, true);
    replaced(&pve);
    for key in [
        "replaced",
        "image",
        "size",
        "options",
        "boot",
        "condemned_is",
        "disk",
        "vmid",
        "node",
        "steps",
    ] {
        assert_eq!(first.json[key], second.json[key], "what check mode promised: {key}");
    }
    assert!(pve.vm()["config"]["description"].as_str().unwrap().starts_with("Call Ada first.\n"));
    good(&call(&pve, &json!({})).check().run(), false);
    good(&run(&pve, &json!({})), false);
    assert_eq!((pve.count("POST", "/config"), pve.count("PUT", "/resize")), (1, 1));

    // The machine runs by the time its old disk goes.
    pve.set(&json!({"status": "running"}), &json!({}));
    let wanted = json!({"state": "committed"});
    let first = call(&pve, &wanted).check().run();
    good(&first, true);
    assert_eq!(pve.disks().len(), 2);
    let second = commit(&pve);
    good(&second, true);
    assert_eq!(
        (&first.json["condemned_is"], &second.json["condemned_is"]),
        (&json!("removed"), &json!("removed"))
    );
    assert_eq!(pve.disks(), ["vm-101-disk-1.raw"]);
    good(&call(&pve, &wanted).check().run(), false);
    good(&commit(&pve), false);
    // A late re-run of the replacement still knows that it has been done.
    good(&run(&pve, &json!({})), false);
    assert_eq!(pve.count("POST", "/config"), 2);
}

#[test]
fn killed_while_the_import_runs_the_next_run_waits_for_it() {
    let pve = Pve::start(&json!({}));
    pve.control("task", &json!({"type": "qmconfig", "seconds": 1}));
    kill_when(&pve, || pve.count("POST", "/config") == 1);
    untouched(&pve);
    let planned = call(&pve, &json!({})).check().run();
    assert_eq!(planned.json["steps"][0], "wait for task qmconfig of VM 101 (cp1) to end");
    good(&run(&pve, &json!({})), true);
    replaced(&pve);
    assert_eq!(pve.count("POST", "/config"), 1);
}

#[test]
fn killed_after_the_import_the_next_run_resizes() {
    let pve = Pve::start(&json!({}));
    pve.control("task", &json!({"type": "qmconfig", "seconds": 0.5, "after": true}));
    let swapped =
        |vm: &Value| vm["config"]["scsi0"].as_str().unwrap().starts_with("lab:vm-101-disk-1");
    kill_when(&pve, || swapped(&pve.vm()));
    assert_eq!(
        (pve.count("PUT", "/resize"), disk(&pve, "vm-101-disk-1.raw")),
        (0, ("fresh".into(), 2))
    );
    let reply = commit(&pve);
    assert_eq!(reply.refusal(), "resize_owed");
    let reply = run(&pve, &json!({}));
    good(&reply, true);
    assert_eq!(reply.json["steps"].as_array().unwrap().len(), 1, "{}", reply.json);
    replaced(&pve);
    assert_eq!(pve.count("POST", "/config"), 1);
}

#[test]
fn a_stale_unused_disk_is_left_alone() {
    let pve = Pve::start(&json!({}));
    fs::write(pve.file("disks/101/vm-101-disk-9.raw"), "someone's").unwrap();
    pve.set(&json!({}), &json!({"unused0": "lab:vm-101-disk-9"}));
    good(&run(&pve, &json!({})), true);
    assert_eq!(pve.vm()["config"]["unused1"], DISK);
    good(&commit(&pve), true);
    assert_eq!(pve.disks(), ["vm-101-disk-1.raw", "vm-101-disk-9.raw"]);
    assert_eq!(pve.vm()["config"]["unused0"], "lab:vm-101-disk-9");
}

#[test]
fn refusals_come_before_any_request() {
    let pve = Pve::start(&json!({}));
    let refused = |more: &Value, code: &str| {
        let reply = run(&pve, more);
        assert_eq!((reply.refusal(), reply.changed()), (code, false), "{}", reply.json);
    };
    refused(&json!({"name": "cp2"}), "name_differs");
    refused(&json!({"smbios_uuid": "ffffffff-0000-4000-8000-000000000101"}), "uuid_differs");
    refused(&json!({"vmid": 102}), "not_found");
    refused(&json!({"condemned": "lab:vm-101-disk-3"}), "disk_differs");
    refused(&json!({"image": "local:import/none.raw"}), "image_missing");
    refused(&json!({"digest": "0".repeat(40)}), "digest_differs");
    refused(&json!({"state": "committed"}), "not_replaced");
    pve.set(&json!({"status": "running"}), &json!({}));
    refused(&json!({}), "running");
    let check = call(&pve, &json!({})).check().run();
    assert!(
        !check.failed()
            && check.changed()
            && check.json["needs"][0].as_str().unwrap().contains("is not stopped"),
        "{}",
        check.json
    );
    pve.set(&json!({"status": "stopped", "ha_state": "started"}), &json!({}));
    refused(&json!({}), "ha_active");
    pve.set(&json!({"ha_state": null}), &json!({}));
    pve.control("vm", &json!({"vmid": 101, "snapshots": ["before-upgrade"]}));
    refused(&json!({}), "pinned");
    untouched(&pve);
    assert_eq!(pve.count("POST", "") + pve.count("PUT", ""), 0);
}

#[test]
fn a_digest_race_is_read_and_decided_again() {
    let pve = Pve::start(&json!({}));
    pve.control(
        "race",
        &json!({"method": "POST", "suffix": "/config", "vmid": 101, "set": {"tags": "other"}}),
    );
    good(&run(&pve, &json!({})), true);
    replaced(&pve);
    assert_eq!((pve.count("POST", "/config"), &pve.vm()["config"]["tags"]), (2, &json!("other")));
}

#[test]
fn a_machine_that_is_renamed_at_the_last_moment_is_not_touched() {
    let pve = Pve::start(&json!({}));
    pve.control(
        "race",
        &json!({"method": "POST", "suffix": "/config", "vmid": 101, "set": {"name": "web1"}}),
    );
    let reply = run(&pve, &json!({}));
    assert_eq!(reply.refusal(), "name_differs");
    untouched(&pve);
}

#[test]
fn a_machine_that_is_started_at_the_last_moment_keeps_its_disk() {
    let pve = Pve::start(&json!({}));
    pve.control("task", &json!({"type": "qmconfig", "seconds": 0.5}));
    thread::scope(|scope| {
        let running = scope.spawn(|| run(&pve, &json!({})));
        while pve.count("POST", "/config") == 0 {
            thread::sleep(Duration::from_millis(2));
        }
        pve.set(&json!({"status": "running"}), &json!({}));
        let reply = running.join().unwrap();
        assert_eq!((reply.refusal(), reply.changed()), ("running", true), "{}", reply.json);
    });
    pve.until("the import has ended", |vm| vm["pending"]["scsi0"].is_string());
    assert!(pve.vm()["config"]["scsi0"].as_str().unwrap().starts_with(DISK));
    // Off again, the import must neither be made a second time nor take effect unseen.
    pve.set(&json!({"status": "stopped"}), &json!({}));
    assert_eq!(run(&pve, &json!({})).refusal(), "pending");
}

#[test]
fn a_lock_is_waited_out_and_named() {
    let pve = Pve::start(&json!({}));
    pve.set(&json!({"lock": "backup"}), &json!({}));
    let reply = run(&pve, &json!({"lock_timeout": 1}));
    assert!(
        reply.failed() && reply.msg().contains("wait for lock \"backup\" of VM 101 (cp1) to go"),
        "{}",
        reply.json
    );
    let before = pve.count("GET", "/status/current");
    thread::scope(|scope| {
        let waiting = scope.spawn(|| run(&pve, &json!({})));
        while pve.count("GET", "/status/current") < before + 2 {
            thread::sleep(Duration::from_millis(5));
        }
        pve.set(&json!({"lock": null}), &json!({}));
        good(&waiting.join().unwrap(), true);
    });
    replaced(&pve);
}

#[test]
fn a_failed_import_changes_nothing_and_is_mended_by_the_next_run() {
    let pve = Pve::start(&json!({}));
    let (image, aside) = (pve.file("images/import/cp.raw"), pve.file("images/aside"));
    fs::rename(&image, &aside).unwrap();
    fs::create_dir(&image).unwrap();
    let reply = run(&pve, &json!({}));
    assert_eq!(reply.refusal(), "task_failed");
    assert!(
        reply.msg().contains("copy failed")
            && reply.msg().contains("scsi0 still is lab:vm-101-disk-0")
            && reply.msg().contains("qm start 101"),
        "{}",
        reply.msg()
    );
    untouched(&pve);
    // The other half of the request was left behind, as qemu-server leaves it.
    assert!(pve.vm()["pending"]["description"].as_str().unwrap().contains(NOTE));
    fs::remove_dir(&image).unwrap();
    fs::rename(&aside, &image).unwrap();
    good(&run(&pve, &json!({})), true);
    replaced(&pve);
}

#[test]
fn a_failed_resize_names_the_way_back_and_is_mended_by_the_next_run() {
    let pve = Pve::start(&json!({}));
    pve.control("task", &json!({"type": "resize", "fail": "unable to resize", "times": 1}));
    let reply = run(&pve, &json!({}));
    assert_eq!((reply.refusal(), reply.changed()), ("task_failed", true));
    assert!(
        reply
            .msg()
            .contains("qm stop 101; qm set 101 --scsi0 lab:vm-101-disk-0,discard=on; qm start 101"),
        "{}",
        reply.msg()
    );
    good(&run(&pve, &json!({})), true);
    replaced(&pve);
}

#[test]
fn a_lost_reply_is_not_sent_twice() {
    let pve = Pve::start(&json!({}));
    pve.control("lose-reply", &json!({"method": "POST", "suffix": "/config"}));
    pve.control("lose-reply", &json!({"method": "PUT", "suffix": "/resize"}));
    good(&run(&pve, &json!({})), true);
    replaced(&pve);
    assert_eq!((pve.count("POST", "/config"), pve.count("PUT", "/resize")), (1, 1));
    pve.control("lose-reply", &json!({"method": "POST", "suffix": "/config"}));
    good(&commit(&pve), true);
    assert_eq!(
        (pve.disks(), pve.count("POST", "/config")),
        (vec!["vm-101-disk-1.raw".to_owned()], 2)
    );
}

#[test]
fn a_node_that_crashes_during_the_import_leaves_the_old_disk() {
    let mut pve = Pve::start(&json!({}));
    pve.control("task", &json!({"type": "qmconfig", "seconds": 60}));
    kill_when(&pve, || pve.count("POST", "/config") == 1);
    pve.restart();
    untouched(&pve);
    good(&run(&pve, &json!({})), true);
    replaced(&pve);
}

#[test]
fn the_way_back_is_what_the_messages_say() {
    let pve = Pve::start(&json!({}));
    good(&run(&pve, &json!({})), true);
    // qm set 101 --scsi0 lab:vm-101-disk-0,discard=on
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
    let client =
        given.resolve(|_| None).map(|access| proxmox_api::Client::new(&access).unwrap()).unwrap();
    client.set_config("pve1", 101, None, &[("scsi0", "lab:vm-101-disk-0,discard=on")]).unwrap();
    pve.until("the old disk is back", |vm| {
        vm["config"]["scsi0"].as_str().is_some_and(|drive| drive.starts_with(DISK))
    });
    assert_eq!(pve.vm()["config"]["unused1"], "lab:vm-101-disk-1");
    // The old note claims nothing now: the disk may be condemned again, and the failed attempt's volume is nobody's business.
    assert_eq!(commit(&pve).refusal(), "not_replaced");
    good(&run(&pve, &json!({})), true);
    let config = pve.vm()["config"].clone();
    assert_eq!(config["scsi0"], "lab:vm-101-disk-2,discard=on,size=4M");
    assert_eq!(
        (&config["unused0"], &config["unused1"]),
        (&json!(DISK), &json!("lab:vm-101-disk-1"))
    );
}
