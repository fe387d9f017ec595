//! The descriptors of all services and of the details of errors.

use std::sync::LazyLock;

use backpropd_client::pb::FILE_DESCRIPTOR_SET;
use backpropd_json::Schema;

/// The messages and methods that the JSON forms know.
pub static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    let sets = [
        FILE_DESCRIPTOR_SET,
        tonic_health::pb::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
        tonic_types::pb::FILE_DESCRIPTOR_SET,
    ];
    Schema::new(&sets).expect("the descriptors are compiled in")
});
