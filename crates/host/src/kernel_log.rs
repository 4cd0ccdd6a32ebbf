//! I/O errors of block devices, from the kernel's log.

use crate::Command;
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::{fs::OpenOptions, io::Read, os::unix::fs::OpenOptionsExt};

/// Longer than any record the kernel makes (`PRINTKRB_RECORD_MAX` is 1024, with its dictionary below 8192).
const RECORD: usize = 8192;

/// One line of the kernel that says a block device, or the file system on it, failed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct IoError {
    /// The device, as under `/sys/class/block`: `sda1`, `loop3`.
    pub device: String,
    /// The sector of 512 bytes; none where the line does not name one.
    pub sector: Option<u64>,
    /// The line, without its time.
    pub line: String,
}

/// The I/O errors in the kernel's log, oldest first. The log is a ring: old ones fall out.
///
/// In a container the log is that of the machine: keep to the devices the host's own file systems lie on ([`crate::block::holding`]).
pub async fn io_errors() -> Result<Vec<IoError>> {
    let lines = match read_kmsg() {
        Ok(lines) => lines,
        Err(_) => {
            read_journal().await.context("read the kernel's log: /dev/kmsg cannot be read")?
        }
    };
    Ok(lines.iter().filter_map(|line| io_error(line)).collect())
}

/// The I/O error that one line of the kernel tells of, if it does.
pub fn io_error(line: &str) -> Option<IoError> {
    let is_error = [
        "I/O error",
        "medium error",
        "csum failed",
        "checksum error",
        "critical target error",
        "EXT4-fs error",
        "EXT4-fs warning",
        "metadata corruption",
    ]
    .iter()
    .any(|words| line.contains(words));
    let device = is_error.then(|| device(line)).flatten()?;
    Some(IoError { device, sector: number_after(line, "sector "), line: line.to_owned() })
}

/// The ways the block layer, ext4, btrfs and XFS name a device.
fn device(line: &str) -> Option<String> {
    let after = ["dev ", "(device ", "EXT4-fs (", "BTRFS (", "XFS (", "on device "]
        .iter()
        .find_map(|words| line.split_once(words))?
        .1;
    let name: String = after
        .chars()
        .take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '!' | '.'))
        .collect();
    let name = name.trim_end_matches('.');
    (!name.is_empty()).then(|| name.to_owned())
}

fn number_after(line: &str, words: &str) -> Option<u64> {
    let digits: String =
        line.split_once(words)?.1.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

/// Every record that is there; each read returns one (Documentation/ABI/testing/dev-kmsg).
fn read_kmsg() -> Result<Vec<String>> {
    let flags = nix::fcntl::OFlag::O_NONBLOCK.bits();
    let mut log = OpenOptions::new().read(true).custom_flags(flags).open("/dev/kmsg")?;
    let (mut lines, mut record) = (Vec::new(), vec![0; RECORD]);
    loop {
        match log.read(&mut record) {
            Ok(0) => return Ok(lines),
            Ok(length) => lines.extend(message(&String::from_utf8_lossy(
                record.get(..length).unwrap_or_default(),
            ))),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(lines),
            // EPIPE: the record was overwritten while we read; the next read goes on at the oldest that is left.
            Err(error)
                if matches!(
                    error.kind(),
                    std::io::ErrorKind::BrokenPipe | std::io::ErrorKind::Interrupted
                ) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// `priority,sequence,microseconds,flags;text`, then lines of the dictionary, which begin with a space.
fn message(record: &str) -> Option<String> {
    let (_, text) = record.split_once(';')?;
    text.lines().next().map(str::to_owned)
}

async fn read_journal() -> Result<Vec<String>> {
    let read =
        Command::new("journalctl").args(["--quiet", "--no-pager", "--dmesg", "--output=cat"]);
    Ok(read.run().await?.text().lines().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_of_a_failing_disk_are_recognised() {
        let table = [
            (
                "I/O error, dev loop3, sector 81920 op 0x0:(READ) flags 0x80700 phys_seg 4 prio class 2",
                "loop3",
                Some(81920),
            ),
            ("blk_update_request: I/O error, dev sda, sector 7 op 0x0:(READ)", "sda", Some(7)),
            (
                "critical medium error, dev nvme0n1, sector 99 op 0x0:(READ) flags 0x0",
                "nvme0n1",
                Some(99),
            ),
            ("Buffer I/O error on dev loop3, logical block 10240, async page read", "loop3", None),
            (
                "EXT4-fs error (device loop3): ext4_find_entry:1643: inode #2: comm etcd: reading directory lblock 0",
                "loop3",
                None,
            ),
            ("EXT4-fs (sda1): I/O error while writing superblock", "sda1", None),
            (
                "BTRFS warning (device loop0): csum failed root 5 ino 257 off 4096 csum 0x1 expected csum 0x2 mirror 1",
                "loop0",
                None,
            ),
            (
                "XFS (dm-0): metadata I/O error in \"xfs_imap_to_bp\" at daddr 0x1 len 8 error 5",
                "dm-0",
                None,
            ),
        ];
        for (line, device, sector) in table {
            let error = io_error(line).unwrap_or_else(|| panic!("not recognised: {line}"));
            assert_eq!((error.device.as_str(), error.sector), (device, sector), "{line}");
        }
    }

    #[test]
    fn other_lines_are_not() {
        for line in [
            "EXT4-fs (loop3): mounted filesystem with ordered data mode",
            "loop3: detected capacity change",
            "usb 1-1: new device",
            "",
        ] {
            assert_eq!(io_error(line), None, "{line}");
        }
    }

    #[test]
    fn a_record_loses_its_head_and_its_dictionary() {
        assert_eq!(
            message("3,1,2,-;I/O error, dev sda\n SUBSYSTEM=block\n").as_deref(),
            Some("I/O error, dev sda")
        );
        assert_eq!(message("torn"), None);
    }
}
