//! Container images without a registry: docker archives of one layer with one file.

use crate::command::{command, make_dir, run, write};
use anyhow::Context;
use serde_json::json;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// Writes an archive with one static program in `/usr/local/bin`, which `ctr images import` takes under the given name.
pub fn write_image(dir: &Path, reference: &str, program: &Path) -> anyhow::Result<PathBuf> {
    let name =
        program.file_name().and_then(|name| name.to_str()).context("a program without a name")?;
    let work = dir.join(format!("{name}.image"));
    let bin = work.join("usr/local/bin");
    make_dir(&bin)?;
    fs::copy(program, bin.join(name))
        .with_context(|| format!("cannot copy {}", program.display()))?;
    tar(&work, "layer.tar", &["usr"])?;
    let layer = work.join("layer.tar");
    let bytes = fs::read(&layer).with_context(|| format!("cannot read {}", layer.display()))?;
    write(&work.join("config.json"), config(name, &digest(&bytes)).to_string(), 0o644)?;
    write(&work.join("manifest.json"), manifest(reference).to_string(), 0o644)?;
    let archive = dir.join(format!("{name}.tar"));
    tar(&work, &format!("../{name}.tar"), &["config.json", "layer.tar", "manifest.json"])?;
    fs::remove_dir_all(&work).with_context(|| format!("cannot remove {}", work.display()))?;
    Ok(archive)
}

fn tar(dir: &Path, file: &str, members: &[&str]) -> anyhow::Result<()> {
    let fixed = [
        "--create",
        "--sort=name",
        "--owner=0",
        "--group=0",
        "--numeric-owner",
        "--mtime=@0",
        "--mode=a+rX",
    ];
    run(command("tar", fixed).args(["--file", file]).args(members).current_dir(dir))
}

fn config(name: &str, layer: &str) -> serde_json::Value {
    json!({
        "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" },
        "os": "linux",
        "config": {"Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"], "Entrypoint": [format!("/usr/local/bin/{name}")]},
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{layer}")]},
    })
}

fn manifest(reference: &str) -> serde_json::Value {
    json!([{"Config": "config.json", "RepoTags": [reference], "Layers": ["layer.tar"]}])
}

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_config_names_the_layer_by_its_digest() {
        let config = config("pause", &digest(b""));
        assert_eq!(
            config.pointer("/rootfs/diff_ids/0").and_then(|id| id.as_str()),
            Some("sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
        );
        assert_eq!(
            config.pointer("/config/Entrypoint/0").and_then(|path| path.as_str()),
            Some("/usr/local/bin/pause")
        );
    }
}
