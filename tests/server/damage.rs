//! Every file of a live data folder is damaged in every way: what was acknowledged is there bit by bit, or its loss is told.
//!
//! The short form tries each way on each file once. DAMAGE_ROUNDS=1000 tries so many more, at random places.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use backpropd::rpc::pb;
use backpropd::server::{HostError, ServeError};
use tempfile::TempDir;
use tonic::Code;

use super::commit_log::crashed;
use super::fixture::{
    Server, create_in, create_session, get, homework, homework_parameters, homework_with_adam, now,
    run, train, wide,
};

/// What was acknowledged of each model: its step and its weights.
type Acknowledged = BTreeMap<String, (i64, String)>;

/// A folder as a crash leaves it, the same folder some time before, and what was acknowledged when.
struct Scene {
    before: TempDir,
    crash: TempDir,
    acknowledged: Acknowledged,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Damage {
    Flip,
    Cut,
    Empty,
    Zero,
    Append,
    Remove,
    Swap,
    Older,
}

const ALL: [Damage; 8] = [
    Damage::Flip,
    Damage::Cut,
    Damage::Empty,
    Damage::Zero,
    Damage::Append,
    Damage::Remove,
    Damage::Swap,
    Damage::Older,
];

/// Two sessions with small and large models, which lie in files alone, in the log alone, or in both.
async fn scene() -> Scene {
    let folder = TempDir::new().expect("a folder");
    let server = Server::on(&folder, |_| ()).await;
    let mut client = server.training().await;
    let mut models = Vec::new();
    for session in ["one", "two"] {
        let session = create_session(&server, session).await.expect("made");
        for spec in [homework_with_adam(), wide(), homework()] {
            models.push(create_in(&server, &session, spec).await.expect("made"));
        }
    }
    let mut steps = async |models: &[pb::Model], count| {
        for model in models {
            let told = run(&mut client, train(model, count))
                .await
                .expect("it begins");
            let end = told.completed();
            assert_eq!(end.durable_step, Some(end.step));
        }
    };
    steps(&models[..5], 2).await;
    let stopped = server.shut_down().await;
    stopped.expect("it returns").expect("it stops well");
    // From here on each file has one before it.
    let server = Server::on(&folder, |_| ()).await;
    let mut client = server.training().await;
    let mut steps = async |models: &[pb::Model], count| {
        for model in models {
            run(&mut client, train(model, count))
                .await
                .expect("it begins")
                .completed();
        }
    };
    steps(&models[..2], 1).await;
    let before = crashed(&folder);
    steps(&models[..2], 3).await;
    steps(&models[3..4], 1).await;
    let mut client = server.training().await;
    let replacement = pb::SetParametersRequest {
        model: models[2].name.clone(),
        parameters: homework_parameters(),
        ..Default::default()
    };
    client.set_parameters(replacement).await.expect("they fit");
    let mut acknowledged = Acknowledged::new();
    for model in &models {
        let now = now(&mut client, model).await;
        assert_eq!(now.durable_step, Some(now.step));
        acknowledged.insert(now.name, (now.step, now.weights_digest));
    }
    Scene {
        before,
        crash: crashed(&folder),
        acknowledged,
    }
}

/// The files below a folder, by their paths from there.
fn files(folder: &Path) -> Vec<PathBuf> {
    let (mut folders, mut files) = (vec![PathBuf::new()], Vec::new());
    while let Some(inside) = folders.pop() {
        for entry in fs::read_dir(folder.join(&inside)).expect("listed") {
            let path = inside.join(entry.expect("listed").file_name());
            if folder.join(&path).is_dir() {
                folders.push(path);
            } else {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

/// Damages a file; `at` chooses where, and with which other one it is swapped. Returns whether anything has changed.
fn damage(scene: &Scene, folder: &Path, file: &Path, damage: Damage, at: u64) -> bool {
    let path = folder.join(file);
    let before = fs::read(&path).expect("read");
    let place = |length: usize| usize::try_from(at % length.max(1) as u64).expect("small");
    // Most of a part of the log is empty: what is in it is to be met.
    let used = before
        .iter()
        .rposition(|&byte| byte != 0)
        .map_or(0, |last| last + 1);
    let mut bytes = before.clone();
    match damage {
        Damage::Flip if used > 0 => bytes[place(used)] ^= 1 << (at >> 32 & 7),
        Damage::Flip => {}
        Damage::Cut => bytes.truncate(place(used)),
        Damage::Empty => bytes.clear(),
        Damage::Zero => {
            let from = place(used);
            let to =
                (from + 1 + usize::try_from(at >> 20 & 0xfff).expect("small")).min(bytes.len());
            bytes[from.min(to)..to].fill(0);
        }
        Damage::Append => bytes.extend(b"and something more"),
        Damage::Remove => {
            fs::remove_file(&path).expect("removed");
            return true;
        }
        Damage::Swap => {
            let files = files(folder);
            let other = folder.join(&files[place(files.len())]);
            bytes = fs::read(&other).expect("read");
            fs::write(&other, &before).expect("written");
        }
        Damage::Older => match fs::read(scene.before.path().join(file)) {
            Ok(older) => bytes = older,
            Err(_) => return false,
        },
    }
    fs::write(&path, &bytes).expect("written");
    bytes != before
}

/// What a start makes of it: nothing that is neither as it was acknowledged nor told as lost.
async fn check(scene: &Scene, folder: &TempDir, what: &str) -> usize {
    let mut server = Server::on(folder, |_| ()).await;
    if let Err(refusal) = server.started().await {
        let is_told = matches!(
            refusal,
            ServeError::Host(HostError::Store(_) | HostError::Unlisted(_))
        );
        assert!(is_told, "{what}: {refusal}");
        return scene.acknowledged.len();
    }
    let mut client = server.training().await;
    let mut lost = 0;
    for (name, acknowledged) in &scene.acknowledged {
        match get(&mut client, name).await {
            Ok(found) => assert_eq!(
                (found.step, found.weights_digest),
                *acknowledged,
                "{what}: {name}"
            ),
            Err(status) => {
                assert_eq!(status.code(), Code::DataLoss, "{what}: {name}: {status:?}");
                // A damaged record of a session is told of the session.
                let (session, _) = name.split_once("/models/").expect("a model's name");
                assert!(
                    status.message().contains(session),
                    "{what}: {}",
                    status.message()
                );
                lost += 1;
            }
        }
    }
    // What is sound goes on.
    let stopped = server.shut_down().await;
    stopped.expect("it returns").expect("it stops well");
    lost
}

fn copied(folder: &TempDir) -> TempDir {
    crashed(folder)
}

#[tokio::test]
async fn damage_to_a_file_of_a_data_folder_is_told_or_does_no_harm() {
    let scene = scene().await;
    assert_eq!(check(&scene, &copied(&scene.crash), "as it was").await, 0);
    let files = files(scene.crash.path());
    assert!(files.len() >= 15, "{files:?}");
    let rounds: u64 =
        std::env::var("DAMAGE_ROUNDS").map_or(0, |rounds| rounds.parse().expect("a number"));
    let mut state = 1_u64;
    let mut random = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        state.rotate_right(17) ^ state
    };
    let once = files.iter().enumerate().flat_map(|(number, file)| {
        // A third of all pairs, with each file and each way among them, so that it takes seconds.
        ALL.into_iter()
            .enumerate()
            .filter(move |(way, _)| (number + way) % 3 == 0)
            .map(move |(_, way)| (file, way))
    });
    let mut cases: Vec<(&PathBuf, Damage, u64)> =
        once.map(|(file, way)| (file, way, random())).collect();
    for _ in 0..rounds {
        let file = &files[usize::try_from(random() % files.len() as u64).expect("small")];
        let way = ALL[usize::try_from(random() % 8).expect("small")];
        cases.push((file, way, random()));
    }
    let (mut told, mut harmless) = (0, 0);
    for (file, way, at) in cases {
        let folder = copied(&scene.crash);
        if !damage(&scene, folder.path(), file, way, at) {
            continue;
        }
        let what = format!("{way:?} {} at {at}", file.display());
        let lost = check(&scene, &folder, &what).await;
        told += usize::from(lost > 0);
        harmless += usize::from(lost == 0);
        // A file of a model, or its place in the manifest, is that model's alone.
        if way != Damage::Swap && file.extension().is_some_and(|kind| kind == "safetensors") {
            assert!(lost <= 1, "{what}: {lost} models");
        }
        if file.ends_with("manifest") && way != Damage::Swap {
            assert_eq!(lost, 0, "{what}");
        }
    }
    println!("{told} cases told, {harmless} harmless");
    assert!(
        told > 10 && harmless > 10,
        "{told} told, {harmless} harmless"
    );
}
