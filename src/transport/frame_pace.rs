//! Limits the rate of HTTP/2 frames that carry almost no data.
//!
//! A frame costs the server about a microsecond however small it is, and h2 handles everything that has arrived before
//! another connection runs. A million one-byte frames, a flood of PING, SETTINGS, WINDOW_UPDATE, PRIORITY or unknown
//! frames, or calls that are reset as soon as they are opened would keep the threads from all other work. So frames are
//! counted as they arrive: a connection with many small ones yields to the others every few dozen frames, and one that
//! sends more of them than any call needs is read at a fixed rate, then cut off.
//!
//! Calls pay for themselves: the frames that a client sends about a call (window updates, pings, a separate end of
//! than its HEADERS earn, and every KiB of a message, sent or received, earns a frame.

use std::time::Duration;

use tokio::time::Instant;

/// The size of a frame header, in bytes.
pub const HEAD: usize = 9;

/// Frame types (RFC 9113, 6) and the flags used here.
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
const END_STREAM: u8 = 1;
pub const ACK: u8 = 1;

/// A DATA frame of this many bytes is worth its handling.
const WORTH: usize = 1 << 10;

/// What a call earns, in frames: more than any client sends about a call, its message aside.
const EARNED_BY_CALL: i64 = 4;

/// The cost of a reset: more than its call has earned, since the call's work was wasted.
const COST_OF_RESET: i64 = 8;

/// The cost of SETTINGS: it may touch every stream, and it is acknowledged.
const COST_OF_SETTINGS: i64 = 8;

/// Frames that a connection may send at once beyond those its calls earn.
const BURST: i64 = 10_000;

/// Further frames a second at the fixed rate: about one hundredth of a core.
const PER_SECOND: i64 = 10_000;

/// Frames in a row at that rate before the connection is cut off: a peer that floods for ten seconds sends nothing
/// useful.
const FLOOD: i64 = 10 * PER_SECOND;

/// Frames after which other connections run: some tens of microseconds of work.
const TURN: usize = 64;

/// The fewest bytes to read at once.
const LEAST_READ: usize = 1 << 10;

/// Counts the frames that a connection sends.
#[derive(Debug)]
pub struct FramePace {
    /// Bytes to skip before the next frame header: the preface, then payloads.
    skip: usize,
    head: [u8; HEAD],
    /// Bytes of the current frame header received so far.
    known: usize,
    /// Frames left before the connection is slowed down; negative while it is.
    left: i64,
    refilled: Instant,
    /// Frames received at the fixed rate, without a second of calm between them.
    slowed: i64,
    /// Bytes sent and received that have not earned a frame yet.
    bytes: usize,
    /// Frames since other connections last ran.
    turn: usize,
    /// The recent mean length of frames.
    mean: usize,
}

impl FramePace {
    /// For a new connection, whose first `preface` bytes are not frames.
    pub fn new(preface: usize) -> Self {
        Self {
            skip: preface,
            head: [0; HEAD],
            known: 0,
            left: BURST,
            refilled: Instant::now(),
            slowed: 0,
            bytes: 0,
            turn: 0,
            mean: WORTH,
        }
    }

    /// How many bytes to read at most, so that they hold about one turn of frames.
    pub fn most_to_read(&self) -> usize {
        let turn = self.mean.saturating_mul(TURN);
        self.skip.saturating_add(turn).max(LEAST_READ)
    }

    /// Counts the frames in bytes that have arrived.
    pub fn received(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes = &bytes[skipped..];
            let taken = (HEAD - self.known).min(bytes.len());
            self.head[self.known..self.known + taken].copy_from_slice(&bytes[..taken]);
            self.known += taken;
            bytes = &bytes[taken..];
            if self.known == HEAD {
                self.known = 0;
                self.note();
            }
        }
    }

    /// Counts bytes that were sent.
    pub fn sent(&mut self, bytes: usize) {
        self.earn_by(bytes);
    }

    /// Whether other connections should run now. Asking begins the next turn.
    pub fn is_turn_over(&mut self) -> bool {
        let is_over = self.turn >= TURN;
        if is_over {
            self.turn = 0;
        }
        is_over
    }

    /// When the next bytes may be read, if not now.
    pub fn pause(&mut self) -> Option<Instant> {
        if self.left >= 0 {
            return None;
        }
        let now = Instant::now();
        let passed = now.saturating_duration_since(self.refilled).as_micros();
        let passed = i64::try_from(passed).unwrap_or(i64::MAX);
        self.refilled = now;
        let earned = passed.saturating_mul(PER_SECOND) / 1_000_000;
        self.slowed = if earned < PER_SECOND {
            self.slowed + earned
        } else {
            0
        };
        self.earn(earned);
        let missing = u64::try_from(-self.left)
            .ok()
            .filter(|missing| *missing > 0)?;
        // At least a timer tick: less than one frame is earned in a shorter pause.
        let wait = Duration::from_micros(missing * 1_000_000 / PER_SECOND.cast_unsigned());
        Some(now + wait.max(Duration::from_millis(1)))
    }

    /// Whether the connection sends nothing but such frames and has to be cut off.
    pub fn is_flood(&self) -> bool {
        self.slowed > FLOOD
    }

    /// Counts the frame whose header is complete.
    fn note(&mut self) {
        let [a, b, c, kind, flags, ..] = self.head;
        let length = u32::from_be_bytes([0, a, b, c]) as usize;
        self.skip = length;
        self.turn += 1;
        self.mean = (self.mean * 7 + HEAD + length) / 8;
        match kind {
            DATA => {
                self.earn_by(length);
                if length < WORTH && flags & END_STREAM == 0 {
                    self.left -= 1;
                }
            }
            HEADERS => self.earn(EARNED_BY_CALL),
            RST_STREAM => self.left -= COST_OF_RESET,
            SETTINGS if flags & ACK == 0 => self.left -= COST_OF_SETTINGS,
            _ => self.left -= 1,
        }
    }

    fn earn_by(&mut self, bytes: usize) {
        let bytes = self.bytes.saturating_add(bytes);
        self.bytes = bytes % WORTH;
        self.earn(i64::try_from(bytes / WORTH).unwrap_or(i64::MAX));
    }

    fn earn(&mut self, frames: i64) {
        self.left = self.left.saturating_add(frames).min(BURST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PREFACE: usize = 24;
    const PING: u8 = 6;
    const WINDOW_UPDATE: u8 = 8;

    fn frame(kind: u8, flags: u8, length: usize) -> Vec<u8> {
        let [_, a, b, c] = u32::try_from(length).expect("short").to_be_bytes();
        let mut frame = vec![a, b, c, kind, flags, 0, 0, 0, 1];
        frame.resize(HEAD + length, 0);
        frame
    }

    /// More than any flood may send at once.
    const MANY: usize = 50_000;

    /// How many times these frames may be sent at once, up to [`MANY`]; their heads arrive in parts.
    fn times(frames: &[Vec<u8>]) -> usize {
        let mut pace = FramePace::new(PREFACE);
        pace.received(&[0; PREFACE]);
        let bytes = frames.concat();
        let sent = (0..MANY).find(|_| {
            let (start, end) = bytes.split_at(7);
            pace.received(start);
            pace.received(end);
            pace.pause().is_some()
        });
        sent.unwrap_or(MANY)
    }

    #[test]
    fn floods_of_frames_that_carry_nothing_are_slowed_down() {
        let floods = [
            vec![frame(DATA, 0, 1)],
            vec![frame(DATA, 0, 300)],
            vec![frame(DATA, 0, 0)],
            vec![frame(PING, 0, 8)],
            vec![frame(SETTINGS, 0, 6)],
            vec![frame(WINDOW_UPDATE, 0, 4)],
            vec![frame(2, 0, 5)],
            vec![frame(9, 0, 1)],
            vec![frame(250, 0, 3)],
            vec![frame(HEADERS, 5, 40), frame(RST_STREAM, 0, 4)],
        ];
        for flood in floods {
            let kind = flood[0][3];
            assert!(times(&flood) < MANY, "frames of type {kind}");
        }
    }

    #[test]
    fn calls_are_not_slowed_down_however_many_there_are() {
        let whole = [frame(HEADERS, 4, 40), frame(DATA, END_STREAM, 100)];
        // As hyper and others end a stream, with the acknowledgements that a reply may take.
        let chatty = [
            frame(HEADERS, 4, 40),
            frame(DATA, 0, 100),
            frame(DATA, END_STREAM, 0),
            frame(WINDOW_UPDATE, 0, 4),
            frame(WINDOW_UPDATE, 0, 4),
            frame(PING, 0, 8),
        ];
        let upload = [frame(DATA, 0, 1 << 14), frame(PING, 0, 8)];
        for frames in [&whole[..], &chatty, &upload] {
            assert_eq!(times(frames), MANY);
        }
    }

    #[test]
    fn a_download_pays_for_the_window_updates_that_it_takes() {
        let mut pace = FramePace::new(0);
        for _ in 0..MANY {
            pace.sent(1 << 14);
            pace.received(&frame(WINDOW_UPDATE, 0, 4).repeat(2));
            assert_eq!(pace.pause(), None);
        }
    }

    #[test]
    fn small_frames_are_read_a_few_at_a_time_and_large_ones_whole() {
        let mut pace = FramePace::new(0);
        for _ in 0..100 {
            pace.received(&frame(DATA, 0, 1));
        }
        assert!(pace.most_to_read() <= 2 * LEAST_READ);
        assert!(pace.is_turn_over());
        assert!(!pace.is_turn_over());
        for _ in 0..100 {
            pace.received(&frame(DATA, 0, 1 << 14));
        }
        assert!(pace.most_to_read() > 1 << 19);
    }
}
