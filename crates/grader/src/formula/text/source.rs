//! A text on its way to the lexer, with the place in the student's own text that each byte came from.

use std::borrow::Cow;
use std::ops::Range;

use super::super::Span;

/// A text that was edited, and where each of its bytes came from.
#[derive(Clone, Debug)]
pub(in crate::formula) struct Source<'t> {
    text: Cow<'t, str>,
    /// For each byte, the original bytes that it stands for; `None` while nothing was edited.
    origins: Option<Vec<(u32, u32)>>,
}

/// A piece of the text to replace.
pub(super) type Edit = (Range<usize>, String);

impl<'t> Source<'t> {
    pub(in crate::formula) fn new(text: &'t str) -> Self {
        Self {
            text: Cow::Borrowed(text),
            origins: None,
        }
    }

    pub(in crate::formula) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn is_edited(&self) -> bool {
        self.origins.is_some()
    }

    /// The place in the original text.
    pub(in crate::formula) fn span(&self, span: Span) -> Span {
        let Some(origins) = &self.origins else {
            return span;
        };
        let behind = origins.last().map_or(0, |last| last.1);
        let start = origins.get(span.start).map_or(behind, |origin| origin.0);
        let last = span.end.checked_sub(1).filter(|&last| last >= span.start);
        let end = last.map_or(start, |last| {
            origins.get(last).map_or(behind, |origin| origin.1)
        });
        Span {
            start: start as usize,
            end: end.max(start) as usize,
        }
    }

    /// The text with pieces replaced. Each replacement stands for all of the bytes that it replaces. Edits are in
    /// order and do not overlap.
    pub(super) fn edited(self, edits: &[Edit]) -> Self {
        if edits.is_empty() {
            return self;
        }
        let mut draft = Draft::default();
        let mut at = 0;
        for (range, replacement) in edits {
            draft.keep(&self, at..range.start);
            draft.put(
                replacement,
                self.span(Span {
                    start: range.start,
                    end: range.end,
                }),
            );
            at = range.end;
        }
        draft.keep(&self, at..self.text.len());
        draft.finish()
    }
}

/// A source under construction.
#[derive(Default)]
pub(super) struct Draft {
    text: String,
    origins: Vec<(u32, u32)>,
}

impl Draft {
    pub(super) fn len(&self) -> usize {
        self.text.len()
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Copies a piece of another source.
    pub(super) fn keep(&mut self, source: &Source<'_>, range: Range<usize>) {
        self.text.push_str(&source.text[range.clone()]);
        match &source.origins {
            Some(origins) => self.origins.extend_from_slice(&origins[range]),
            None => self
                .origins
                .extend(range.map(|at| (at as u32, at as u32 + 1))),
        }
    }

    /// Adds text that stands for an original span.
    pub(super) fn put(&mut self, text: &str, span: Span) {
        self.text.push_str(text);
        let origin = (span.start as u32, span.end as u32);
        self.origins.extend(std::iter::repeat_n(origin, text.len()));
    }

    pub(super) fn finish(self) -> Source<'static> {
        Source {
            text: Cow::Owned(self.text),
            origins: Some(self.origins),
        }
    }
}
