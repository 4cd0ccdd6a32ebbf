//! Which guest is meant.

use serde::Deserialize;
use std::fmt;

/// A guest as the cluster lists it.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Guest {
    /// Its id.
    pub vmid: u32,
    /// Its name.
    pub name: String,
    /// The node it lives on.
    pub node: String,
    /// `qemu` or `lxc`.
    pub kind: String,
}

/// A VM by id and name: what people are told of it, and what a step names.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Label {
    /// Its id.
    pub vmid: u32,
    /// Its name.
    pub name: String,
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "VM {} ({})", self.vmid, self.name)
    }
}
