use super::*;
use crate::store::manifest::Mark;
use crate::store::record::{Anchor, Kind, Record, group};

const MODELS: [&str; 3] = ["a", "b", "c"];
const ROOM: usize = 1024;

fn record(model: &str) -> Record {
    Record {
        session: "s".to_owned(),
        model: model.to_owned(),
        anchor: Anchor::of(b"file"),
        mark: Mark {
            updated: 1,
            step: 1,
        },
        kind: if model == "b" {
            Kind::Redo
        } else {
            Kind::Snapshot
        },
        content: content(model),
    }
}

fn content(model: &str) -> Vec<u8> {
    format!("what {model} is").into_bytes()
}

/// A segment with a group for each of these lists of models.
fn groups(segment: u64, first: u64, lists: &[&[&str]]) -> (Vec<u8>, GroupDigest) {
    let mut bytes = Vec::new();
    let mut previous = GroupDigest::default();
    for (number, models) in (first..).zip(lists) {
        let records: Vec<Record> = models.iter().map(|model| record(model)).collect();
        let offset = bytes.len() as u64;
        let (group, digest) = group(&records, segment, offset, number, previous);
        assert_eq!(
            group.len(),
            records.iter().map(Record::bytes).sum::<usize>()
        );
        bytes.extend(group);
        previous = digest;
    }
    (bytes, previous)
}

/// A segment with a commit of each model, synced one by one, as this program writes it.
fn segment() -> Vec<u8> {
    let (mut bytes, _) = groups(7, 0, &[&["a"], &["b"], &["c"]]);
    bytes.resize(bytes.len() + ROOM, 0);
    bytes
}

/// The same as the program before wrote it.
fn old_segment() -> Vec<u8> {
    let mut bytes = Vec::new();
    for model in MODELS {
        let record = record(model);
        let mut head = Head {
            side: Side::Before,
            kind: record.kind,
            segment: 7,
            offset: bytes.len() as u64,
            bytes: record.content.len(),
            link: None,
            mark: None,
            anchor: record.anchor,
            checksum: blake3::hash(&record.content).into(),
            session: record.session,
            model: record.model,
        };
        assert_eq!(head.to_bytes().len(), 256);
        bytes.extend(head.to_bytes());
        bytes.extend(&record.content);
        bytes.resize(bytes.len().next_multiple_of(ALIGNMENT), 0);
        head.side = Side::After;
        bytes.extend(head.to_bytes());
    }
    bytes.resize(bytes.len() + ROOM, 0);
    bytes
}

fn chained(found: &[FoundCommit<'_>]) -> Chain {
    let mut chain = Chain::default();
    chain.add(found);
    chain
}

#[test]
fn both_formats_are_read() {
    for bytes in [segment(), old_segment()] {
        let found = scan(&bytes, 7);
        assert_eq!(found.len(), 3);
        for (found, model) in found.iter().zip(MODELS) {
            assert_eq!(
                (found.head.session.as_str(), &*found.head.model),
                ("s", model)
            );
            assert_eq!(found.head.anchor, Anchor::of(b"file"));
            assert_eq!(found.content, Some(&content(model)[..]));
        }
        assert!(chained(&found).gaps().is_empty());
        assert!(scan(&bytes, 8).is_empty(), "another segment's");
    }
    assert!(!is_newer(&segment(), 7));
    let newer = String::from_utf8_lossy(&segment()).replace("bpd-log2", "bpd-log3");
    assert!(is_newer(newer.as_bytes(), 7));
}

#[test]
fn a_flipped_bit_costs_its_own_commit_at_most_and_never_in_silence() {
    for mut bytes in [segment(), old_segment()] {
        let each = (bytes.len() - ROOM) / MODELS.len();
        for bit in 0..(bytes.len() - ROOM) * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            let found = scan(&bytes, 7);
            for (at, model) in MODELS.into_iter().enumerate() {
                let one = found.iter().find(|found| found.head.model == model);
                let is_whole = one.is_some_and(|found| found.content == Some(&content(model)[..]));
                // One of its two heads is intact, so its owner is known.
                assert!(one.is_some(), "bit {bit}");
                assert!(is_whole || at == bit / 8 / each, "bit {bit}");
            }
            assert!(!is_newer(&bytes, 7), "bit {bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }
}

#[test]
fn of_a_segment_that_is_cut_the_commits_before_are_there() {
    for bytes in [segment(), old_segment()] {
        let each = (bytes.len() - ROOM) / MODELS.len();
        for length in 0..bytes.len() {
            let mut cut = bytes[..length].to_vec();
            let count = |cut: &[u8]| {
                let found = scan(cut, 7);
                found.iter().filter(|found| found.content.is_some()).count()
            };
            assert!(count(&cut) >= (length / each).min(3), "{length}");
            // Like a torn write in a zeroed segment.
            let before = count(&cut);
            cut.resize(bytes.len(), 0);
            assert_eq!(count(&cut), before, "{length}");
        }
    }
}

#[test]
fn zeros_over_any_stretch_before_a_sound_group_are_noticed() {
    let (bytes, _) = groups(7, 0, &[&["a"], &["b", "c"], &["a"], &["b"], &["c"]]);
    let last = bytes.len() - record("c").bytes();
    for begin in (0..last).step_by(40) {
        for end in (begin + 1..=last).step_by(72) {
            let mut zeroed = bytes.clone();
            zeroed[begin..end].fill(0);
            if zeroed == bytes {
                continue;
            }
            let found = scan(&zeroed, 7);
            let is_told = found.iter().any(|found| found.content.is_none());
            let chain = chained(&found);
            let sound = found.iter().filter(|found| found.content.is_some()).count();
            assert!(
                is_told || sound == 6 || !chain.gaps().is_empty(),
                "{begin}..{end}"
            );
        }
    }
}

#[test]
fn a_group_of_another_past_is_noticed() {
    // Both are sound; the second one comes after another first one.
    let (first, _) = groups(7, 0, &[&["a"]]);
    let (other, _) = groups(7, 0, &[&["b"], &["c"]]);
    let mut spliced = first.clone();
    spliced.extend(&other[first.len()..]);
    let gaps = chained(&scan(&spliced, 7)).gaps();
    assert_eq!(gaps.len(), 1, "{gaps:?}");
    assert!(gaps[0].1.contains("does not come after"), "{gaps:?}");
}

#[test]
fn the_tail_of_a_segment_is_missed_by_the_next_segment() {
    let (first, _) = groups(7, 0, &[&["a"], &["b"], &["c"]]);
    let link = chained(&scan(&first, 7)).next();
    assert_eq!(link.0, 3);
    let (second, _) = group(&[record("a")], 8, 0, link.0, link.1);
    for cut in [first.len() / 3, 2 * first.len() / 3, first.len()] {
        let mut chain = Chain::default();
        chain.add(&scan(&first[..cut], 7));
        chain.add(&scan(&second, 8));
        assert_eq!(chain.gaps().is_empty(), cut == first.len(), "{cut}");
    }
}

#[test]
fn a_torn_last_group_is_no_damage_and_the_next_one_takes_its_place() {
    let (whole, _) = groups(7, 0, &[&["a"], &["b", "c"]]);
    let begin = record("a").bytes();
    for end in (begin + 1..whole.len() - Format::V2.size() - 8).step_by(8) {
        let mut torn = whole.clone();
        torn[end..].fill(0);
        let found = scan(&torn, 7);
        let mut chain = chained(&found);
        assert!(chain.gaps().is_empty(), "{end}");
        let (number, previous) = chain.next();
        assert_eq!(number, 1, "{end}");
        // After a start, two more groups in a new segment.
        let (mut second, digest) = group(&[record("a")], 8, 0, number, previous);
        let offset = second.len() as u64;
        second.extend(group(&[record("b")], 8, offset, number + 1, digest).0);
        chain.add(&scan(&second, 8));
        assert!(chain.gaps().is_empty(), "{end}: {:?}", chain.gaps());
        assert!(!chain.is_confirmed(7, 1), "{end}");
        assert!(
            chain.is_confirmed(7, 0) && chain.is_confirmed(8, 1),
            "{end}"
        );
        assert_eq!(chain.next().0, 3);
    }
}

#[test]
fn bytes_of_a_client_that_look_like_a_commit_are_none() {
    let (inner, _) = groups(7, 9, &[&["c"]]);
    let outer = Record {
        content: inner,
        ..record("a")
    };
    let (mut bytes, _) = group(&[outer], 7, 0, 0, GroupDigest::default());
    // Neither whole nor with its content or its first head damaged does it give the inner one away.
    for flip in [None, Some(Format::V2.size() + 100), Some(20)] {
        if let Some(at) = flip {
            bytes[at] ^= 1;
        }
        let found = scan(&bytes, 7);
        assert_eq!(found.len(), 1, "{flip:?}");
        assert_eq!(found[0].head.model, "a");
    }
}
