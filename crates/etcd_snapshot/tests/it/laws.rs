//! The laws, over every small world of one directory.

use std::path::PathBuf;
use std::time::Duration;

use etcd_cluster::reading::{Answer, Hash, Reading, Status};
use etcd_cluster::{Member, MemberId, Role};
use etcd_snapshot::EtcdSnapshot;
use etcd_snapshot::args::{Endpoints, Goal, Present, Wanted};
use etcd_snapshot::plan::choose;
use etcd_snapshot::state::{File, Observed, Validity};

const CLUSTER: MemberId = MemberId(0xc10c);
const STARTED: i64 = 1_767_225_600_000;

fn wanted(since: i64, keep: Option<usize>) -> Wanted {
    let goal = Goal::Present(Present {
        dest: "/b".into(),
        since,
        until: STARTED + 60_000,
        keep,
        compare_hashes: true,
    });
    Wanted {
        cluster: Endpoints { urls: vec![], files: [None, None, None] as [Option<PathBuf>; 3] },
        goal,
        timeout: Duration::from_mins(10),
    }
}

/// Members that differ in what matters for the choice: health, lag, hash and who leads.
fn cluster(health: [bool; 3], lag: [u64; 3], hash: [u32; 3], leader: usize) -> Reading {
    let id = |at: usize| MemberId(at as u64 + 1);
    let member = |at: usize| Member {
        id: id(at),
        name: format!("cp{at}"),
        role: Role::Voter,
        peer_urls: vec![],
        client_urls: vec![],
    };
    let members: Vec<Member> = (0..3).map(member).collect();
    let answer = |at: usize| {
        let behind = 5000 - lag[at];
        let status = Status {
            member_id: id(at),
            cluster_id: CLUSTER,
            leader: id(leader),
            term: 2,
            raft_index: behind,
            applied_index: behind,
            ..Status::default()
        };
        let hash = Some(Hash { hash: hash[at], compact_revision: 1 });
        let whole = Answer {
            status: Some(status),
            linearizable: true,
            list: Some(members.clone()),
            hash,
            ..Answer::default()
        };
        (id(at), if health[at] { whole } else { Answer::default() })
    };
    Reading {
        cluster_id: CLUSTER,
        members: members.clone(),
        linearizable: true,
        answers: (0..3).map(answer).collect(),
        alarms: Some(vec![]),
        hashed_at: Some(1),
    }
}

fn file(at: i64, validity: Validity) -> File {
    let taken_at = STARTED - at * 1000;
    File {
        name: etcd_snapshot::name::of(CLUSTER, taken_at),
        taken_at,
        validity,
        size: 544,
        ..File::default()
    }
}

#[test]
fn small_directories_keep_the_laws() {
    let kinds = [
        None,
        Some(Validity::Valid),
        Some(Validity::Invalid("cut".into())),
        Some(Validity::Unread),
    ];
    let mut plans = 0;
    // Every fifth: a prime to the digits, so that each kind of file still meets each other.
    for world in (0..4 * 4 * 4 * 4 * 2).step_by(5) {
        let pick = |digit: u32| kinds[world / 4_usize.pow(digit) % 4].clone();
        let files = [10, 100, 1000, -90]
            .iter()
            .zip(0..)
            .filter_map(|(age, digit)| Some(file(*age, pick(digit)?)))
            .collect();
        let remains = if world >= 256 { vec!["x.part".to_owned()] } else { vec![] };
        let cluster = Some(cluster([true; 3], [0; 3], [7; 3], 0));
        let world = Observed {
            cluster,
            dest: "/b".into(),
            files,
            remains,
            free: Some(1 << 40),
            ..Observed::default()
        };
        let precious: Vec<&File> = world.files.iter().filter(|file| !file.is_valid()).collect();
        for since in [STARTED, STARTED - 50_000, STARTED - 500_000] {
            for keep in [None, Some(1), Some(2), Some(3)] {
                // What is not known to be whole is never touched, and there is never less than there was, up to what is to be kept.
                let valid = |observed: &Observed| {
                    observed.files.iter().filter(|file| file.is_valid()).count()
                };
                let least = valid(&world).min(keep.unwrap_or(usize::MAX));
                let invariant = |now: &Observed| {
                    precious.iter().all(|file| now.files.contains(file)) && valid(now) >= least
                };
                plans += usize::from(testkit::laws::check::<EtcdSnapshot>(
                    &wanted(since, keep),
                    &world,
                    invariant,
                ));
            }
        }
    }
    assert_eq!(plans, 103 * 12);
}

#[test]
fn the_member_chosen_is_proven_agrees_with_another_and_lags_least() {
    let Goal::Present(present) = wanted(STARTED, None).goal else { panic!() };
    let mut chosen = 0;
    for world in 0..8 * 27 * 8 * 3 {
        let bit = |at: usize| world >> at & 1 == 1;
        let health = [bit(0), bit(1), bit(2)];
        let lags = [0, 10, 2000];
        let lag = [0, 1, 2].map(|at| lags[world / 8 / 3_usize.pow(at) % 3]);
        let hash = [0, 1, 2].map(|at| u32::from(bit_of(world / 8 / 27, at)));
        let leader = world / 8 / 27 / 8;
        let reading = cluster(health, lag, hash, leader);
        let Ok(member) = choose(&present, &reading) else { continue };
        chosen += 1;
        let at = usize::try_from(member.0).unwrap() - 1;
        let nearest = (0..3).filter(|at| health[*at]).map(|at| lag[at]).min().unwrap();
        assert!(health[at] && lag[at] - nearest < 1000, "{reading:?}");
        let agree =
            |at: usize| (0..3).any(|other| other != at && health[other] && hash[other] == hash[at]);
        assert!(agree(at), "{reading:?}");
        let usable = |at: usize| health[at] && agree(at) && lag[at] - nearest < 1000;
        // Without the leader's own answer nobody knows how far it is.
        let better = (0..3)
            .filter(|other| {
                *other != at && *other != leader && usable(*other) && lag[*other] < lag[at]
            })
            .count();
        assert!(
            at != leader || (0..3).all(|other| other == leader || !usable(other)),
            "a follower comes before the leader: {reading:?}"
        );
        assert!(at == leader || better == 0, "the nearest follower is chosen: {reading:?}");
    }
    assert!(chosen > 500, "{chosen}");
}

fn bit_of(number: usize, at: usize) -> bool {
    number >> at & 1 == 1
}
