//! `cargo xtask demo`: the main job, end to end.

use anyhow::bail;

pub fn run(_args: &[String]) -> anyhow::Result<()> {
    bail!("\"demo\" is not there yet")
}
