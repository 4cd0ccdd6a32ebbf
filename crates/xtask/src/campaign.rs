//! `cargo xtask campaign`: long fault campaigns.

use anyhow::bail;

pub fn run(_args: &[String]) -> anyhow::Result<()> {
    bail!("\"campaign\" is not there yet")
}
