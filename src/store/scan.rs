//! Reads the commits in a segment, and checks that the groups of all segments form a chain.

use super::head::{ALIGNMENT, Format, GroupDigest, Head, Side, digest};

/// A commit found in a segment.
#[derive(Debug)]
pub(super) struct FoundCommit<'a> {
    pub head: Head,
    /// Its offset.
    pub at: usize,
    /// `None` if the content is damaged.
    pub content: Option<&'a [u8]>,
}

/// Whether a newer program wrote this segment.
pub(super) fn is_newer(bytes: &[u8], segment: u64) -> bool {
    let first = bytes.get(..ALIGNMENT);
    // A single flipped bit can turn the magic word into the next version's; the second head settles the question.
    first.is_some_and(Format::is_newer) && scan(bytes, segment).is_empty()
}

/// Finds the commits in a segment, in order.
pub(super) fn scan(bytes: &[u8], segment: u64) -> Vec<FoundCommit<'_>> {
    let mut found: Vec<FoundCommit<'_>> = Vec::new();
    let mut at = 0;
    while let Some(aligned) = bytes.get(at..) {
        let mut words = aligned.chunks_exact(ALIGNMENT);
        let Some(skipped) = words.position(|word| Format::of(word).is_some()) else {
            break;
        };
        at += skipped * ALIGNMENT;
        let place = Head::read(&bytes[at..], segment).and_then(|head| {
            let size = head.format().size();
            let (span, end) = (head.span()?, at.checked_add(size)?);
            let begin = match head.side {
                Side::Before => at,
                // The head before the content is damaged.
                Side::After => end.checked_sub(span)?,
            };
            Some((head, begin, begin.checked_add(span)?, size))
        });
        let Some((head, begin, end, size)) = place else {
            at += ALIGNMENT;
            continue;
        };
        // A commit inside another one's content is a client's bytes.
        while found.last().is_some_and(|found| found.at >= begin) {
            found.pop();
        }
        let content = head.content(bytes, Some(begin + size));
        at = end;
        found.push(FoundCommit {
            head,
            at: begin,
            content,
        });
    }
    found
}

/// The readable part of a group of commits that were synced together.
#[derive(Debug)]
struct Group {
    segment: u64,
    offset: usize,
    end: usize,
    number: u64,
    previous: GroupDigest,
    count: usize,
    /// The heads of the commits found, in order.
    heads: Vec<Vec<u8>>,
    /// For each, whether its content is intact.
    is_sound: bool,
}

impl Group {
    fn is_whole(&self) -> bool {
        self.heads.len() == self.count
    }

    fn digest(&self) -> GroupDigest {
        digest(self.heads.iter().cloned())
    }
}

/// The groups of a log in the order of writing.
#[derive(Debug, Default)]
pub(super) struct Chain {
    groups: Vec<Group>,
}

impl Chain {
    /// Adds the commits of the next segment.
    pub fn add(&mut self, found: &[FoundCommit<'_>]) {
        for found in found {
            let head = &found.head;
            let Some(link) = head.link else { continue };
            let mut before = head.clone();
            before.side = Side::Before;
            let offset = usize::try_from(head.offset).unwrap_or(usize::MAX);
            let end = found.at.saturating_add(head.span().unwrap_or_default());
            match self.groups.last_mut() {
                Some(group)
                    if (group.segment, group.offset, group.number)
                        == (head.segment, offset, link.number) =>
                {
                    group.heads.push(before.to_bytes());
                    group.is_sound &= found.content.is_some();
                    group.end = end;
                }
                Some(_) | None => self.groups.push(Group {
                    segment: head.segment,
                    offset,
                    end,
                    number: link.number,
                    previous: link.previous,
                    count: usize::try_from(link.count).unwrap_or(usize::MAX),
                    heads: vec![before.to_bytes()],
                    is_sound: found.content.is_some(),
                }),
            }
        }
    }

    fn last(&self) -> Option<u64> {
        self.groups.iter().map(|group| group.number).max()
    }

    /// Whether this group was certainly durable: a later group was written, and no later segment retries it.
    pub fn is_confirmed(&self, segment: u64, number: u64) -> bool {
        let mut tries = self.groups.iter().filter(|group| group.number == number);
        let is_last_try = tries
            .next_back()
            .is_some_and(|group| group.segment == segment);
        is_last_try && self.last().is_some_and(|last| number < last)
    }

    /// The number of the next group, and the digest of the previous one.
    pub fn next(&self) -> (u64, GroupDigest) {
        match (self.groups.last(), self.last()) {
            (Some(group), Some(last))
                if !(group.is_whole() && group.is_sound) && group.number == last =>
            {
                // To all appearances this group was never acknowledged: the next one takes its number.
                (group.number, group.previous)
            }
            (Some(group), Some(last)) => (last + 1, group.digest()),
            (None, _) | (_, None) => (0, GroupDigest::default()),
        }
    }

    /// Gaps where durable groups are missing: the segment, and a description.
    pub fn gaps(&self) -> Vec<(u64, String)> {
        let mut gaps = Vec::new();
        let mut before: Option<&Group> = None;
        for group in &self.groups {
            let same_segment = before.filter(|before| before.segment == group.segment);
            let begin = same_segment.map_or(0, |before| before.end);
            if group.offset != begin {
                let (segment, offset) = (group.segment, group.offset);
                let text = format!("what lay between bytes {begin} and {offset} cannot be read");
                gaps.push((segment, text));
            }
            if let Some(before) = before {
                gaps.extend(gap(before, group));
            }
            before = Some(group);
        }
        gaps
    }
}

/// The gap between two consecutive groups found, if any.
fn gap(before: &Group, after: &Group) -> Option<(u64, String)> {
    let is_next = after.number == before.number + 1;
    let (segment, number) = (before.segment, before.number);
    if after.number == number {
        // The first attempt to write this group failed and was not acknowledged.
        None
    } else if !before.is_whole() {
        let missing = before.count.saturating_sub(before.heads.len());
        let text = format!("{missing} commits of group {number} cannot be read");
        Some((segment, text))
    } else if is_next && after.previous != before.digest() {
        let text = format!(
            "group {} does not come after group {number}: one of the two was replaced",
            after.number
        );
        Some((after.segment, text))
    } else if after.number < number {
        let text = format!(
            "group {} comes after group {number}: an older copy was put back",
            after.number
        );
        Some((after.segment, text))
    } else if !is_next && after.segment > segment && after.segment - segment == 1 {
        let missing = after.number - number - 1;
        let text = format!("{missing} groups after group {number} cannot be read");
        Some((segment, text))
    } else {
        // Segments in between may have been removed as no longer needed.
        None
    }
}

#[cfg(test)]
mod tests;
