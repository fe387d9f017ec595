//! The keys of objects.
//!
//! ```text
//! {2 hex of blake3(session)}/{session}/session.json
//! {2 hex of blake3(session)}/{session}/{model}.safetensors
//! {2 hex of blake3(session)}/{session}/{dataset}.dataset.json
//! {2 hex of blake3(session)}/{session}/{dataset}.{digest}.{unique}.dataset.safetensors
//! ```
//!
//! The two digits spread sessions over 256 folders, which stores use to spread load. Ids have no dot and no slash, so a
//! key has one reading.

/// The folder of a session, without a slash at its end.
pub(crate) fn folder(session: &str) -> String {
    let hash = blake3::hash(session.as_bytes());
    format!("{:02x}/{session}", hash.as_bytes()[0])
}

pub(crate) fn session(session: &str) -> String {
    format!("{}/session.json", folder(session))
}

pub(crate) fn model(session: &str, model: &str) -> String {
    format!("{}/{model}.safetensors", folder(session))
}

pub(crate) fn dataset(session: &str, dataset: &str) -> String {
    format!("{}/{dataset}.dataset.json", folder(session))
}

/// The content of a dataset. The key is never used twice, so that an old content can be removed at any time.
pub(crate) fn content(session: &str, dataset: &str, digest: &str, unique: &str) -> String {
    format!(
        "{}/{dataset}.{digest}.{unique}.dataset.safetensors",
        folder(session)
    )
}

/// What an object is, by its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind<'a> {
    Session,
    Model(&'a str),
    Dataset(&'a str),
    Content(&'a str),
}

/// The session and the kind of a key; none for a key that this crate does not write.
pub(crate) fn parse(key: &str) -> Option<(&str, Kind<'_>)> {
    let mut parts = key.split('/');
    let (hash, session, name) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() || folder(session) != format!("{hash}/{session}") {
        return None;
    }
    let mut parts = name.split('.');
    let id = parts.next()?;
    let rest: Vec<&str> = parts.collect();
    let kind = match rest.as_slice() {
        ["json"] if id == "session" => Kind::Session,
        ["safetensors"] => Kind::Model(id),
        ["dataset", "json"] => Kind::Dataset(id),
        [_, _, "dataset", "safetensors"] => Kind::Content(id),
        _ => return None,
    };
    Some((session, kind))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_as_it_is_written() {
        let cases = [
            (session("s-1"), Kind::Session),
            (model("s-1", "session"), Kind::Model("session")),
            (dataset("s-1", "d"), Kind::Dataset("d")),
            (content("s-1", "d", "abc", "ff"), Kind::Content("d")),
        ];
        for (key, kind) in cases {
            assert_eq!(parse(&key), Some(("s-1", kind)), "{key}");
        }
        for foreign in ["", "x", "00/s-1/session.json", "a/b/c/d", "probe/1"] {
            assert_eq!(parse(foreign), None, "{foreign}");
        }
    }
}
