//! The paths of all methods that the server has, from their descriptors.

use prost::Message as _;
use prost_types::FileDescriptorSet;

use crate::rpc::pb;

/// The path of each method, such as `/backprop.v1.TrainingService/Gradients`.
pub fn paths() -> Vec<String> {
    let sets = [
        pb::FILE_DESCRIPTOR_SET,
        tonic_health::pb::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
    ];
    sets.into_iter().flat_map(paths_of).collect()
}

fn paths_of(set: &[u8]) -> Vec<String> {
    let set = FileDescriptorSet::decode(set).unwrap_or_default();
    let services = set.file.iter().flat_map(|file| {
        let services = file.service.iter();
        services.map(move |service| (file.package(), service))
    });
    let methods = services.flat_map(|(package, service)| {
        let methods = service.method.iter();
        methods.map(move |method| format!("/{package}.{}/{}", service.name(), method.name()))
    });
    methods.collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_service_is_there() {
        let paths = super::paths();
        for path in [
            "/backprop.v1.TrainingService/Gradients",
            "/backprop.v1.GradingService/GradeFormulas",
            "/grpc.health.v1.Health/Check",
            "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
            "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        ] {
            assert!(paths.iter().any(|known| known == path), "{path}");
        }
        assert!(paths.len() > 30, "{}", paths.len());
    }
}
