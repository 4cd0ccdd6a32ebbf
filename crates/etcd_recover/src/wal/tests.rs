//! Logs made here by the rules of the format; the real ones are read in `tests/it`.

use super::*;

/// A log in the making.
struct Writer {
    bytes: Vec<u8>,
    crc: Crc,
}

impl Writer {
    fn begin(previous: u32) -> Self {
        let mut writer = Self { bytes: vec![], crc: Crc::new(previous) };
        writer.frame(&proto::Record { kind: kind::CRC, crc: previous, data: None });
        writer
    }

    fn record(&mut self, kind: u64, data: &[u8]) {
        self.crc.update(data);
        self.frame(&proto::Record { kind, crc: self.crc.sum(), data: Some(data.to_vec()) });
    }

    fn frame(&mut self, record: &proto::Record) {
        let mut record = record.encode_to_vec();
        let length = record.len() as u64;
        let padding = (8 - length % 8) % 8;
        record.resize(usize::try_from(length + padding).unwrap(), 0);
        let word = if padding == 0 { length } else { length | (0x80 | padding) << 56 };
        self.bytes.extend(word.to_le_bytes());
        self.bytes.extend(record);
    }

    fn entry(&mut self, term: u64, index: u64, change: Option<(u64, u64)>) {
        let data = change.map(|(kind, member)| proto::ConfChange { kind, member }.encode_to_vec());
        let entry = proto::Entry { kind: change.is_some().into(), term, index, data };
        self.record(kind::ENTRY, &entry.encode_to_vec());
    }

    fn state(&mut self, term: u64, commit: u64) {
        self.record(kind::STATE, &proto::HardState { term, vote: 7, commit }.encode_to_vec());
    }

    fn save(&self, dir: &Path, name: &str) {
        let mut bytes = self.bytes.clone();
        bytes.resize(bytes.len().max(4096) + 4096, 0);
        fs::write(dir.join(name), bytes).unwrap();
    }
}

/// Three voters, six entries of which four are known to be committed.
fn six() -> Writer {
    let mut log = Writer::begin(0);
    let metadata = proto::Metadata { member: 0xa1, cluster: 0xc1 };
    log.record(kind::METADATA, &metadata.encode_to_vec());
    log.record(kind::SNAPSHOT, &[]);
    for (index, id) in [(1, 0xa1), (2, 0xa2), (3, 0xa3)] {
        log.entry(1, index, Some((0, id)));
    }
    log.state(2, 4);
    for index in 4..=6 {
        log.entry(2, index, None);
    }
    log
}

const FIRST: &str = "0000000000000000-0000000000000000.wal";
const SECOND: &str = "0000000000000001-0000000000000007.wal";

#[test]
fn a_log_tells_whose_it_is_and_how_far_it_goes() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(read(dir.path()).unwrap(), None);
    assert_eq!(read(&dir.path().join("missing")).unwrap(), None);
    six().save(dir.path(), FIRST);
    let log = read(dir.path()).unwrap().unwrap();
    assert_eq!((log.member, log.cluster), (MemberId(0xa1), MemberId(0xc1)));
    assert_eq!((log.term, log.commit, log.last_term, log.last_index), (2, 4, 2, 6));
    assert_eq!(log.voters, [MemberId(0xa1), MemberId(0xa2), MemberId(0xa3)].into());
    assert_eq!(log.damage, None);
}

#[test]
fn a_later_entry_revokes_those_behind_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut log = six();
    log.entry(3, 5, Some((1, 0xa3)));
    log.save(dir.path(), FIRST);
    let read = read(dir.path()).unwrap().unwrap();
    assert_eq!((read.last_term, read.last_index), (3, 5));
    assert_eq!(read.voters.len(), 3, "the removal is not known to be committed");
    log.state(3, 5);
    log.save(dir.path(), FIRST);
    assert_eq!(super::read(dir.path()).unwrap().unwrap().voters.len(), 2);
}

#[test]
fn segments_are_one_row_and_the_first_may_be_gone() {
    let dir = tempfile::tempdir().unwrap();
    let first = six();
    first.save(dir.path(), FIRST);
    let mut second = Writer::begin(first.crc.sum());
    second.entry(2, 7, None);
    second.save(dir.path(), SECOND);
    assert_eq!(read(dir.path()).unwrap().unwrap().last_index, 7);
    fs::remove_file(dir.path().join(FIRST)).unwrap();
    let log = read(dir.path()).unwrap().unwrap();
    assert_eq!((log.last_index, log.damage), (7, None));
    let mut stranger = Writer::begin(0x1234);
    stranger.entry(2, 7, None);
    first.save(dir.path(), FIRST);
    stranger.save(dir.path(), SECOND);
    let log = read(dir.path()).unwrap().unwrap();
    assert!(matches!(log.damage, Some(Damage::Corrupt(_))) && log.last_index == 6, "{log:?}");
}

#[test]
fn what_was_torn_is_told_from_what_was_changed() {
    let dir = tempfile::tempdir().unwrap();
    let log = six();
    let whole = log.bytes.len();
    let mut grown = six();
    grown.record(kind::ENTRY, &[9; 3000]);
    let mut torn = grown.bytes.clone();
    torn[whole + 1024..].fill(0);
    torn.resize(8192, 0);
    fs::write(dir.path().join(FIRST), &torn).unwrap();
    let read = |bytes: &[u8]| {
        fs::write(dir.path().join(FIRST), bytes).unwrap();
        super::read(dir.path()).unwrap().unwrap()
    };
    assert!(matches!(read(&torn).damage, Some(Damage::Torn(_))));
    assert!(
        matches!(read(&grown.bytes[..whole + 100]).damage, Some(Damage::Torn(_))),
        "the file was cut"
    );
    for at in 0..whole {
        let mut flipped = log.bytes.clone();
        flipped[at] ^= 0x10;
        let seen = read(&flipped);
        // lengths and padding decide what is read; nothing that changes data goes unnoticed
        let same = (seen.term, seen.commit, seen.last_index, seen.voters.len()) == (2, 4, 6, 3);
        assert!(seen.damage.is_some() || same, "a flipped bit at {at}: {seen:?}");
    }
}

#[test]
fn the_tail_is_kept_and_only_once() {
    let dir = tempfile::tempdir().unwrap();
    six().save(dir.path(), FIRST);
    assert!(keep_tail(dir.path()).unwrap());
    let log = read(dir.path()).unwrap().unwrap();
    assert_eq!((log.term, log.vote, log.commit, log.last_index), (2, 7, 6, 6));
    assert!(!keep_tail(dir.path()).unwrap());
}
