//! What is tried in which round: a pure function of the seed, so that a round that failed can be had again.

use serde::Serialize;

/// Which etcd the members run.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Hash, PartialOrd, Ord)]
pub enum Version {
    /// The newest 3.5.
    #[serde(rename = "3.5")]
    V3_5,
    /// The pinned 3.6.
    #[serde(rename = "3.6")]
    V3_6,
}

impl Version {
    /// Its first two numbers.
    pub fn line(self) -> &'static str {
        match self {
            Self::V3_5 => "3.5",
            Self::V3_6 => "3.6",
        }
    }
}

/// What is asked of our program.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Hash, PartialOrd, Ord)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// A running follower is removed.
    RemoveFollower,
    /// The leader is removed.
    RemoveLeader,
    /// A member whose process is gone for good is removed.
    RemoveDead,
    /// A learner that was added becomes a voter.
    AddVoter,
    /// A named follower becomes the leader.
    MoveLeader,
    /// History is compacted, and every member defragmented.
    Maintain,
    /// A snapshot is there.
    Snapshot,
    /// A snapshot is there, and becomes a new cluster.
    Restore,
}

impl Operation {
    /// How long it takes where nothing goes wrong. What removes or stops a member takes evidence first, which takes five seconds.
    fn span_ms(self) -> u64 {
        match self {
            Self::MoveLeader => 500,
            Self::Snapshot | Self::Restore => 600,
            Self::AddVoter => 1500,
            Self::Maintain => 12_000,
            Self::RemoveFollower | Self::RemoveLeader | Self::RemoveDead => 6500,
        }
    }

    /// Whether a member is gone in the end.
    pub fn removes(self) -> bool {
        matches!(self, Self::RemoveFollower | Self::RemoveLeader | Self::RemoveDead)
    }
}

/// What goes wrong meanwhile, besides our program being killed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Hash, PartialOrd, Ord)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// Nothing else.
    None,
    /// A member is killed and started again.
    Kill,
    /// A member is stopped in its tracks and goes on.
    Pause,
    /// A member is cut off from everybody.
    Cut,
    /// A member is cut off from its peers, and clients reach it.
    CutFromPeers,
    /// The disk of a member is full.
    FullDisk,
    /// Every sync of a member takes long.
    SlowDisk,
    /// The clock of a member is wrong.
    Clock,
}

/// Whom it hits.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Hash, PartialOrd, Ord)]
#[serde(rename_all = "snake_case")]
pub enum Victim {
    /// Whom the operation is about, where that is somebody who runs.
    Target,
    /// Who leads when it happens.
    Leader,
    /// Anybody else.
    Other,
}

/// One round.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Round {
    /// Counted from zero.
    pub number: u64,
    /// What the members run.
    pub version: Version,
    /// How many there are.
    pub size: usize,
    /// What is asked for.
    pub operation: Operation,
    /// What goes wrong.
    pub fault: Fault,
    /// For whom.
    pub victim: Victim,
    /// When, in milliseconds; the program starts at [`LEAD_MS`].
    pub at_ms: u64,
    /// For how long; none: until the first run has ended.
    pub lasts_ms: Option<u64>,
    /// When our program is killed, after its start.
    pub kill_ms: Option<u64>,
    /// How far a wrong clock is off, in seconds.
    pub ahead_s: i64,
}

/// Faults may come first by this much.
pub const LEAD_MS: u64 = 1500;

const OPERATIONS: [Operation; 8] = [
    Operation::RemoveFollower,
    Operation::RemoveLeader,
    Operation::RemoveDead,
    Operation::AddVoter,
    Operation::MoveLeader,
    Operation::Maintain,
    Operation::Snapshot,
    Operation::Restore,
];
/// None comes twice: killing our program alone is the fault that a user causes most.
const FAULTS: [Fault; 9] = [
    Fault::None,
    Fault::Kill,
    Fault::Pause,
    Fault::Cut,
    Fault::CutFromPeers,
    Fault::None,
    Fault::FullDisk,
    Fault::SlowDisk,
    Fault::Clock,
];
const CLUSTERS: [(Version, usize); 4] =
    [(Version::V3_6, 3), (Version::V3_5, 3), (Version::V3_6, 5), (Version::V3_5, 5)];

impl Round {
    /// The round with this number. Every operation, every fault and every cluster comes once before it comes again.
    pub fn of(seed: u64, number: u64) -> Self {
        let mut dice = Dice::new(seed, number);
        let (version, size) = dealt(seed, 1, number, CLUSTERS);
        let fault = dealt(seed, 2, number, FAULTS);
        let operation = dealt(seed, 3, number, OPERATIONS);
        let victim = dice.one_of([Victim::Target, Victim::Leader, Victim::Other]);
        let transient = dice.below(2) == 0;
        let kill = fault == Fault::None || dice.below(2) == 0;
        Self {
            number,
            version,
            size,
            operation,
            fault,
            victim,
            at_ms: dice.below(LEAD_MS + operation.span_ms()),
            lasts_ms: transient.then(|| 300 + dice.below(4000)),
            kill_ms: kill.then(|| dice.moment(operation)),
            ahead_s: dice.one_of([-3600, -90, -5, 5, 90, 3600]),
        }
    }

    /// The short campaign: every commit tries the same, and what each round is for stands in its fault.
    pub fn short(number: u64) -> Option<Self> {
        let (version, operation, fault, victim, kill_ms) = match number {
            0 => (
                Version::V3_6,
                Operation::RemoveLeader,
                Fault::CutFromPeers,
                Victim::Other,
                Some(5300),
            ),
            1 => (Version::V3_5, Operation::RemoveFollower, Fault::Kill, Victim::Leader, None),
            2 => (Version::V3_6, Operation::Restore, Fault::None, Victim::Other, Some(150)),
            3 => (Version::V3_6, Operation::Maintain, Fault::Pause, Victim::Other, Some(6000)),
            _ => return None,
        };
        let (at_ms, lasts_ms, ahead_s) = (LEAD_MS + 2500, Some(1500), 0);
        Some(Self {
            number,
            version,
            size: 3,
            operation,
            fault,
            victim,
            at_ms,
            lasts_ms,
            kill_ms,
            ahead_s,
        })
    }

    /// One line for whoever watches.
    pub fn title(&self) -> String {
        let kill = self.kill_ms.map_or(String::new(), |ms| format!(", killed at {ms} ms"));
        let fault = match self.fault {
            Fault::None => String::new(),
            Fault::Clock => format!(", clock off by {} s", self.ahead_s),
            fault => {
                let lasts = self.lasts_ms.map_or("to the end".to_owned(), |ms| format!("{ms} ms"));
                format!(", {fault:?} of {:?} at {} ms for {lasts}", self.victim, self.at_ms)
            }
        };
        let Self { number, version, size, operation, .. } = self;
        format!("round {number}: {operation:?} on {size} of {version:?}{kill}{fault}")
    }
}

/// The card with this number out of decks that are shuffled one after the other.
#[expect(clippy::indexing_slicing, reason = "a remainder is below what it was divided by")]
fn dealt<T: Copy, const N: usize>(seed: u64, deck: u64, number: u64, mut cards: [T; N]) -> T {
    let (pass, at) = (number / N as u64, number % N as u64);
    let mut dice = Dice::new(seed ^ deck.rotate_right(8), pass);
    for last in (1..N).rev() {
        let other = usize::try_from(dice.below(last as u64 + 1)).unwrap_or_default();
        cards.swap(last, other);
    }
    let at = usize::try_from(at).unwrap_or_default();
    cards[at]
}

/// Numbers that follow from a seed (SplitMix64): the same ones everywhere and for ever.
struct Dice(u64);

impl Dice {
    fn new(seed: u64, number: u64) -> Self {
        let mut dice = Self(seed ^ number.wrapping_mul(0xd1b5_4a32_d192_ed03));
        dice.next();
        dice
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    #[expect(clippy::indexing_slicing, reason = "a remainder is below what it was divided by")]
    fn one_of<T: Copy, const N: usize>(&mut self, all: [T; N]) -> T {
        all[usize::try_from(self.below(N as u64)).unwrap_or_default()]
    }

    /// When to kill the program: anywhere, and half of the times where its changes are made.
    fn moment(&mut self, operation: Operation) -> u64 {
        let anywhere = self.below(2) == 0;
        if anywhere || operation.span_ms() < 5000 {
            return 5 + self.below(operation.span_ms());
        }
        4950 + self.below(900)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_seed_gives_the_same_rounds_each_time_and_another_gives_others() {
        let rounds = |seed| (0..50).map(|number| Round::of(seed, number)).collect::<Vec<_>>();
        assert_eq!(rounds(7), rounds(7));
        assert_ne!(rounds(7), rounds(8));
    }

    #[test]
    fn everything_comes_once_before_it_comes_again() {
        for seed in 0..20 {
            let of =
                |numbers: std::ops::Range<u64>| numbers.map(move |number| Round::of(seed, number));
            for pass in 0..5 {
                let operations: BTreeSet<_> =
                    of(pass * 8..pass * 8 + 8).map(|r| r.operation).collect();
                let faults: BTreeSet<_> = of(pass * 9..pass * 9 + 9).map(|r| r.fault).collect();
                let clusters: BTreeSet<_> =
                    of(pass * 4..pass * 4 + 4).map(|r| (r.version, r.size)).collect();
                assert_eq!((operations.len(), faults.len(), clusters.len()), (8, 8, 4));
            }
        }
    }

    #[test]
    fn every_pair_of_operation_and_fault_comes() {
        let pairs: BTreeSet<_> =
            (0..2000).map(|number| Round::of(1, number)).map(|r| (r.operation, r.fault)).collect();
        assert_eq!(pairs.len(), 64);
    }

    #[test]
    fn without_another_fault_our_program_is_killed() {
        assert!(
            (0..500)
                .map(|n| Round::of(3, n))
                .all(|r| r.fault != Fault::None || r.kill_ms.is_some())
        );
    }

    #[test]
    fn the_short_campaign_has_a_round_of_the_older_version() {
        let all: Vec<_> = (0..).map_while(Round::short).collect();
        assert!(all.iter().any(|round| round.version == Version::V3_5));
        assert!(all.len() <= 4 && all.iter().all(|round| round.size == 3));
    }
}
