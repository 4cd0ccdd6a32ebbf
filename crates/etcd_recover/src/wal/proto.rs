//! The messages of a log, as far as they are read or written here. All fields are those that etcd always writes (`proto2`, not nullable).

use prost::Message;

/// `walpb.Record`.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Record {
    #[prost(uint64, required, tag = "1")]
    pub kind: u64,
    #[prost(uint32, required, tag = "2")]
    pub crc: u32,
    #[prost(bytes = "vec", optional, tag = "3")]
    pub data: Option<Vec<u8>>,
}

/// `etcdserverpb.Metadata`.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Metadata {
    #[prost(uint64, required, tag = "1")]
    pub member: u64,
    #[prost(uint64, required, tag = "2")]
    pub cluster: u64,
}

/// `raftpb.Entry`.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Entry {
    #[prost(uint64, required, tag = "1")]
    pub kind: u64,
    #[prost(uint64, required, tag = "2")]
    pub term: u64,
    #[prost(uint64, required, tag = "3")]
    pub index: u64,
    #[prost(bytes = "vec", optional, tag = "4")]
    pub data: Option<Vec<u8>>,
}

impl Entry {
    /// `raftpb.EntryConfChange`; no other that changes members is ever written by etcd.
    pub const CONF_CHANGE: u64 = 1;
}

/// `raftpb.ConfChange`.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct ConfChange {
    #[prost(uint64, required, tag = "2")]
    pub kind: u64,
    #[prost(uint64, required, tag = "3")]
    pub member: u64,
}

/// `raftpb.HardState`.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct HardState {
    #[prost(uint64, required, tag = "1")]
    pub term: u64,
    #[prost(uint64, required, tag = "2")]
    pub vote: u64,
    #[prost(uint64, required, tag = "3")]
    pub commit: u64,
}

/// `walpb.Snapshot`.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Snapshot {
    #[prost(uint64, required, tag = "1")]
    pub index: u64,
    #[prost(uint64, required, tag = "2")]
    pub term: u64,
    #[prost(message, optional, tag = "3")]
    pub state: Option<ConfState>,
}

/// `raftpb.ConfState`.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct ConfState {
    #[prost(uint64, repeated, packed = "false", tag = "1")]
    pub voters: Vec<u64>,
}
