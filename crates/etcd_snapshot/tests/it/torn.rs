//! Runs that are killed, that meet another, or whose disk is full.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::etcd::Etcd;
use testkit::module::Reply;

use crate::live::{PROGRAM, args, call, ending, fill, names, path, verified};

#[tokio::test]
async fn killed_at_any_moment_it_leaves_no_file_that_looks_whole() {
    let etcd = Etcd::start(1).await.unwrap();
    fill(&etcd, 400, 200_000).await;
    let dir = tempfile::tempdir().unwrap();
    let dest = dir.path();
    let request = args(&etcd, dest, &json!({})).to_string();
    let (mut torn, mut whole) = (0, 0);
    for delay in [0, 20, 40, 60, 90, 120, 160, 250, 400, 600] {
        fs::write(dest.join("request"), &request).unwrap();
        let mut child = Command::new(PROGRAM)
            .arg(dest.join("request"))
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let part = || !ending(dest, ".part").is_empty();
        let end = Instant::now() + Duration::from_secs(30);
        while !part() && child.try_wait().unwrap().is_none() {
            assert!(Instant::now() < end, "no part came up");
        }
        // Any moment will do: whatever it hits, the same must hold.
        std::thread::sleep(Duration::from_millis(delay));
        _ = child.kill();
        child.wait().unwrap();
        torn += usize::from(part());
        for name in &ending(dest, ".db") {
            whole += 1;
            assert!(!verified(&dest.join(name)).failed(), "{name} looks whole and is not");
            assert!(dest.join(format!("{name}.json")).exists());
        }
        for name in names(dest).iter().filter(|name| name.contains(".db")) {
            assert_eq!(fs::metadata(dest.join(name)).unwrap().mode() & 0o7777, 0o600);
        }
    }
    assert!(torn > 0, "not one of the kills came while a part was there; {whole} came after");
    let reply = call(&etcd, dest, &json!({"keep": 1})).run();
    assert!(
        !reply.failed() && reply.json["steps"][0] == "remove what an interrupted run left",
        "{reply:?}"
    );
    let left = names(dest);
    assert_eq!(
        left.iter().filter(|name| name.starts_with("etcd-")).count(),
        2,
        "one file, and what is beside it: {left:?}"
    );
}

#[tokio::test]
async fn a_part_that_somebody_writes_is_left_alone() {
    let etcd = Etcd::start(1).await.unwrap();
    fill(&etcd, 200, 200_000).await;
    let dir = tempfile::tempdir().unwrap();
    let replies: Vec<Reply> = std::thread::scope(|scope| {
        let calls = [(); 3].map(|()| call(&etcd, dir.path(), &json!({})));
        let runs: Vec<_> = calls.map(|call| scope.spawn(move || call.run())).into_iter().collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    });
    assert!(replies.iter().all(|reply| !reply.failed()), "{replies:#?}");
    assert!(replies.iter().all(|reply| path(reply).exists() && !verified(&path(reply)).failed()));
}

#[tokio::test]
async fn a_full_disk_leaves_nothing_behind() {
    let etcd = Etcd::start(1).await.unwrap();
    fill(&etcd, 100, 200_000).await;
    let dir = tempfile::tempdir().unwrap();
    let dest = dir.path().join("small");
    fs::create_dir(&dest).unwrap();
    // A limit on the size of files is the other way to a write that fails half-way, and needs neither root nor a mount.
    let request = args(&etcd, &dest, &json!({}));
    fs::write(dir.path().join("request"), request.to_string()).unwrap();
    let script = "trap '' XFSZ; ulimit -f 4096; exec \"$0\" \"$1\"";
    let output = Command::new("sh")
        .args(["-c", script, PROGRAM])
        .arg(dir.path().join("request"))
        .output()
        .unwrap();
    let reply = Reply::from(&output);
    assert!(reply.failed() && reply.msg().contains("File too large"), "{reply:?}");
    assert_eq!(names(&dest), Vec::<String>::new(), "nothing is left");
    if !nix_is_root() || std::env::var_os("QUORATE_NO_LAB").is_some() {
        eprintln!("skipped: a full file system needs root for its mount");
        return;
    }
    // A file system that has too little room when it is asked, and one that is filled while the part is written.
    let (reply, left) = in_small_file_system(
        dir.path(),
        &dest,
        "head -c 50m /dev/zero > \"$2/ballast\"; \"$0\" \"$1\" || true",
    );
    assert_eq!(
        (reply["refusal"]["code"].as_str(), left.as_str()),
        (Some("no_room"), "ballast"),
        "{reply}"
    );
    let fill = "\"$0\" \"$1\" & until ls \"$2\"/*.part > /dev/null 2>&1 || ! kill -0 $!; do :; done; \
        head -c 80m /dev/zero > \"$2/ballast\" 2> /dev/null || true; wait $! || true";
    let (reply, left) = in_small_file_system(dir.path(), &dest, fill);
    // The write fails, and then there is no room for another attempt.
    let refusal = reply["refusal"]["code"].as_str();
    assert_eq!((refusal, &reply["changed"]), (Some("no_room"), &json!(true)), "{reply}");
    assert!(reply["steps_in_doubt"].to_string().contains("save a snapshot"), "{reply}");
    assert_eq!(left, "ballast", "nothing is left");
}

/// Runs a script in a mount namespace of its own, with 64 MiB at `dest`: the reply, and what lies there in the end.
fn in_small_file_system(dir: &Path, dest: &Path, script: &str) -> (Value, String) {
    let script = format!(
        "set -e; mount -t tmpfs -o size=64m,mode=700 tmpfs \"$2\"; {script}; ls -A \"$2\" >&2"
    );
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", &script, PROGRAM]).arg(dir.join("request")).arg(dest);
    let output = command.output().unwrap();
    let reply = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    (reply, String::from_utf8_lossy(&output.stderr).trim().to_owned())
}

fn nix_is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}
