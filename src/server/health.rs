//! The health of the services, by grpc.health.v1.

use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

/// The path of the health service.
pub const PATH: &str = "/grpc.health.v1.Health/";

/// Reports the same health for the server and for each of its services.
pub async fn announce(health: &HealthReporter, status: ServingStatus) {
    let services = [
        "",
        "backprop.v1.TrainingService",
        "backprop.v1.DatasetService",
        "backprop.v1.SessionService",
        "backprop.v1.GradingService",
        "backprop.v1.ServerService",
    ];
    for service in services {
        health.set_service_status(service, status).await;
    }
}
