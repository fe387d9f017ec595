//! A progress bar on standard error. A build without the feature `progress`, such as the container image, shows none.

pub(super) use self::bar::Bar;

#[cfg(feature = "progress")]
mod bar {
    use indicatif::{ProgressBar, ProgressStyle};

    /// A progress bar, hidden if standard error is not a terminal.
    pub(in crate::cli) struct Bar(ProgressBar);

    impl Bar {
        /// A bar of `length` steps, in the style of an indicatif template and its progress characters.
        pub(in crate::cli) fn new(length: u64, template: &str, characters: &str) -> Self {
            let bar = ProgressBar::new(length);
            // The templates are fixed; an invalid one would cost only the style.
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style.progress_chars(characters));
            }
            Self(bar)
        }

        /// A bar that is never shown.
        pub(in crate::cli) fn hidden() -> Self {
            Self(ProgressBar::hidden())
        }

        pub(in crate::cli) fn is_hidden(&self) -> bool {
            self.0.is_hidden()
        }

        /// The text before the bar and the text after it.
        pub(in crate::cli) fn set_texts(&self, before: String, after: String) {
            self.0.set_prefix(before);
            self.0.set_message(after);
        }

        pub(in crate::cli) fn advance(&self, steps: u64) {
            self.0.inc(steps);
        }

        /// Shows that `steps` are done.
        pub(in crate::cli) fn set_position(&self, steps: u64) {
            self.0.set_position(steps);
        }

        /// Prints a line above the bar.
        pub(in crate::cli) fn print(&self, line: String) {
            self.0.println(line);
        }

        /// Removes the bar.
        pub(in crate::cli) fn clear(&self) {
            self.0.finish_and_clear();
        }
    }
}

#[cfg(not(feature = "progress"))]
mod bar {
    /// A bar that is never shown.
    pub(in crate::cli) struct Bar;

    impl Bar {
        pub(in crate::cli) fn new(_: u64, _: &str, _: &str) -> Self {
            Self
        }

        pub(in crate::cli) fn hidden() -> Self {
            Self
        }

        pub(in crate::cli) fn is_hidden(&self) -> bool {
            true
        }

        pub(in crate::cli) fn set_texts(&self, _: String, _: String) {}

        pub(in crate::cli) fn advance(&self, _: u64) {}

        pub(in crate::cli) fn set_position(&self, _: u64) {}

        pub(in crate::cli) fn print(&self, _: String) {}

        pub(in crate::cli) fn clear(&self) {}
    }
}
