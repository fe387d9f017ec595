//! The variables that decide whether and where spans go. OpenTelemetry's crates read them too, and replace what they do
//! not understand by a default without a word; here it is an error.

use super::ended::{ENDPOINT, TRACES_ENDPOINT, TracesError};

const SAMPLER: &str = "OTEL_TRACES_SAMPLER";
const SAMPLER_ARGUMENT: &str = "OTEL_TRACES_SAMPLER_ARG";
const CERTIFICATES: [&str; 2] = [
    "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_CERTIFICATE",
];

/// Where OTLP over gRPC goes if no variable says so.
const DEFAULT_ENDPOINT: &str = "http://localhost:4317";

/// The samplers that the SDK has.
const SAMPLERS: [&str; 6] = [
    "always_on",
    "always_off",
    "traceidratio",
    "parentbased_always_on",
    "parentbased_always_off",
    "parentbased_traceidratio",
];

/// What the variables ask for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    /// The variable that names the collector, for errors.
    pub variable: &'static str,
    /// The URL of the collector.
    pub endpoint: String,
    /// A file with the certificates by which the collector is trusted, in place of the system's.
    pub certificates: Option<String>,
}

/// What the variables ask for; `None` if they ask for no traces.
pub(super) fn wanted(
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Option<Wanted>, TracesError> {
    // By OpenTelemetry's specification an empty variable is as good as none.
    let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
    let is_disabled = variable("OTEL_SDK_DISABLED");
    if is_disabled.is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return Ok(None);
    }
    let mut wrong = Vec::new();
    let exporter = variable("OTEL_TRACES_EXPORTER");
    match exporter.as_deref() {
        Some("none") => return Ok(None),
        None | Some("otlp") => {}
        Some(other) => wrong.push(format!(
            "OTEL_TRACES_EXPORTER = {other:?}, which is neither otlp nor none"
        )),
    }
    let endpoint = [TRACES_ENDPOINT, ENDPOINT]
        .into_iter()
        .find_map(|name| Some((name, variable(name)?)));
    let (name, endpoint) = match endpoint {
        Some(given) => given,
        None if exporter.is_none() => return Ok(None),
        None => (ENDPOINT, DEFAULT_ENDPOINT.to_owned()),
    };
    for name in [
        "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
        "OTEL_EXPORTER_OTLP_PROTOCOL",
    ] {
        // The first one takes precedence.
        if let Some(protocol) = variable(name) {
            if protocol != "grpc" {
                wrong.push(format!(
                    "{name} = {protocol:?}, but grpc alone is supported: name the collector's port for gRPC, usually 4317"
                ));
            }
            break;
        }
    }
    check_sampler(variable(SAMPLER), variable(SAMPLER_ARGUMENT), &mut wrong);
    if let Err(problem) = check_endpoint(&endpoint) {
        wrong.push(format!(
            "{name} = {endpoint:?}, {problem}: give a URL such as {DEFAULT_ENDPOINT}"
        ));
    }
    if !wrong.is_empty() {
        return Err(TracesError(wrong));
    }
    Ok(Some(Wanted {
        variable: name,
        endpoint,
        certificates: CERTIFICATES.into_iter().find_map(variable),
    }))
}

fn check_sampler(sampler: Option<String>, argument: Option<String>, wrong: &mut Vec<String>) {
    let Some(sampler) = sampler else {
        return;
    };
    if !SAMPLERS.contains(&&*sampler) {
        wrong.push(format!(
            "{SAMPLER} = {sampler:?}, which is none of {}",
            SAMPLERS.join(", ")
        ));
    }
    let is_ratio = |text: &String| matches!(text.parse(), Ok(0.0_f64..=1.0));
    if sampler.ends_with("traceidratio") && !argument.as_ref().is_some_and(is_ratio) {
        wrong.push(format!(
            "{SAMPLER_ARGUMENT} = {:?}, which is no number from 0 to 1",
            argument.unwrap_or_default()
        ));
    }
}

fn check_endpoint(endpoint: &str) -> Result<(), String> {
    let url: http::Uri = endpoint
        .parse()
        .map_err(|error| format!("which is no URL ({error})"))?;
    match url.scheme_str() {
        Some("http" | "https") => Ok(()),
        Some(_) | None => Err("which has neither http:// nor https://".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Option<Wanted>, TracesError> {
        wanted(|name| {
            let found = variables.iter().find(|(given, _)| *given == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    fn endpoint(variables: &[(&str, &str)]) -> Option<String> {
        let wanted = read(variables).expect("valid");
        wanted.map(|wanted| wanted.endpoint)
    }

    #[test]
    fn traces_are_exported_where_a_collector_is_named() {
        let all = (ENDPOINT, "http://all:4317");
        let traces = (TRACES_ENDPOINT, "https://traces:4317");
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(endpoint(&[]), None);
        assert_eq!(endpoint(&[(ENDPOINT, "")]), None);
        assert_eq!(endpoint(&[all]), some(all.1));
        assert_eq!(endpoint(&[all, traces]), some(traces.1));
        let exporter = |name| ("OTEL_TRACES_EXPORTER", name);
        assert_eq!(endpoint(&[exporter("otlp")]), some(DEFAULT_ENDPOINT));
        assert_eq!(endpoint(&[exporter("none"), all]), None);
        assert_eq!(endpoint(&[("OTEL_SDK_DISABLED", "TRUE"), all]), None);
        assert_eq!(
            endpoint(&[("OTEL_SDK_DISABLED", "false"), all]),
            some(all.1)
        );
        let ratio = [
            (SAMPLER, "parentbased_traceidratio"),
            (SAMPLER_ARGUMENT, "0.25"),
        ];
        assert_eq!(endpoint(&[all, ratio[0], ratio[1]]), some(all.1));
    }

    #[test]
    fn everything_that_is_wrong_is_said_at_once() {
        let wrong = [
            (ENDPOINT, "collector:4317"),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
            ("OTEL_TRACES_EXPORTER", "zipkin"),
            (SAMPLER, "traceidratio"),
            (SAMPLER_ARGUMENT, "2"),
        ];
        let text = read(&wrong).expect_err("wrong").to_string();
        for (name, value) in [wrong[0], wrong[1], wrong[2], wrong[4]] {
            assert!(text.contains(&format!("{name} = {value:?}")), "{text}");
        }
        for (name, value) in [
            (ENDPOINT, "http://"),
            (ENDPOINT, "http://a b"),
            (ENDPOINT, "unix:///tmp/socket"),
            (SAMPLER, "xray"),
        ] {
            let given = [(TRACES_ENDPOINT, "http://a:1"), (name, value)];
            let given = if name == ENDPOINT {
                &given[1..]
            } else {
                &given[..]
            };
            let text = read(given).expect_err("wrong").to_string();
            assert!(text.contains(&format!("{name} = {value:?}")), "{text}");
        }
    }
}
