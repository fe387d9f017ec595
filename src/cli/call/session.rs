//! The session that a request in JSON is about.

use backpropd_client::session_in;
use serde::Deserialize;

/// The fields of requests that name a session, or something in one.
#[derive(Deserialize)]
struct Names {
    #[serde(alias = "sessionId")]
    session_id: Option<String>,
    session: Option<String>,
    model: Option<String>,
    name: Option<String>,
    run: Option<String>,
    /// The first message of CreateDataset.
    header: Option<Box<Names>>,
}

impl Names {
    fn session(self) -> Option<String> {
        if let Some(id) = self.session_id.filter(|id| !id.is_empty()) {
            return Some(id);
        }
        // A copy names two sessions, of which it is written to that of `session`.
        let names = [self.session, self.model, self.name, self.run];
        let mut names = names.into_iter().flatten();
        let id = names.find_map(|name| session_in(&name).map(str::to_owned));
        id.or_else(|| self.header?.session())
    }
}

/// The id of the session that a valid request names, if it does.
pub(super) fn of(request: &[u8]) -> Option<String> {
    let names: Names = serde_json::from_slice(request).ok()?;
    names.session()
}

#[cfg(test)]
mod tests {
    use super::of;

    #[test]
    fn the_session_is_found_by_the_fields_that_name_it() {
        let lab = Some("lab".to_owned());
        let requests = [
            r#"{"sessionId": "lab"}"#,
            r#"{"session_id": "lab"}"#,
            r#"{"name": "sessions/lab/models/hw/runs/r1"}"#,
            r#"{"model": "sessions/other/models/hw", "session": "sessions/lab"}"#,
            r#"{"session": "", "model": "sessions/lab/models/hw", "inputs": {"shape": [1]}}"#,
            r#"{"header": {"session": "sessions/lab", "datasetId": "line"}}"#,
        ];
        for request in requests {
            assert_eq!(of(request.as_bytes()), lab, "{request}");
        }
        for request in [
            "{}",
            r#"{"name": "datasets/digits"}"#,
            r#"{"name": 3}"#,
            "[",
        ] {
            assert_eq!(of(request.as_bytes()), None, "{request}");
        }
    }
}
