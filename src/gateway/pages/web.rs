//! The page for browsers: the files of `web/dist`, compiled in by `build.rs`.

use std::io::Read as _;
use std::sync::OnceLock;

use bytes::Bytes;
use flate2::read::GzDecoder;

/// A file of the page.
#[derive(Debug, PartialEq, Eq)]
pub struct File {
    /// Below `/`, with slashes.
    path: &'static str,
    pub content_type: &'static str,
    /// Whether `bytes` are in gzip form.
    pub is_packed: bool,
    /// Number of bytes that are not packed.
    length: usize,
    bytes: &'static [u8],
}

static FILES: &[File] = include!(concat!(env!("OUT_DIR"), "/page.rs"));

/// The folder whose files have a digest of their content in their names.
const HASHED: &str = "assets/";

/// What clients without gzip get; few ask, and then unpacking once is enough.
static PLAIN: [OnceLock<Bytes>; FILES.len()] = [const { OnceLock::new() }; FILES.len()];

/// The file at the path of a URL.
pub fn find(path: &str) -> Option<&'static File> {
    let path = match path.strip_prefix('/')? {
        "" => "index.html",
        path => path,
    };
    FILES.iter().find(|file| file.path == path)
}

impl File {
    /// The bytes to send to a client that takes gzip, or does not.
    pub fn body(&self, accepts_gzip: bool) -> Bytes {
        if accepts_gzip || !self.is_packed {
            return Bytes::from_static(self.bytes);
        }
        let number = FILES.iter().position(|file| file.path == self.path);
        let plain = number.and_then(|number| PLAIN.get(number));
        plain.map_or_else(Bytes::new, |plain| {
            plain.get_or_init(|| self.unpacked()).clone()
        })
    }

    /// Whether this path will never have other bytes.
    pub fn is_immutable(&self) -> bool {
        self.path.starts_with(HASHED)
    }

    fn unpacked(&self) -> Bytes {
        let mut plain = Vec::with_capacity(self.length);
        // The build packed them; a test reads every file.
        let _ = GzDecoder::new(self.bytes).read_to_end(&mut plain);
        plain.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_unpacks_to_its_length() {
        for file in FILES {
            assert_eq!(file.body(false).len(), file.length, "{}", file.path);
            assert!(file.body(true).len() <= file.length, "{}", file.path);
        }
    }

    #[test]
    fn the_first_page_is_at_the_root_and_under_its_name() {
        let root = find("/").expect("the page");
        assert_eq!(root.path, "index.html");
        assert_eq!(find("/index.html"), Some(root));
        for path in [
            "",
            "index.html",
            "//",
            "/../Cargo.toml",
            "/assets",
            "/assets/",
        ] {
            assert_eq!(find(path), None, "{path}");
        }
    }
}
