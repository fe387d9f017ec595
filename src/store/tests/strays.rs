//! Foreign files and folders under the server's names.

use std::os::unix::fs::symlink;
use std::path::Path;

use super::damage::{ONE, TWO, nine};
use super::*;

/// Creates a non-empty folder, or a link to a file.
fn put(path: &Path, is_link: bool) {
    if is_link {
        let target = path.parent().expect("a folder").join("target");
        fs::write(&target, b"not ours").expect("written");
        symlink("target", path).expect("made");
    } else {
        fs::create_dir(path).expect("made");
        fs::write(path.join("inside"), b"not ours").expect("written");
    }
}

fn is_there(path: &Path, is_link: bool) -> bool {
    let kind = path.symlink_metadata().expect("it is left alone");
    let inside = if is_link {
        path.to_owned()
    } else {
        path.join("inside")
    };
    kind.is_symlink() == is_link && fs::read(inside).is_ok_and(|read| read == b"not ours")
}

#[test]
fn what_has_the_name_of_the_commit_before_hinders_no_commit_and_no_deletion() {
    for is_link in [false, true] {
        for is_open in [false, true] {
            let (folder, mut store) = opened();
            store.put_model("s", "a", b"1", Some(ONE)).expect("written");
            let stray = folder.path().join("sessions/s/a.previous.safetensors");
            put(&stray, is_link);
            if !is_open {
                store = reopened(&folder, store);
                let told = store.findings().join("\n");
                assert!(told.contains("a.previous.safetensors is a "), "{told}");
                assert!(told.contains("left alone"), "{told}");
            }
            for content in [b"2", b"3"] {
                store
                    .put_model("s", "a", content, Some(TWO))
                    .expect("written");
                assert_eq!(store.model("s", "a").expect("read"), content);
            }
            let store = reopened(&folder, store);
            assert_eq!(store.model("s", "a").expect("read"), b"3");
            store.quarantine("s", "a").expect("moved");
            assert!(is_there(&stray, is_link));
            store.put_model("s", "a", b"4", Some(TWO)).expect("written");
            store.delete_model("s", "a").expect("deleted");
            assert!(is_there(&stray, is_link));
            assert!(store.models("s").expect("listed").is_empty());
        }
    }
}

#[test]
fn what_has_the_name_of_a_temporary_file_is_removed_if_it_is_a_file_and_left_alone_if_not() {
    let places = [
        ("leases.json.tmp", "leases.json"),
        ("manifest.tmp", "manifest"),
        ("sessions/s/session.json.tmp", "sessions/s/session.json"),
        ("sessions/s/a.safetensors.tmp", "sessions/s/a.safetensors"),
    ];
    let write_all = |store: &Store, root: &Path| {
        store.put_leases(b"leases").expect("written");
        store.put_session("s", b"session").expect("written");
        store.put_model("s", "a", b"2", Some(TWO)).expect("written");
        fs::remove_file(root.join("manifest")).expect("removed");
        store.check();
        for (_, file) in places {
            assert!(root.join(file).is_file(), "{file}");
        }
    };
    let left = |root: &Path| {
        let folders = [root.to_owned(), root.join("sessions/s")].into_iter();
        let entries = folders.flat_map(|folder| fs::read_dir(folder).expect("listed"));
        let names = entries.map(|entry| entry.expect("listed").file_name());
        let names = names.map(|name| name.into_string().expect("UTF-8"));
        names.filter(|name| name.ends_with(".tmp")).count()
    };
    let (folder, store) = nine();
    let root = folder.path();
    // A hard link to a foreign file must not be written to.
    fs::write(root.join("other"), b"not ours").expect("written");
    for (name, _) in places {
        fs::hard_link(root.join("other"), root.join(name)).expect("made");
    }
    write_all(&store, root);
    assert_eq!(fs::read(root.join("other")).expect("read"), b"not ours");
    for (name, _) in places {
        fs::write(root.join(name), b"half").expect("written");
    }
    fs::write(root.join("sessions/s/a.safetensors.7.tmp"), b"half").expect("written");
    fs::write(root.join("a.tmp"), b"not ours").expect("written");
    let store = reopened(&folder, store);
    assert_eq!(left(root), 1, "a.tmp is not the server's");
    for is_link in [false, true] {
        for (name, _) in places {
            put(&root.join(name), is_link);
        }
        write_all(&store, root);
        let reopened = Store::open(tempfile::tempdir().expect("a folder").path()).expect("opens");
        drop(reopened);
        for (name, _) in places {
            assert!(is_there(&root.join(name), is_link), "{name}");
        }
        if is_link {
            break;
        }
        for (name, _) in places {
            fs::remove_dir_all(root.join(name)).expect("removed");
        }
    }
    assert_eq!(left(root), 1 + places.len());
    let store = reopened(&folder, store);
    assert_eq!(left(root), 1 + places.len());
    let told = store.findings().join("\n");
    for (name, _) in places {
        assert!(told.contains(&format!("{name} is a ")), "{name}: {told}");
    }
}

#[test]
fn what_has_the_name_of_a_models_file_is_told_to_stand_in_the_way() {
    for is_link in [false, true] {
        let (folder, store) = opened();
        let stray = folder.path().join("sessions/s/a.safetensors");
        put(&stray, is_link);
        let refused = store.put_model("s", "a", b"1", None).expect_err("refused");
        assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
        assert!(refused.to_string().contains("stands in the way"));
        store
            .delete_model("s", "a")
            .expect("there is no such model");
        assert!(is_there(&stray, is_link));
    }
}

#[test]
fn what_is_not_the_servers_in_the_trash_is_told_and_no_session() {
    let (folder, store) = opened();
    store.put_model("s", "a", b"1", Some(ONE)).expect("written");
    store.trash_session("s", 60).expect("moved");
    let trash = folder.path().join("trash");
    for name in ["t.0.60", "s.1.60", "notes", ".deleted-", "S.0.60"] {
        fs::create_dir(trash.join(name)).expect("made");
    }
    fs::write(trash.join("u.0.60"), b"").expect("written");
    fs::write(trash.join("t.0.60/paper"), b"").expect("written");
    symlink(trash.join("s.0.60"), trash.join("v.0.60")).expect("made");
    let store = reopened(&folder, store);
    let told = store.findings().join("\n");
    let strays = [
        "t.0.60",
        "s.1.60",
        "notes",
        ".deleted-",
        "S.0.60",
        "u.0.60",
        "v.0.60",
    ];
    for name in strays {
        assert!(
            told.contains(&format!("trash/{name} is ")),
            "{name}: {told}"
        );
    }
    assert!(!told.contains("s.0.60"), "{told}");
    let trashed = store.trashed().expect("listed");
    assert_eq!(trashed.len(), 1, "{trashed:?}");
    assert_eq!((trashed[0].session.as_str(), trashed[0].number), ("s", 0));
    assert!(store.restore_trashed("t").expect("read").is_none());
    // The next session of this id takes a free name.
    let kept = store.restore_trashed("s").expect("renamed");
    assert_eq!(kept.map(|kept| kept.number), Some(0));
    store.trash_session("s", 60).expect("moved");
    assert_eq!(store.trashed().expect("listed")[0].number, 2);
    assert_eq!(store.age_trash(60).expect("aged"), 1);
    for name in strays {
        assert!(trash.join(name).symlink_metadata().is_ok(), "{name}");
    }
}

#[test]
fn what_is_not_the_servers_in_quarantine_is_told_and_outlives_its_neighbours() {
    let (folder, store) = opened();
    store.put_model("s", "a", b"1", Some(ONE)).expect("written");
    store.quarantine("s", "a").expect("moved");
    let quarantine = folder.path().join("quarantine");
    let strays = ["s.txt", "s.a.notes", "s.a.b.safetensors", "log-x.log"];
    for name in strays {
        fs::write(quarantine.join(name), b"not ours").expect("written");
    }
    let store = reopened(&folder, store);
    let told = store.findings().join("\n");
    for name in strays {
        assert!(told.contains(&format!("{name} is not")), "{name}: {told}");
    }
    assert_eq!(store.quarantined().expect("listed").len(), 1);
    store.delete_session("s").expect("deleted");
    assert!(store.quarantined().expect("listed").is_empty());
    for name in strays {
        assert!(quarantine.join(name).exists(), "{name}");
    }
}
