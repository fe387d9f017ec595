//! Compares the output of a command with the one that a page shows.

/// Stands for any text on a page.
const ANYTHING: &str = "…";

/// Relative tolerance of a number: a processor with wider vectors sums products in another order, which changes the last
/// digits.
const ROUNDING: f64 = 1e-14;

/// # Errors
/// The first difference.
pub fn same(shown: &str, printed: &str) -> Result<(), String> {
    let start = shown.trim_start();
    let (split, separator): (fn(&str) -> Vec<String>, &str) = if start.starts_with('{') {
        (json_tokens, " ")
    } else if start.starts_with("ERROR:") {
        (words, " ")
    } else {
        (lines, "\n")
    };
    let (shown, printed) = (split(shown), split(printed));
    matches(&shown, &printed).map_err(|(shown_at, printed_at)| {
        let near = |tokens: &[String], at: usize| {
            tokens[at.min(tokens.len())..]
                .iter()
                .take(12)
                .cloned()
                .collect::<Vec<_>>()
                .join(" ")
        };
        format!(
            "shown   {}\nprinted {}\nall that is printed:\n{}",
            near(&shown, shown_at),
            near(&printed, printed_at),
            printed.join(separator)
        )
    })
}

/// Matches the tokens, with the shortest possible text for each `…`, and backtracks; returns the furthest positions on failure.
fn matches(shown: &[String], printed: &[String]) -> Result<(), (usize, usize)> {
    let (mut s, mut p) = (0, 0);
    let mut retry = None;
    let mut furthest = (0, 0);
    loop {
        if s == shown.len() && p == printed.len() {
            return Ok(());
        }
        if shown.get(s).is_some_and(|token| token == ANYTHING) {
            retry = Some((s + 1, p));
            s += 1;
        } else if let (Some(a), Some(b)) = (shown.get(s), printed.get(p))
            && is_same(a, b)
        {
            (s, p) = (s + 1, p + 1);
        } else {
            furthest = furthest.max((s, p));
            match &mut retry {
                Some((after, from)) if *from < printed.len() => {
                    *from += 1;
                    (s, p) = (*after, *from);
                }
                Some(_) | None => return Err(furthest),
            }
        }
    }
}

fn is_same(shown: &str, printed: &str) -> bool {
    if let Some((start, end)) = shown.split_once(ANYTHING) {
        return printed.len() >= start.len() + end.len()
            && printed.starts_with(start)
            && (end.contains(ANYTHING) || printed.ends_with(end));
    }
    match (shown.parse::<f64>(), printed.parse::<f64>()) {
        // Go writes 0 and 1e-05 where Rust writes 0.0 and 1e-5; −0 is not 0.
        (Ok(shown), Ok(printed)) => {
            shown.to_bits() == printed.to_bits()
                || (shown - printed).abs() <= ROUNDING * shown.abs()
        }
        _ => shown == printed,
    }
}

fn lines(text: &str) -> Vec<String> {
    let lines = text.trim_end().lines();
    lines.map(|line| without_times(line.trim_end())).collect()
}

/// Replaces durations and rates such as `0.53 s` and `81279 samples/s` by a constant.
fn without_times(line: &str) -> String {
    let mut words: Vec<&str> = line.split(' ').collect();
    for at in 1..words.len() {
        let unit = words[at].trim_end_matches([')', ',', ';']);
        let is_number = words[at - 1].trim_start_matches('(').parse::<f64>().is_ok();
        if is_number && matches!(unit, "s" | "ms" | "samples/s") {
            words[at - 1] = "N";
        }
    }
    words.join(" ")
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

/// The tokens of a JSON text: strings, numbers, words, punctuation.
fn json_tokens(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '"' => {
                let end = rest[1..].char_indices().scan(false, |escaped, (at, c)| {
                    let ends = c == '"' && !*escaped;
                    *escaped = c == '\\' && !*escaped;
                    Some((at, ends))
                });
                let end = end.into_iter().find(|(_, ends)| *ends);
                end.map_or(rest.len(), |(at, _)| at + 2)
            }
            '{' | '}' | '[' | ']' | ',' | ':' => 1,
            '…' => first.len_utf8(),
            _ => rest
                .find(|c: char| c.is_whitespace() || "{}[],:\"…".contains(c))
                .unwrap_or(rest.len()),
        };
        tokens.push(rest[..length].to_owned());
        rest = rest[length..].trim_start();
    }
    tokens
}
