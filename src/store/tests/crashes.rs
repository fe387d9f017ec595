//! Cuts the power between any two disk operations of a store, tries every allowed outcome for what was not yet durable,
//! and opens the store on each.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};

use super::super::*;
use super::forgetful_disk::{Content, ForgetfulDisk, Names, Node, State};

/// The contents of a store: each session's record and models.
type Held = BTreeMap<String, (Vec<u8>, BTreeMap<String, Vec<u8>>)>;

thread_local! {
    static MARKS: RefCell<HashMap<Vec<u8>, u64>> = RefCell::default();
}

/// The position of a commit with this content among all commits: in the order of the first calls.
fn mark(content: &[u8]) -> Mark {
    let number = MARKS.with_borrow_mut(|marks| {
        let next = marks.len() as u64 + 1;
        *marks.entry(content.to_vec()).or_insert(next)
    });
    Mark {
        updated: number,
        step: 0,
    }
}

fn store(state: State) -> Store<ForgetfulDisk> {
    on(ForgetfulDisk {
        state: RefCell::new(state),
        ..ForgetfulDisk::default()
    })
}

fn on(disk: ForgetfulDisk) -> Store<ForgetfulDisk> {
    let root = Path::new("/");
    let survey = Survey::read(&disk, &root.join(SESSIONS)).expect("listed");
    Store::on(disk, root, None, &survey).expect("it opens")
}

/// The state after a crash; a session without a record is one whose creation was never acknowledged.
fn found(state: State) -> Held {
    let store = store(state);
    let marks = store.take_marks().unwrap_or_default();
    // The manifest never expects a commit that was not acknowledged, or a deleted model.
    let check = |session: &str, model: &str, last: &[u8]| {
        let known = marks.get(&(session.to_owned(), model.to_owned()));
        assert!(
            known <= Some(&mark(last)),
            "{session}/{model} is reported as lost"
        );
    };
    let mut held = Held::new();
    for found in store.sessions().expect("listed") {
        let Ok(record) = found.record else { continue };
        let read = |model: &String| {
            let (mut parts, mut redos) = (Vec::new(), Vec::new());
            if let Some(logged) = store.take_logged(&found.session, model) {
                assert!(!logged.is_damaged);
                parts.extend(logged.snapshot);
                redos = logged.redos;
            }
            if parts.is_empty() {
                parts.push(store.model(&found.session, model).expect("it is there"));
            }
            parts.extend(redos);
            check(&found.session, model, &parts[parts.len() - 1]);
            // A replay appends its bytes.
            parts.concat()
        };
        let models = found
            .models
            .iter()
            .map(|model| (model.clone(), read(model)));
        held.insert(found.session.clone(), (record, models.collect()));
    }
    for (session, model) in marks.keys() {
        let is_there = held
            .get(session)
            .is_some_and(|(_, models)| models.contains_key(model));
        assert!(is_there, "{session}/{model} is reported as gone");
    }
    held
}

type Act = fn(&Store<ForgetfulDisk>) -> io::Result<()>;

fn put(store: &Store<ForgetfulDisk>, model: &str, snapshot: &[u8]) -> io::Result<()> {
    let (session, model) = model.split_once('/').expect("session/model");
    store
        .put_model(session, model, snapshot, Some(mark(snapshot)))
        .map(drop)
}

/// Commits all of these models to the log, on top of their current files.
fn log(store: &Store<ForgetfulDisk>, models: &[(&str, &[u8])]) -> io::Result<()> {
    log_as(Kind::Snapshot, store, models)
}

fn log_as(kind: Kind, store: &Store<ForgetfulDisk>, models: &[(&str, &[u8])]) -> io::Result<()> {
    let mut records = Vec::new();
    for (model, content) in models {
        let (session, model) = model.split_once('/').expect("session/model");
        records.push(Record {
            session: session.to_owned(),
            model: model.to_owned(),
            anchor: Anchor::of(&store.model(session, model)?),
            mark: mark(content),
            kind,
            content: content.to_vec(),
        });
    }
    store.log(&records).map(drop)
}

/// Runs the acts in order, cutting the power before every step. Quiet acts change no model.
fn cut_the_power(acts: &[(&str, Act)]) -> usize {
    let sessions = Names::from([(PathBuf::from("/sessions"), Node::Folder)]);
    let mut store = store(State {
        seen: sessions.clone(),
        durable: sessions,
        ..State::default()
    });
    store.disk.moments.take();
    let mut before = Held::new();
    let mut cuts = 0;
    for (what, act) in acts {
        act(&store).expect(what);
        let after = found_live(&mut store);
        assert_eq!(before == after, what.starts_with("quietly"), "{what}");
        let moments = store.disk.moments.take();
        for (at, moment) in moments.iter().enumerate() {
            for crashed in moment.crashed() {
                cuts += 1;
                let found = found(crashed);
                assert!(
                    found == before || found == after,
                    "{what}, before step {at} of {}: {found:?} is neither {before:?} nor {after:?}",
                    moments.len()
                );
            }
        }
        // Acknowledged: from now on this must not be lost.
        assert_is_known(&store, &after);
        let acknowledged = store.disk.state.borrow().clone();
        for crashed in acknowledged.crashed() {
            cuts += 1;
            assert_eq!(found(crashed), after, "{what}, acknowledged");
        }
        before = after;
    }
    cuts
}

#[test]
fn whenever_the_power_fails_the_old_state_or_the_new_one_is_there_whole() {
    let cuts = cut_the_power(&[
        ("a session", |store| store.put_session("s", b"record of s")),
        ("a model", |store| put(store, "s/a", b"first of a")),
        ("a second commit", |store| put(store, "s/a", b"second of a")),
        ("a third commit", |store| put(store, "s/a", b"third of a")),
        ("another model", |store| put(store, "s/b", b"first of b")),
        ("another session", |store| {
            store.put_session("t", b"record of t")
        }),
        ("a model in it", |store| put(store, "t/a", b"first of t's")),
        ("a deletion", |store| store.delete_model("s", "a")),
        ("the same model anew", |store| put(store, "s/a", b"new a")),
        ("a session's deletion", |store| store.delete_session("s")),
    ]);
    assert!(cuts > 300, "{cuts} power cuts");
}

#[test]
fn whenever_the_power_fails_the_log_holds_what_it_acknowledged() {
    let cuts = cut_the_power(&[
        ("a session", |store| store.put_session("s", b"record of s")),
        ("a model", |store| put(store, "s/a", b"first of a")),
        ("a first commit in the log", |store| {
            log(store, &[("s/a", b"second of a")])
        }),
        ("one after it", |store| {
            log(store, &[("s/a", b"third of a")])
        }),
        ("another model", |store| put(store, "s/b", b"first of b")),
        ("its commit", |store| log(store, &[("s/b", b"second of b")])),
        ("quietly, one put into its file", |store| {
            put(store, "s/a", b"third of a")
        }),
        ("one newer than its file", |store| {
            log(store, &[("s/a", b"fourth of a")])
        }),
        ("a larger one in its file", |store| {
            put(store, "s/a", b"fifth of a, which is large")
        }),
        ("a new segment", |store| {
            store.close_segment();
            log(store, &[("s/a", b"sixth of a")])
        }),
        ("a deletion", |store| store.delete_model("s", "a")),
        ("the same model anew", |store| put(store, "s/a", b"new a")),
        ("its commit", |store| log(store, &[("s/a", b"newer a")])),
        ("quietly, one more", |store| {
            put(store, "s/b", b"second of b")
        }),
        ("quietly, the rest", |store| put(store, "s/a", b"newer a")),
        ("quietly, segments removed", |store| {
            store.close_segment();
            store.tidy_log()
        }),
        ("a session's deletion", |store| store.delete_session("s")),
    ]);
    assert!(cuts > 300, "{cuts} power cuts");
}

#[test]
fn whenever_the_power_fails_what_was_done_to_a_model_is_done_once() {
    let cuts = cut_the_power(&[
        ("a session", |store| store.put_session("s", b"record of s")),
        ("a model", |store| put(store, "s/a", b"base")),
        ("a run", |store| {
            log_as(Kind::Redo, store, &[("s/a", b", run")])
        }),
        ("a second one", |store| {
            log_as(Kind::Redo, store, &[("s/a", b", second")])
        }),
        ("one in a new segment", |store| {
            store.close_segment();
            log_as(Kind::Redo, store, &[("s/a", b", third")])
        }),
        ("quietly, all put into the file", |store| {
            put(store, "s/a", b"base, run, second, third")
        }),
        ("a run after that", |store| {
            log_as(Kind::Redo, store, &[("s/a", b", fourth")])
        }),
        ("quietly, segments removed", |store| store.tidy_log()),
        ("a deletion", |store| store.delete_model("s", "a")),
        ("the same model anew", |store| put(store, "s/a", b"new")),
        ("its run", |store| {
            log_as(Kind::Redo, store, &[("s/a", b", its run")])
        }),
    ]);
    assert!(cuts > 200, "{cuts} power cuts");
}

#[test]
fn each_of_a_group_is_there_whole_or_as_it_was_when_the_power_fails() {
    let store = store(State {
        seen: Names::from([(PathBuf::from("/sessions"), Node::Folder)]),
        durable: Names::from([(PathBuf::from("/sessions"), Node::Folder)]),
        ..State::default()
    });
    store.put_session("s", b"").expect("written");
    for model in ["s/a", "s/b", "s/c"] {
        put(&store, model, b"old").expect("written");
    }
    store.disk.moments.take();
    let group: [(&str, &[u8]); 3] = [("s/a", b"new"), ("s/b", b"new"), ("s/c", b"new")];
    log(&store, &group).expect("written");
    let mut mixed = 0;
    for moment in store.disk.moments.take() {
        for crashed in moment.crashed() {
            let (_, models) = &found(crashed)["s"];
            let new = models.values().filter(|content| *content == b"new").count();
            let old = models.values().filter(|content| *content == b"old").count();
            assert_eq!(old + new, 3, "{models:?}");
            mixed += usize::from(old > 0 && new > 0);
        }
    }
    assert!(mixed > 0, "halves of the group were tried");
}

/// The contents of the store without a crash.
fn found_live(store: &mut Store<ForgetfulDisk>) -> Held {
    let state = store.disk.state.borrow();
    let calm = State {
        durable: state.seen.clone(),
        contents: state
            .contents
            .iter()
            .map(|content| Content {
                durable: content.seen.clone(),
                ..content.clone()
            })
            .collect(),
        pending: Vec::new(),
        seen: state.seen.clone(),
    };
    found(calm)
}

/// The manifest has every model as it was acknowledged.
fn assert_is_known(store: &Store<ForgetfulDisk>, held: &Held) {
    let models = held.iter().flat_map(|(session, (_, models))| {
        let models = models.keys();
        models.map(move |model| (session.as_str(), model.as_str()))
    });
    for (session, model) in models {
        let known = store.mark(session, model).expect("it is known");
        let newest = MARKS.with_borrow(|marks| {
            let content = marks.iter().find(|(_, number)| **number == known.updated);
            content.map(|(content, _)| content.clone())
        });
        let (_, models) = &held[session];
        let newest = newest.expect("it was made here");
        assert!(models[model].ends_with(&newest), "{session}/{model}");
    }
}

#[test]
fn a_model_is_not_deleted_while_a_manifest_that_expects_it_cannot_be_written() {
    let first = store(State::default());
    first.put_session("s", b"session").expect("stored");
    let mark = Mark {
        updated: 1,
        step: 1006,
    };
    first
        .put_model("s", "m", b"model", Some(mark))
        .expect("stored");
    first.sync_manifest().expect("stored");
    let disk = ForgetfulDisk {
        state: RefCell::new(first.disk.state.take()),
        ..ForgetfulDisk::default()
    };
    disk.refuses_to_open.set(true);
    let second = on(disk);
    second.delete_model("s", "m").expect_err("the disk refuses");
    assert!(second.has_model("s", "m"));

    second.disk.refuses_to_open.set(false);
    second.delete_model("s", "m").expect("it heals");
    let third = store(second.disk.state.take());
    assert_eq!(third.take_marks().unwrap_or_default(), Marks::default());
}
