//! The write-ahead log of a member: what it holds, read without etcd.
//!
//! A log is a row of segments `<sequence>-<index>.wal`. A segment is a row of frames: eight bytes little-endian (the length in the lower 56 bits; when the highest bit
//! is set, the padding in the lowest three bits of the highest byte), then a protobuf `walpb.Record {type = 1, crc = 2, data = 3}`, padded to eight bytes. A length of
//! zero is space that was reserved. The CRC-32C runs on over the data of all records. Sources: `server/storage/wal/{encoder,decoder,wal}.go`,
//! `walpb/record.proto`, `raftpb/raft.proto`, `etcdserverpb/etcdserver.proto` (`Metadata`).

mod append;
mod crc;
mod proto;

pub use append::keep_tail;

use anyhow::{Context, Result, bail};
use crc::Crc;
use etcd_cluster::MemberId;
use prost::Message;
use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{BufReader, ErrorKind, Read},
    path::{Path, PathBuf},
};

/// The kinds of records (`wal.go`).
pub(crate) mod kind {
    pub const METADATA: u64 = 1;
    pub const ENTRY: u64 = 2;
    pub const STATE: u64 = 3;
    pub const CRC: u64 = 4;
    pub const SNAPSHOT: u64 = 5;
}

/// etcd zeroes reserved space; a write that was torn leaves whole sectors of it.
const SECTOR: u64 = 512;
/// A frame's own size.
const FRAME: u64 = 8;

/// What a log holds.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Log {
    /// Whose it is.
    pub member: MemberId,
    /// Of which cluster.
    pub cluster: MemberId,
    /// `HardState`: the newest term it knows of.
    pub term: u64,
    /// Whom it voted for in that term.
    pub vote: u64,
    /// Up to where it knows that a quorum agreed. etcd writes this late, and not for its own sake.
    pub commit: u64,
    /// Term of the last entry.
    pub last_term: u64,
    /// Index of the last entry.
    pub last_index: u64,
    /// Voters after the entries that it knows to be committed; empty when the log does not reach back to where they are told.
    pub voters: BTreeSet<MemberId>,
    /// Why reading ended before the end of the log, where it did.
    pub damage: Option<Damage>,
    /// Where the next record would be written.
    pub(crate) tail: Tail,
}

/// How a log ends early.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Damage {
    /// The last record was only partly written when the host went down. It was never acknowledged; etcd repairs it by itself.
    Torn(String),
    /// What lies there is not what was written.
    Corrupt(String),
}

/// The end of a log.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Tail {
    pub segment: PathBuf,
    pub offset: u64,
    pub crc: u32,
}

/// Membership as it changes through the entries.
#[derive(Default)]
struct Members {
    voters: BTreeSet<MemberId>,
    /// Changes by the index of their entry, which a later entry of the same index revokes.
    changes: Vec<(u64, u64, u64)>,
}

/// Reads the log in a directory; none when there is none.
///
/// # Errors
/// When files cannot be read, or are no log.
pub fn read(dir: &Path) -> Result<Option<Log>> {
    let segments = segments(dir)?;
    if segments.is_empty() {
        return Ok(None);
    }
    let (mut log, mut members, mut crc) = (Log::default(), Members::default(), Crc::default());
    let last = segments.len() - 1;
    for (at, path) in segments.iter().enumerate() {
        let file = File::open(path).with_context(|| format!("open {}", path.display()))?;
        let size = file.metadata().with_context(|| format!("look at {}", path.display()))?.len();
        let mut segment =
            Segment { file: BufReader::with_capacity(1 << 18, file), size, offset: 0 };
        loop {
            let before = segment.offset;
            let damage = match segment.next() {
                Ok(None) => break,
                Ok(Some(record)) => match take(&mut log, &mut members, &mut crc, &record) {
                    Ok(()) => continue,
                    Err(why) => ended(why, at == last && is_torn(&record, before)),
                },
                Err(Short(why)) => ended(why, at == last),
            };
            log.damage = Some(damage.at(path, before));
            segment.offset = before;
            break;
        }
        log.tail = Tail { segment: path.clone(), offset: segment.offset, crc: crc.sum() };
        if log.damage.is_some() {
            break;
        }
    }
    log.voters = members.at(log.commit);
    Ok(Some(log))
}

fn segments(dir: &Path) -> Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(vec![]),
        Err(error) => return Err(error).with_context(|| format!("list {}", dir.display())),
    };
    let mut names = vec![];
    for entry in entries {
        let path = entry.with_context(|| format!("list {}", dir.display()))?.path();
        // `0.tmp` is a segment that has not begun; `.broken` is one that was repaired
        if path.extension().is_some_and(|end| end == "wal") {
            names.push(path);
        }
    }
    // sixteen hexadecimal digits each: the order of names is the order of sequence
    names.sort();
    Ok(names)
}

struct Segment {
    file: BufReader<File>,
    size: u64,
    offset: u64,
}

/// The file ends before the record does, or its length is none.
struct Short(String);

/// One record as it lies there.
struct Record {
    /// None where it is no record.
    told: Option<proto::Record>,
    /// All bytes of it, for the question whether it was torn.
    raw: Vec<u8>,
}

impl Segment {
    fn next(&mut self) -> Result<Option<Record>, Short> {
        if self.offset + FRAME > self.size {
            return Ok(None);
        }
        let mut word = [0; 8];
        self.file.read_exact(&mut word).map_err(|error| Short(error.to_string()))?;
        let word = u64::from_le_bytes(word);
        if word == 0 {
            return self.end();
        }
        let length = word & !(0xff << 56);
        let padding = if word >> 63 == 1 { word >> 56 & 7 } else { 0 };
        if length + padding > self.size - self.offset - FRAME {
            return Err(Short(format!("a record of {length} bytes does not fit the file")));
        }
        let whole = usize::try_from(length + padding).map_err(|_| Short("too long".into()))?;
        let mut raw = vec![0; whole];
        self.file.read_exact(&mut raw).map_err(|error| Short(error.to_string()))?;
        self.offset += FRAME + length + padding;
        let bytes = raw.get(..whole - usize::try_from(padding).unwrap_or(0)).unwrap_or_default();
        let told = proto::Record::decode(bytes).ok();
        Ok(Some(Record { told, raw }))
    }

    /// Behind the last record lies nothing but zeroes, or what a torn write left.
    fn end(&mut self) -> Result<Option<Record>, Short> {
        let mut rest = [0; 1 << 14];
        loop {
            match self.file.read(&mut rest).map_err(|error| Short(error.to_string()))? {
                0 => return Ok(None),
                length if rest.iter().take(length).all(|byte| *byte == 0) => {}
                _ => return Err(Short("the log ends, and something lies behind its end".into())),
            }
        }
    }
}

/// `isTornEntry`: some sector of the record was never written.
fn is_torn(record: &Record, offset: u64) -> bool {
    let (mut at, mut rest) = (offset + FRAME, record.raw.as_slice());
    while !rest.is_empty() {
        let length = usize::try_from(SECTOR - at % SECTOR).unwrap_or(1).min(rest.len());
        let (sector, after) = rest.split_at(length);
        if sector.iter().all(|byte| *byte == 0) {
            return true;
        }
        at += length as u64;
        rest = after;
    }
    false
}

fn ended(why: String, torn: bool) -> Damage {
    if torn { Damage::Torn(why) } else { Damage::Corrupt(why) }
}

impl Damage {
    fn at(self, path: &Path, offset: u64) -> Self {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        match self {
            Self::Torn(why) => Self::Torn(format!("{name} at {offset}: {why}")),
            Self::Corrupt(why) => Self::Corrupt(format!("{name} at {offset}: {why}")),
        }
    }
}

fn take(
    log: &mut Log,
    members: &mut Members,
    crc: &mut Crc,
    record: &Record,
) -> Result<(), String> {
    let record = record.told.as_ref().ok_or("it is no record")?;
    let data = record.data.as_deref().unwrap_or_default();
    if record.kind == kind::CRC {
        // the first segment that is left begins with what those before it ended in
        if crc.sum() != 0 && crc.sum() != record.crc {
            return Err("it does not follow the segment before it".into());
        }
        *crc = Crc::new(record.crc);
        return Ok(());
    }
    let mut next = crc.clone();
    next.update(data);
    if next.sum() != record.crc {
        return Err(format!("its checksum is {:x}, not {:x}", next.sum(), record.crc));
    }
    *crc = next;
    match record.kind {
        kind::METADATA => {
            let about: proto::Metadata = told(data)?;
            (log.member, log.cluster) = (MemberId(about.member), MemberId(about.cluster));
        }
        kind::ENTRY => {
            let entry: proto::Entry = told(data)?;
            // an entry takes the place of all that come after it
            (log.last_term, log.last_index) = (entry.term, entry.index);
            members.changes.retain(|(at, ..)| *at < entry.index);
            if entry.kind == proto::Entry::CONF_CHANGE {
                let change: proto::ConfChange = told(entry.data.as_deref().unwrap_or_default())?;
                members.changes.push((entry.index, change.kind, change.member));
            }
        }
        kind::STATE => {
            let state: proto::HardState = told(data)?;
            (log.term, log.vote, log.commit) = (state.term, state.vote, state.commit);
        }
        kind::SNAPSHOT => snapshot(log, members, told(data)?),
        other => return Err(format!("it is of kind {other}, which nobody knows")),
    }
    Ok(())
}

/// What a record holds; its checksum is right, so that anything else was written by somebody else.
fn told<T: Message + Default>(data: &[u8]) -> Result<T, String> {
    T::decode(data).map_err(|error| format!("what it holds cannot be read: {error}"))
}

fn snapshot(log: &mut Log, members: &mut Members, told: proto::Snapshot) {
    let proto::Snapshot { index, term, state } = told;
    if index > log.last_index {
        // sent by a leader: the entries before it never came here
        (log.last_index, log.last_term) = (index, term);
    }
    if let Some(state) = state {
        members.voters = state.voters.into_iter().map(MemberId).collect();
        members.changes.retain(|(at, ..)| *at > index);
    }
}

impl Members {
    /// `ConfChangeType`: 0 adds a voter (or promotes a learner), 1 removes, 2 changes URLs, 3 adds a learner.
    fn at(&self, commit: u64) -> BTreeSet<MemberId> {
        let mut voters = self.voters.clone();
        for (_, kind, id) in self.changes.iter().filter(|(at, ..)| *at <= commit) {
            match kind {
                0 => _ = voters.insert(MemberId(*id)),
                1 => _ = voters.remove(&MemberId(*id)),
                _ => {}
            }
        }
        voters
    }
}

impl Log {
    /// The same as raft decides who may lead (§5.4.1 of the paper): the later last term, then the longer log.
    pub fn place(&self) -> (u64, u64, u64) {
        (self.last_term, self.last_index, self.commit)
    }
}

/// Tells that a log cannot be used for what was wanted.
pub(crate) fn refuse_damaged(log: &Log) -> Result<()> {
    match &log.damage {
        Some(Damage::Corrupt(why)) => bail!("the log is damaged: {why}"),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
