//! What GetServerInfo tells.

use backpropd::rpc::pb;
use pb::server_service_client::ServerServiceClient;
use tempfile::TempDir;

use crate::fixture::Server;

#[tokio::test]
async fn a_client_hears_of_limits_and_of_no_place_on_the_machine() {
    let folder = TempDir::new().expect("a folder");
    let secret = folder.path().join("a secret");
    std::fs::write(&secret, "sesame").expect("written");
    let server = Server::on(&folder, |config| {
        config.grading_secret_file = secret.to_str().expect("text").to_owned();
    })
    .await;
    let mut client = ServerServiceClient::new(server.channel().await);
    let short = pb::GetServerInfoRequest::default();
    let short = client.get_server_info(short).await.expect("it tells");
    let short = short.into_inner();
    assert_eq!(
        short.settings,
        [],
        "they are long, and few clients need them"
    );
    let request = pb::GetServerInfoRequest { settings: true };
    let info = client.get_server_info(request).await;
    let info = info.expect("it tells").into_inner();
    assert_eq!(info.version, short.version);
    let settings = info.settings;
    let folder = folder.path().to_str().expect("text");
    for setting in &settings {
        assert!(!setting.value.contains(folder), "{setting:?}");
        assert!(!setting.value.contains('/'), "{setting:?}");
    }
    let value = |name: &str| {
        let found = settings.iter().find(|setting| setting.name == name);
        found.map(|setting| setting.value.as_str())
    };
    for hidden in [
        "data_dir",
        "grading_secret_file",
        "assignments",
        "log",
        "listen",
    ] {
        assert_eq!(value(hidden), None, "{hidden}");
    }
    assert_eq!(value("max_layers"), Some("64"));
    assert_eq!(value("compare_only"), Some("false"));
    assert_eq!(value("reveal_limit"), Some("\"hints\""));
}
