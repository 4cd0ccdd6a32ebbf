//! `cargo xtask bench`: speed and size, against the alternatives.

use anyhow::bail;

pub fn run(_args: &[String]) -> anyhow::Result<()> {
    bail!("\"bench\" is not there yet")
}
