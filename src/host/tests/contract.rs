//! What every store promises to the host, tried on each: a folder, a bucket in memory, and an S3, with and without faults.
//!
//! A bucket is configured by the environment, so the S3 runs this program again with another one. By hand or by a
//! script: `BACKPROPD_TEST_BUCKET=s3://bucket/prefix cargo test --lib contract::on_a_bucket`.

mod calls;
mod datasets;
mod models;
mod sessions;
mod store;

use backpropd_s3::{Settings, run_test_again};

use self::store::Store;

const BUCKET: &str = "BACKPROPD_TEST_BUCKET";

/// All that is promised.
async fn keeps_its_promises(store: &Store) {
    models::an_acknowledged_step_is_there_after_a_start(store).await;
    models::a_request_takes_effect_once_and_after_a_start_too(store).await;
    models::a_deleted_model_stays_deleted_and_its_name_is_free(store).await;
    models::models_are_listed_once_each_in_the_order_of_their_ids(store).await;
    models::a_copy_has_the_weights_and_goes_its_own_way(store).await;
    models::what_is_acknowledged_from_memory_survives_an_orderly_stop(store).await;
    models::a_refusal_for_a_quota_changes_nothing(store).await;
    sessions::a_deleted_session_stays_deleted_and_its_name_is_free(store).await;
    sessions::a_session_ends_with_its_time_to_live(store).await;
    sessions::sessions_are_listed_once_each_in_pages(store).await;
    sessions::comparisons_stay_counted(store).await;
    datasets::a_dataset_is_there_after_a_start_until_it_is_deleted(store).await;
    datasets::a_dataset_goes_with_its_session(store).await;
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("there are threads")
}

#[test]
fn on_a_folder() {
    runtime().block_on(keeps_its_promises(&Store::folder()));
}

#[test]
fn on_a_bucket() {
    let url = std::env::var(BUCKET).unwrap_or_else(|_| "memory:host-contract".to_owned());
    runtime().block_on(keeps_its_promises(&Store::bucket(&url)));
}

/// Has `on_a_bucket` use an S3, in a process of its own.
fn on_an_s3(settings: Settings) {
    let (_, module) = module_path!().split_once("::").expect("a crate");
    let test = format!("{module}::on_a_bucket");
    let variables = [(BUCKET, "s3://backpropd/a/prefix")];
    run_test_again(settings, &test, &variables).unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn on_s3() {
    on_an_s3(Settings::default());
}

#[test]
fn on_s3_with_faults() {
    for seed in 0..2 {
        on_an_s3(Settings {
            faults_per_mille: 100,
            seed,
            ..Settings::default()
        });
    }
}

#[test]
fn a_list_of_datasets_reads_a_small_object_for_each_and_fetches_no_file() {
    let store = Store::bucket("memory:list-of-datasets");
    runtime().block_on(datasets::a_list_takes_a_request_for_each(&store));
}
