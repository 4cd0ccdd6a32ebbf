//! The one record that is ever written into a log: that all of its entries count.

use super::{FRAME, Log, crc::Crc, kind, proto, read, refuse_damaged};
use anyhow::{Context, Result, ensure};
use prost::Message;
use std::{
    fs::OpenOptions,
    io::{Seek, SeekFrom, Write},
    path::Path,
};

/// Makes every entry of the log a committed one. Returns whether there was anything to do.
///
/// `etcd --force-new-cluster` throws away what is not known to be committed, and a member learns late what is: a write that was acknowledged because this member held it
/// would be lost. An entry that was never committed may become so by this; its client was told nothing, so either is true to it. It is what raft does
/// with the log of a member that is elected.
///
/// # Errors
/// When the log is damaged or cannot be written.
pub fn keep_tail(dir: &Path) -> Result<bool> {
    let log = read(dir)?.with_context(|| format!("find a log in {}", dir.display()))?;
    refuse_damaged(&log)?;
    if log.commit >= log.last_index {
        return Ok(false);
    }
    let frame = frame(&log);
    let path = &log.tail.segment;
    let write = || -> std::io::Result<u64> {
        let mut file = OpenOptions::new().read(true).write(true).open(path)?;
        let size = file.metadata()?.len();
        // what is left of a torn record is wiped, as etcd's own repair does
        file.set_len(log.tail.offset)?;
        file.set_len(size.max(log.tail.offset + frame.len() as u64 + FRAME))?;
        file.seek(SeekFrom::Start(log.tail.offset))?;
        file.write_all(&frame)?;
        file.sync_all()?;
        Ok(size)
    };
    write().with_context(|| format!("write {}", path.display()))?;
    let after = read(dir)?.unwrap_or_default();
    ensure!(
        after.damage.is_none()
            && after.commit == log.last_index
            && after.place().1 == log.last_index,
        "read back what was written to {}: commit {} instead of {}",
        path.display(),
        after.commit,
        log.last_index
    );
    Ok(true)
}

fn frame(log: &Log) -> Vec<u8> {
    let state = proto::HardState {
        term: log.term.max(log.last_term),
        // a vote is for one term
        vote: if log.term >= log.last_term { log.vote } else { 0 },
        commit: log.last_index,
    };
    let data = state.encode_to_vec();
    let mut crc = Crc::new(log.tail.crc);
    crc.update(&data);
    let record = proto::Record { kind: kind::STATE, crc: crc.sum(), data: Some(data) };
    let mut record = record.encode_to_vec();
    let length = record.len() as u64;
    let padding = (8 - length % 8) % 8;
    let word = if padding == 0 { length } else { length | (0x80 | padding) << 56 };
    record.resize(record.len() + usize::try_from(padding).unwrap_or(0), 0);
    [word.to_le_bytes().as_slice(), &record].concat()
}
