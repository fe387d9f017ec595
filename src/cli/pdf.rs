//! Finds the answers that the sheet embedded in its PDF, without a library for PDF: an embedded file is a stream, and no
//! stream lies inside another one, so that its dictionary and its `stream` are plain bytes, also after another program rewrote the file.

use flate2::{Decompress, FlushDecompress, Status};

/// The first line of the answers, as the sheet writes it.
const FIRST_LINE: &[u8] = b"% backpropd answers 1";
/// The longest text that is inflated, in bytes.
const MOST_BYTES: usize = 1 << 20;
/// The most streams of a file whose beginning is looked at.
const MOST_STREAMS: usize = 20_000;
/// Where a dictionary is looked for, in bytes before its stream.
const DICTIONARY_BYTES: usize = 4096;

/// The answers inside a PDF, as LaTeX.
///
/// # Errors
/// There are none, with the likely reason and what to do.
pub fn answers(pdf: &[u8]) -> Result<String, String> {
    let streams: Vec<(&[u8], &[u8])> = streams(pdf).take(MOST_STREAMS).collect();
    // Some programs leave out the type of an embedded file, so that every other stream is looked at as well.
    let is_embedded = |dictionary: &[u8]| contains(dictionary, b"/EmbeddedFile");
    let (embedded, others): (Vec<_>, Vec<_>) = streams
        .into_iter()
        .partition(|(dictionary, _)| is_embedded(dictionary));
    for (dictionary, body) in embedded.into_iter().chain(others) {
        if let Some(text) = text(dictionary, body)? {
            return String::from_utf8(text)
                .map(|text| text.replace("\r\n", "\n"))
                .map_err(|_| "the answers inside the PDF are not UTF-8; save the sheet as UTF-8 and compile it again".to_owned());
        }
    }
    let kinds = "compile the sheet (`backpropd sheet`) with pdfLaTeX or LuaLaTeX and hand in the PDF as it comes out, or hand in the .tex";
    Err(if contains(pdf, b"/Encrypt") {
        format!("the PDF is encrypted, and its answers with it: {kinds}")
    } else if contains(pdf, b"XeTeX") || contains(pdf, b"xdvipdfmx") {
        format!("XeLaTeX embeds no answers in its PDF: {kinds}")
    } else {
        format!(
            "this PDF has no answers inside (printed, scanned, compiled with XeLaTeX, or made by another program): {kinds}"
        )
    })
}

/// The dictionary and the body of each stream, up to the end of the file.
fn streams(pdf: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let found = at + find(&pdf[at..], b"stream")?;
            at = found + b"stream".len();
            let body = match &pdf[at..] {
                [b'\r', b'\n', ..] => at + 2,
                [b'\n', ..] => at + 1,
                _ => continue,
            };
            if pdf[..found].ends_with(b"end") {
                continue;
            }
            let before = &pdf[found.saturating_sub(DICTIONARY_BYTES)..found];
            // The object of this stream alone.
            let object = rfind(before, b"obj").unwrap_or(0);
            return Some((&before[object..], &pdf[body..]));
        }
    })
}

/// The text of a stream, if it begins with [`FIRST_LINE`].
fn text(dictionary: &[u8], body: &[u8]) -> Result<Option<Vec<u8>>, String> {
    if body.starts_with(FIRST_LINE) {
        let end = length(dictionary).filter(|length| *length <= body.len());
        let end = end.or_else(|| find(body, b"endstream"));
        let text = &body[..end.unwrap_or(body.len())];
        if text.len() > MOST_BYTES {
            return Err(too_long());
        }
        return Ok(Some(text.to_vec()));
    }
    let is_deflated = contains(dictionary, b"/FlateDecode") || contains(dictionary, b"/Fl");
    // Inflates the beginning alone: a file may hold thousands of pictures.
    let begins = is_deflated && inflated(body, FIRST_LINE.len()).0.starts_with(FIRST_LINE);
    if !begins {
        return Ok(None);
    }
    let (text, is_whole) = inflated(body, MOST_BYTES);
    if is_whole {
        Ok(Some(text))
    } else if text.len() >= MOST_BYTES {
        Err(too_long())
    } else {
        Err("the PDF is damaged: the answers inside are cut off; hand in the file as it comes out of LaTeX".to_owned())
    }
}

fn too_long() -> String {
    format!("the answers inside the PDF have more than {MOST_BYTES} bytes")
}

/// At most `most` bytes of a deflated text, and whether that is all of it.
fn inflated(body: &[u8], most: usize) -> (Vec<u8>, bool) {
    let mut text = Vec::new();
    let mut inflate = Decompress::new(true);
    let mut room = most.min(1024);
    loop {
        text.reserve_exact(room);
        let taken = usize::try_from(inflate.total_in()).unwrap_or(usize::MAX);
        let rest = body.get(taken..).unwrap_or_default();
        let before = (text.len(), taken);
        match inflate.decompress_vec(rest, &mut text, FlushDecompress::None) {
            Ok(Status::StreamEnd) => {
                let is_whole = text.len() <= most;
                text.truncate(most);
                return (text, is_whole);
            }
            Ok(Status::Ok | Status::BufError) if text.len() <= most => {
                let now = usize::try_from(inflate.total_in()).unwrap_or(usize::MAX);
                if before == (text.len(), now) {
                    return (text, false);
                }
                room = text.len().clamp(1, most + 1 - text.len());
            }
            Ok(Status::Ok | Status::BufError) => {
                text.truncate(most);
                return (text, false);
            }
            Err(_) => return (text, false),
        }
    }
}

/// The number after `/Length`, if it is direct.
fn length(dictionary: &[u8]) -> Option<usize> {
    let after = &dictionary[find(dictionary, b"/Length ")? + b"/Length ".len()..];
    let digits = after
        .iter()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    let number = std::str::from_utf8(&after[..digits]).ok()?.parse().ok()?;
    // `12 0 R` is the number of an object.
    let mut words = after[digits..].split(|byte| byte.is_ascii_whitespace() || *byte == b'/');
    let is_reference = words.next().is_some_and(<[u8]>::is_empty)
        && words
            .next()
            .is_some_and(|word| word.iter().all(u8::is_ascii_digit) && !word.is_empty());
    (!is_reference).then_some(number)
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    find(bytes, wanted).is_some()
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    let (&first, rest) = wanted.split_first()?;
    let mut at = 0;
    loop {
        at += bytes.get(at..)?.iter().position(|byte| *byte == first)?;
        if bytes[at + 1..].starts_with(rest) {
            return Some(at);
        }
        at += 1;
    }
}

fn rfind(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes
        .windows(wanted.len())
        .rposition(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::ZlibEncoder;

    use super::*;

    const TEXT: &str = "% backpropd answers 1\n\\begin{answer}{1.1}\n$\\delta$\n\\end{answer}\n";

    fn deflated(text: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text).expect("memory");
        encoder.finish().expect("memory")
    }

    fn pdf(dictionary: &str, body: &[u8]) -> Vec<u8> {
        let mut pdf =
            b"%PDF-1.5\n1 0 obj\n<< /Length 9 >>\nstream\nq 1 0 0 Q\nendstream\nendobj\n".to_vec();
        pdf.extend(format!("7 0 obj\n<< {dictionary} >>\nstream\r\n").as_bytes());
        pdf.extend(body);
        pdf.extend(b"\nendstream\nendobj\ntrailer\n");
        pdf
    }

    #[test]
    fn answers_are_found_however_their_stream_is_written() {
        let plain = TEXT.as_bytes();
        let packed = deflated(plain);
        for (dictionary, body) in [
            (
                format!(
                    "/Type /EmbeddedFile /Filter /FlateDecode /Length {}",
                    packed.len()
                ),
                &packed[..],
            ),
            (
                "/Type /EmbeddedFile /Filter [ /FlateDecode ] /Length 8 0 R".to_owned(),
                &packed,
            ),
            ("/Filter /FlateDecode /Length 8 0 R".to_owned(), &packed),
            (
                format!("/Type /EmbeddedFile /Length {}", plain.len()),
                plain,
            ),
            (format!("/Length {}/Type/EmbeddedFile", plain.len()), plain),
        ] {
            assert_eq!(
                answers(&pdf(&dictionary, body)).as_deref(),
                Ok(TEXT),
                "{dictionary}"
            );
        }
        let cut = pdf("/Type /EmbeddedFile /Length 8 0 R", plain);
        assert!(answers(&cut).expect("found").starts_with(TEXT));
        let lines = TEXT.replace('\n', "\r\n");
        let read = answers(&pdf("/Filter /FlateDecode", &deflated(lines.as_bytes())));
        assert_eq!(read.as_deref(), Ok(TEXT));
    }

    #[test]
    fn a_pdf_without_answers_says_what_to_do() {
        let without = |more: &str| {
            let pdf = pdf(more, &deflated(b"BT (Hello) Tj ET"));
            answers(&pdf).expect_err("nothing inside")
        };
        assert!(without("").contains("hand in the .tex"));
        assert!(without("/Encrypt 9 0 R").contains("encrypted"));
        assert!(without("/Creator (XeTeX)").contains("XeLaTeX"));
        for damaged in [
            &b""[..],
            b"%PDF-1.5",
            b"stream\n",
            b"stream",
            b"endstream\nstream\r\n",
        ] {
            assert!(answers(damaged).is_err());
        }
    }

    #[test]
    fn no_file_inflates_to_more_than_the_limit() {
        let mut long = TEXT.as_bytes().to_vec();
        long.resize(64 << 20, b' ');
        let bomb = pdf("/Filter /FlateDecode", &deflated(&long));
        assert!(
            answers(&bomb)
                .expect_err("too long")
                .contains("more than 1048576 bytes")
        );
        let packed = deflated(TEXT.as_bytes());
        let cut = pdf("/Filter /FlateDecode", &packed[..packed.len() - 12]);
        assert!(answers(&cut).is_err());
        let most = TEXT.len() + 10;
        assert_eq!(inflated(&packed, most), (TEXT.as_bytes().to_vec(), true));
        assert!(!inflated(&packed, TEXT.len() - 1).1);
        assert!(inflated(&packed, TEXT.len()).1);
    }

    #[test]
    fn no_change_of_a_pdf_panics_or_inflates_without_end() {
        let whole = pdf(
            "/Type /EmbeddedFile /Filter /FlateDecode /Length 8 0 R",
            &deflated(TEXT.as_bytes()),
        );
        // A generator of its own: the same changes on every run.
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state >> 33).expect("31 bits") % below
        };
        for _ in 0..5_000 {
            let mut changed = whole.clone();
            for _ in 0..=next(4) {
                let at = next(changed.len());
                match next(4) {
                    0 => changed[at] = u8::try_from(next(256)).expect("a byte"),
                    1 => changed.truncate(at.max(1)),
                    2 => changed.extend_from_within(at..),
                    _ => drop(changed.drain(at..(at + 1 + next(9)).min(changed.len()).max(at))),
                }
                if changed.is_empty() {
                    changed.push(0);
                }
            }
            if let Ok(text) = answers(&changed) {
                assert!(text.starts_with("% backpropd answers 1"), "{text}");
            }
        }
    }
}
