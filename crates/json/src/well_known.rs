//! The messages of google.protobuf that JSON writes as text: Duration, Timestamp and FieldMask.

use std::fmt::Write as _;

use prost::Message as _;
use prost_types::{Duration, FieldMask, Timestamp};

use crate::schema::Form;

/// The longest Duration, 10,000 years in seconds.
const MOST_SECONDS: i64 = 315_576_000_000;
/// The times of the years 1 to 9999.
const FIRST: i64 = -62_135_596_800;
const LAST: i64 = 253_402_300_799;
const DAY: i64 = 86_400;

/// The bytes of the message that `text` stands for.
pub(crate) fn read(form: Form, text: &str) -> Option<Vec<u8>> {
    match form {
        Form::Plain => None,
        Form::Duration => Some(duration(text)?.encode_to_vec()),
        Form::Timestamp => Some(timestamp(text)?.encode_to_vec()),
        Form::FieldMask => Some(field_mask(text)?.encode_to_vec()),
    }
}

/// The text of a message of these bytes; `None` if it has none.
pub(crate) fn write(form: Form, bytes: &[u8]) -> Option<String> {
    match form {
        Form::Plain => None,
        Form::Duration => duration_text(Duration::decode(bytes).ok()?),
        Form::Timestamp => timestamp_text(Timestamp::decode(bytes).ok()?),
        Form::FieldMask => {
            let mask = FieldMask::decode(bytes).ok()?;
            let paths: Vec<String> = mask.paths.iter().map(|path| camel(path)).collect();
            Some(paths.join(","))
        }
    }
}

/// One or more digits.
fn digits(text: &str) -> Option<i64> {
    let is_number = !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit());
    is_number.then(|| text.parse().ok())?
}

/// The digits after the point, as nanoseconds.
fn nanos(text: &str) -> Option<i32> {
    let missing = 9_usize.checked_sub(text.len())?;
    let value = digits(text)? * 10_i64.pow(u32::try_from(missing).ok()?);
    i32::try_from(value).ok()
}

/// Nanoseconds after a point, in groups of three digits; nothing if there are none.
fn fraction(nanos: u32) -> String {
    match nanos {
        0 => String::new(),
        _ if nanos.is_multiple_of(1_000_000) => format!(".{:03}", nanos / 1_000_000),
        _ if nanos.is_multiple_of(1_000) => format!(".{:06}", nanos / 1_000),
        _ => format!(".{nanos:09}"),
    }
}

fn duration(text: &str) -> Option<Duration> {
    let number = text.strip_suffix('s')?;
    let (sign, number) = match number.strip_prefix('-') {
        Some(number) => (-1, number),
        None => (1, number),
    };
    let (seconds, fraction) = match number.split_once('.') {
        Some((seconds, fraction)) => (seconds, nanos(fraction)?),
        None => (number, 0),
    };
    let seconds = digits(seconds).filter(|seconds| *seconds <= MOST_SECONDS)?;
    Some(Duration {
        seconds: i64::from(sign) * seconds,
        nanos: sign * fraction,
    })
}

fn duration_text(duration: Duration) -> Option<String> {
    let Duration { seconds, nanos } = duration;
    let sign = if seconds < 0 || nanos < 0 { "-" } else { "" };
    let fits = seconds.unsigned_abs() <= MOST_SECONDS.unsigned_abs()
        && nanos.unsigned_abs() < 1_000_000_000
        && (seconds == 0 || nanos == 0 || (seconds < 0) == (nanos < 0));
    fits.then(|| {
        let fraction = fraction(nanos.unsigned_abs());
        format!("{sign}{}{fraction}s", seconds.unsigned_abs())
    })
}

/// The days since 1970 of a date of the Gregorian calendar: Howard Hinnant's `days_from_civil`.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    let of_era = of_era * 365 + of_era / 4 - of_era / 100 + of_year;
    era * 146_097 + of_era - 719_468
}

/// The date that is this many days after 1970: his `civil_from_days`.
fn date(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

/// A time as RFC 3339 writes it.
fn timestamp(text: &str) -> Option<Timestamp> {
    let (date_text, rest) = text.split_at_checked(10)?;
    let rest = rest.strip_prefix(['T', 't'])?;
    let (time, rest) = rest.split_at_checked(8)?;
    let number = |text: &str, at: std::ops::Range<usize>| digits(text.get(at)?);
    let is_laid_out = date_text.get(4..5) == Some("-")
        && date_text.get(7..8) == Some("-")
        && time.get(2..3) == Some(":")
        && time.get(5..6) == Some(":");
    if !is_laid_out {
        return None;
    }
    let (year, month, day) = (
        number(date_text, 0..4)?,
        number(date_text, 5..7)?,
        number(date_text, 8..10)?,
    );
    let (hour, minute, second) = (
        number(time, 0..2)?,
        number(time, 3..5)?,
        number(time, 6..8)?,
    );
    let (fraction, zone) = match rest.strip_prefix('.') {
        Some(rest) => {
            let end = rest.find(|letter: char| !letter.is_ascii_digit())?;
            (nanos(&rest[..end])?, &rest[end..])
        }
        None => (0, rest),
    };
    let offset = match zone {
        "Z" | "z" => 0,
        _ => {
            let sign = match zone.get(..1)? {
                "+" => 1,
                "-" => -1,
                _ => return None,
            };
            let (hours, minutes) = zone.get(1..)?.split_once(':')?;
            let is_time = hours.len() == 2 && minutes.len() == 2;
            let (hours, minutes) = (digits(hours)?, digits(minutes)?);
            if !is_time || hours > 23 || minutes > 59 {
                return None;
            }
            sign * (hours * 3600 + minutes * 60)
        }
    };
    let since = days(year, month, day);
    let is_date = year >= 1 && date(since) == (year, month, day);
    if !is_date || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let seconds = since * DAY + hour * 3600 + minute * 60 + second - offset;
    (FIRST..=LAST).contains(&seconds).then_some(Timestamp {
        seconds,
        nanos: fraction,
    })
}

fn timestamp_text(time: Timestamp) -> Option<String> {
    let nanos = u32::try_from(time.nanos).ok()?;
    if !(FIRST..=LAST).contains(&time.seconds) || nanos >= 1_000_000_000 {
        return None;
    }
    let (year, month, day) = date(time.seconds.div_euclid(DAY));
    let second = time.seconds.rem_euclid(DAY);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let fraction = fraction(nanos);
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = write!(
        text,
        "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z"
    );
    Some(text)
}

/// Paths of fields. Names with underscores, as the protos write them, are taken as they are.
fn field_mask(text: &str) -> Option<FieldMask> {
    let paths = text.split(',').filter(|path| !path.is_empty());
    let is_path = |path: &str| {
        let is_letter = |letter: u8| letter.is_ascii_alphanumeric() || b"_.*".contains(&letter);
        path.bytes().all(is_letter)
    };
    let paths: Vec<&str> = paths.map(str::trim).collect();
    let all_paths = paths.iter().all(|path| !path.is_empty() && is_path(path));
    all_paths.then(|| FieldMask {
        paths: paths.into_iter().map(snake).collect(),
    })
}

/// `learningRate` as `learning_rate`.
fn snake(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 8);
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

/// `learning_rate` as `learningRate`.
fn camel(name: &str) -> String {
    let mut camel = String::with_capacity(name.len());
    let mut is_next_upper = false;
    for letter in name.chars() {
        if letter == '_' {
            is_next_upper = true;
        } else if std::mem::take(&mut is_next_upper) {
            camel.push(letter.to_ascii_uppercase());
        } else {
            camel.push(letter);
        }
    }
    camel
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_of_ten_thousand_years_has_one_date() {
        let mut day = FIRST / DAY;
        let (mut year, mut month, mut of_month) = (1, 1, 1);
        while day <= LAST / DAY {
            assert_eq!(date(day), (year, month, of_month));
            assert_eq!(days(year, month, of_month), day);
            let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let length = match month {
                2 if is_leap => 29,
                2 => 28,
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            (day, of_month) = (day + 1, of_month + 1);
            if of_month > length {
                (month, of_month) = (month + 1, 1);
            }
            if month > 12 {
                (year, month) = (year + 1, 1);
            }
        }
    }

    #[test]
    fn texts_that_are_no_time_or_duration_are_refused() {
        for text in [
            "",
            "s",
            "1",
            "1.s",
            ".5s",
            "1.0000000001s",
            "--1s",
            "1 s",
            "1e3s",
            "315576000001s",
            "+1s",
            "١s",
        ] {
            assert_eq!(duration(text), None, "{text}");
        }
        for text in [
            "",
            "2026-11-28",
            "2026-11-28T13:52:00",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-11-28T24:00:00Z",
            "2026-11-28T13:52:60Z",
            "2026-11-28 13:52:00Z",
            "2026-11-28T13:52:00.Z",
            "2026-11-28T13:52:00+1:00",
            "0000-01-01T00:00:00Z",
            "2026-11-28T13:52:00é",
            "２026-11-28T13:52:00Z",
            "9999-12-31T23:59:59-00:01",
        ] {
            assert_eq!(timestamp(text), None, "{text}");
        }
    }
}
