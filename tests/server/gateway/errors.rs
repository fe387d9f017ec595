//! Errors: their codes, details and HTTP statuses, and requests that are wrong in every way.

use bytes::Bytes;
use serde_json::json;

use super::{body, call, connect, error, homework, post, send, training, whole};
use crate::fixture::Server;

const GRADIENTS: &str = "/backprop.v1.TrainingService/Gradients";

#[tokio::test]
async fn errors_have_a_status_a_code_and_readable_details() {
    let server = Server::start().await;
    homework(&server).await;
    let missing = call(
        &server,
        "TrainingService/GetModel",
        &json!({"name": "sessions/lab/models/no"}),
    )
    .await;
    assert_eq!(missing.status, 404);
    assert_eq!(
        missing.error(),
        ("not_found".to_owned(), "NOT_FOUND".to_owned())
    );
    let details = &missing.json()["details"];
    let resource = details.as_array().expect("details").iter();
    let resource = resource
        .filter(|detail| detail["type"] == "google.rpc.ResourceInfo")
        .count();
    assert_eq!(resource, 1, "{details}");
    assert!(
        details[0]["value"]
            .as_str()
            .is_some_and(|value| !value.contains('='))
    );

    let request = json!({"session": "sessions/lab", "modelId": "m", "spec": {"inputSize": -1, "layers": [{"units": 0}]}});
    let invalid = call(&server, "TrainingService/CreateModel", &request).await;
    assert_eq!(
        (invalid.status.as_u16(), &*invalid.error().0),
        (400, "invalid_argument")
    );
    let text = invalid.json().to_string();
    assert!(
        text.contains("input_size") && text.contains("layers[0].units"),
        "{text}"
    );

    let taken = call(
        &server,
        "SessionService/CreateSession",
        &json!({"sessionId": "lab"}),
    )
    .await;
    assert_eq!(
        (taken.status.as_u16(), &*taken.error().0),
        (409, "already_exists")
    );

    let mut request = training(3);
    request["model"] = json!("sessions/lab/models/no");
    let stream = call(&server, "TrainingService/TrainBatch", &request).await;
    assert_eq!(stream.status, 404);
    assert_eq!(stream.header("content-type"), "application/x-ndjson");
    assert_eq!(error(&stream.lines()[0]["error"]).0, "not_found");
}

#[tokio::test]
async fn texts_that_are_no_request_are_refused_by_the_call_itself() {
    let server = Server::start().await;
    let deep = "[".repeat(200_000);
    for (text, reason, part) in [
        (&b""[..], "MALFORMED_MESSAGE", "empty"),
        (b"\xef\xbb\xbf{}", "MALFORMED_MESSAGE", "byte order mark"),
        (b"{\"model\": \"a", "MALFORMED_MESSAGE", "line 1 column"),
        (b"{\"model\": \"\xff\"}", "MALFORMED_MESSAGE", "unicode"),
        (b"{} {}", "MALFORMED_MESSAGE", "trailing"),
        (
            b"{\"inputs\": {\"values\": [NaN]}}",
            "MALFORMED_MESSAGE",
            "line 1",
        ),
        (
            b"{\"inputs\": {\"values\": [0, 1e400]}}",
            "INVALID_REQUEST",
            "inputs.values[1]: given a number that is out of range",
        ),
        (deep.as_bytes(), "MALFORMED_MESSAGE", "EOF"),
        (b"[]", "INVALID_REQUEST", "allowed: an object"),
        (b"{\"model\": 3}", "INVALID_REQUEST", "model: given 3"),
        (
            b"{\"modle\": \"m\"}",
            "INVALID_REQUEST",
            "modle: given an unknown field; allowed: model",
        ),
        (
            b"{\"model\": \"m\", \"model\": \"m\"}",
            "INVALID_REQUEST",
            "a second time",
        ),
        (
            b"{\"inputs\": {\"valeus\": [1]}}",
            "INVALID_REQUEST",
            "inputs.valeus",
        ),
        (
            b"{\"include\": [\"QUANTITY_DW\"]}",
            "INVALID_REQUEST",
            "QUANTITY_D_W",
        ),
    ] {
        let request = post(&server, GRADIENTS, "application/json").body(body(text.to_vec()));
        let reply = send(&server, request.expect("a request")).await;
        let shown = String::from_utf8_lossy(&text[..text.len().min(40)]);
        assert_eq!(reply.status, 400, "{shown}: {reply:?}");
        assert_eq!(
            reply.error(),
            ("invalid_argument".to_owned(), reason.to_owned()),
            "{shown}"
        );
        let message = reply.json()["message"].to_string();
        assert!(message.contains(part), "{shown}: {message}");
        assert!(
            !reply.header("x-request-id").is_empty(),
            "it is a call with a line in the log"
        );
    }
}

#[tokio::test]
async fn headers_that_do_not_fit_are_refused_with_what_does() {
    let server = Server::start().await;
    for (content_type, extra, status, part) in [
        ("application/x-www-form-urlencoded", None, 415, "--json"),
        ("text/plain", None, 415, "application/json"),
        ("", None, 415, "application/json"),
        ("application/connect+json", None, 415, "application/json"),
        ("application/grpc-web+json", None, 415, "application/json"),
        ("application/json; charset=utf-16", None, 415, "UTF-8"),
        (
            "application/json",
            Some(("content-encoding", "gzip")),
            501,
            "identity",
        ),
        (
            "application/json",
            Some(("connect-protocol-version", "2")),
            400,
            "connect-protocol-version",
        ),
        (
            "application/json",
            Some(("connect-timeout-ms", "soon")),
            400,
            "connect-timeout-ms",
        ),
    ] {
        let mut request = post(&server, GRADIENTS, content_type);
        if let Some((name, value)) = extra {
            request = request.header(name, value);
        }
        let reply = send(&server, request.body(body("{}")).expect("a request")).await;
        assert_eq!(reply.status, status, "{content_type} {extra:?}");
        let text = reply.json().to_string();
        assert!(text.contains(part), "{content_type} {extra:?}: {text}");
        assert_eq!(reply.headers.contains_key("accept-post"), status == 415);
    }
    for content_type in [
        "application/json; charset=utf-8",
        "Application/JSON;charset=\"UTF-8\"; x=y",
        "application/json;Charset=Utf8",
    ] {
        let path = "/backprop.v1.ServerService/GetServerInfo";
        let request = post(&server, path, content_type).header("content-encoding", "Identity");
        let reply = send(&server, request.body(body("{}")).expect("a request")).await;
        assert_eq!(reply.status, 200, "{content_type}");
    }
}

#[tokio::test]
async fn a_line_that_is_no_json_is_named_by_its_number() {
    let server = Server::start().await;
    let path = "/backprop.v1.TrainingService/ImportModel";
    for (text, place) in [
        ("{]", "line 1 column 2"),
        ("{}\n\n {\"data\": ]}\n{}", "line 3 column 11"),
        (
            "\n{\"modelId\": \"m\"}\n{\"data\": \"AAAA\"}\n{",
            "line 4 column 1",
        ),
        (
            "{}\n\u{feff}{}",
            "byte order mark: write UTF-8 without one at line 2",
        ),
    ] {
        let request = post(&server, path, "application/json").body(body(text));
        let reply = send(&server, request.expect("a request")).await;
        let message = reply.json()["message"].to_string();
        assert!(message.contains(place), "{text:?}: {message}");
    }
}

#[tokio::test]
async fn a_message_that_is_too_large_is_refused_in_words_of_this_server() {
    let server = Server::with(|config| config.max_request_bytes = 1 << 20).await;
    let mut message = vec![0];
    message.extend_from_slice(&(2_u32 << 20).to_be_bytes());
    message.resize(2 << 20, 0);
    let request = post(&server, GRADIENTS, "application/grpc-web+proto").body(body(message));
    let reply = send(&server, request.expect("a request")).await;
    let said = reply.header("grpc-message");
    assert!(said.contains("larger%20than%20the%20server"), "{said}");
    assert!(
        said.contains("found%20") && !said.contains("Error"),
        "{said}"
    );
}

#[tokio::test]
async fn unknown_paths_and_methods_say_what_there_is() {
    let server = Server::start().await;
    let mut connection = connect(&server).await;
    for (verb, path, status, part) in [
        (
            "POST",
            "/backprop.v1.TrainingService/Gradient",
            404,
            "/backprop.v1.TrainingService/Gradients",
        ),
        (
            "POST",
            "/Gradients",
            404,
            "/backprop.v1.TrainingService/Gradients",
        ),
        ("POST", "/nothing/like/it", 404, "/api"),
        ("GET", "/index.htm", 404, "/api"),
        ("GET", GRADIENTS, 405, "POST"),
        ("PUT", GRADIENTS, 405, "POST"),
        ("DELETE", GRADIENTS, 405, "POST"),
        ("OPTIONS", GRADIENTS, 405, "POST"),
    ] {
        let request = http::Request::builder()
            .method(verb)
            .uri(format!("http://{}{path}", server.address))
            .header("content-type", "application/json")
            .body(body(Bytes::new()))
            .expect("a request");
        let reply = connection.send_request(request).await.expect("a reply");
        let reply = whole(reply).await;
        assert_eq!(reply.status, status, "{verb} {path}");
        let text = reply.json().to_string();
        assert!(text.contains(part), "{verb} {path}: {text}");
        assert_eq!(
            reply.header("allow"),
            if status == 405 { "POST" } else { "" }
        );
        assert!(
            !reply
                .headers
                .keys()
                .any(|name| name.as_str().starts_with("access-control"))
        );
    }
}
