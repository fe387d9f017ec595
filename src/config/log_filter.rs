//! The grammar of the setting `log`.

use tracing_subscriber::filter::Targets;

/// Reads levels by module: parts with commas between them, each a level, a module, or `module=level`. The longest
/// module that a line comes from decides, and a level alone is for all others. `None` where a part is neither.
pub fn parse(text: &str) -> Option<Targets> {
    let parts = text.split(',').map(str::trim);
    // `Targets` would read an empty part as the level error, and take any text for the name of a module.
    let parts: Vec<&str> = parts.filter(|part| !part.is_empty()).collect();
    if parts.is_empty() || !parts.iter().all(|part| is_part(part)) {
        return None;
    }
    parts.join(",").parse().ok()
}

/// Whether this has the form of a module or a level, or `module=level`.
fn is_part(text: &str) -> bool {
    let is_word = |word: &str| {
        let is_known = |c: char| c.is_alphanumeric() || "_:-./".contains(c);
        !word.is_empty() && word.chars().all(is_known)
    };
    match text.split_once('=') {
        Some((module, level)) => is_word(module) && is_word(level),
        None => is_word(text),
    }
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    /// The levels that are logged of these modules.
    fn logged(text: &str, modules: &[&str]) -> Vec<Option<Level>> {
        let filter = parse(text).expect("a filter");
        let all = [
            Level::TRACE,
            Level::DEBUG,
            Level::INFO,
            Level::WARN,
            Level::ERROR,
        ];
        let most = |module: &&str| {
            all.into_iter()
                .find(|level| filter.would_enable(module, level))
        };
        modules.iter().map(most).collect()
    }

    #[test]
    fn a_level_is_for_all_and_a_module_has_its_own() {
        let modules = ["backpropd::host", "h2::codec"];
        let (debug, info) = (Some(Level::DEBUG), Some(Level::INFO));
        assert_eq!(logged("info", &modules), [info, info]);
        assert_eq!(logged("Info", &modules), [info, info]);
        assert_eq!(logged("off", &modules), [None, None]);
        assert_eq!(logged("info, backpropd=debug,", &modules), [debug, info]);
        assert_eq!(logged("info,h2=off", &modules), [info, None]);
        assert_eq!(logged("backpropd=debug", &modules), [debug, None]);
        assert_eq!(logged("h2", &modules), [None, Some(Level::TRACE)]);
        let deeper = logged("backpropd=info,backpropd::host=debug", &modules);
        assert_eq!(deeper, [debug, None]);
    }

    #[test]
    fn what_is_no_filter_is_refused() {
        for text in [
            "",
            " , ",
            "backpropd=loud",
            "a=b=c",
            "backpropd[span]=debug",
            "info debug",
        ] {
            assert!(parse(text).is_none(), "{text}");
        }
    }
}
