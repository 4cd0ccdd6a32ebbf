//! `witness report`
use crate::options;
/// x
pub fn run(_o: &options::Report) -> anyhow::Result<(String, bool)> { Ok((String::new(), true)) }
/// x
pub mod judge { /// x
 pub fn judge() {} }
