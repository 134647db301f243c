//! The folder of a run: files that are missing, that are others', and that cannot be written.
use crate::world::{ALL, MANIFEST, StopAfter, files, go, world};
use friction_core::RunReader;
use friction_store::StoredRun;
use friction_study::{Error, Otherwise, analyze_stored};
use std::fs;

#[test]
fn a_group_without_its_turns_is_told() {
    let w = world();
    let (base, out) = (w.path(), w.path().join("run"));
    go(base, &out, &[], ALL).unwrap();
    fs::remove_file(out.join("groups/0001/turns.parquet")).unwrap();
    let told = go(base, &out, &[], ALL).err().unwrap().to_string();
    assert!(told.contains("0001") && told.contains("remove the folder"), "{told}");
    fs::remove_dir_all(out.join("groups/0001")).unwrap();
    assert_eq!(go(base, &out, &[], ALL).unwrap().groups, 1);
}

#[test]
fn what_others_put_into_a_run_is_left_alone() {
    let w = world();
    let (base, out) = (w.path(), w.path().join("run"));
    assert!(go(base, &out, &[], StopAfter(1)).is_err());
    let foreign = [
        "groups/.DS_Store",
        "groups/._0000",
        "groups/.nfs000000000123",
        "groups/.hidden/deep/x",
        "groups/.0002/keep.txt",
        "groups/notes.txt",
        "groups/lost+found/y",
        "groups/+1/z",
        "groups/2/z",
        "lock.tmp",
        "manifest.tmp",
        ".git/config",
        "analysis/.behavior/mine",
        "analysis/behavior/notes.txt",
        "analysis/behavior/.DS_Store",
        "analysis/notes.txt",
    ];
    for name in foreign {
        fs::create_dir_all(out.join(name).parent().unwrap()).unwrap();
        fs::write(out.join(name), name).unwrap();
    }
    fs::create_dir_all(out.join("groups/.friction-0002-1.tmp")).unwrap();
    fs::write(out.join("groups/.friction-0002-1.tmp/turns.parquet"), "half").unwrap();
    let there = |when: &str| {
        for name in foreign {
            assert_eq!(fs::read_to_string(out.join(name)).ok().as_deref(), Some(name), "{when}: {name}");
        }
        let all = files(&out);
        assert!(!all.keys().any(|k| k.contains(".friction-")), "{when}: {:?}", all.keys());
    };
    let report = go(base, &out, &[], ALL).unwrap();
    assert_eq!((report.groups, report.resumed), (2, 1));
    there("resumed");
    for _ in 0..2 {
        analyze_stored(&out, &Otherwise::default()).unwrap();
        there("analysed");
    }
    assert_eq!(StoredRun::open(&out).unwrap().turns().len(), 3 * 2 * 3);
    // A folder with a manifest.toml that friction did not write is not a run.
    fs::write(base.join("manifest.toml"), MANIFEST).unwrap();
    let e = go(base, base, &[], ALL).unwrap_err().to_string();
    assert!(e.contains("holds a manifest.toml that is no run's"), "{e}");
    assert_eq!(fs::read_to_string(base.join("manifest.toml")).unwrap(), MANIFEST);
    assert!(!base.join("groups").exists());
    // Nor may a study take over groups whose lock is gone.
    fs::remove_file(out.join("lock.json")).unwrap();
    let before = fs::read_to_string(out.join("manifest.toml")).unwrap();
    let e = go(base, &out, &["study.seed=8"], ALL).unwrap_err().to_string();
    assert!(e.contains("holds groups but no lock.json"), "{e}");
    assert!(!out.join("lock.json").exists());
    assert_eq!(fs::read_to_string(out.join("manifest.toml")).unwrap(), before);
}

/// A full disk, as the operating system reports it: nothing can be written to `/dev/full`.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_a_full_disk() {
    let w = world();
    let out = w.path().join("run");
    assert!(go(w.path(), &out, &[], StopAfter(1)).is_err());
    let groups = files(&out.join("groups"));
    fs::remove_file(out.join("log.jsonl")).unwrap();
    std::os::unix::fs::symlink("/dev/full", out.join("log.jsonl")).unwrap();
    let e = go(w.path(), &out, &[], ALL).unwrap_err();
    let Error::Store(friction_store::Error::Io { source, .. }) = &e else { panic!("{e:?}") };
    assert_eq!(source.kind(), std::io::ErrorKind::StorageFull);
    assert!(e.to_string().contains("the disk is full") && e.to_string().contains("finished groups stand"), "{e}");
    assert_eq!(files(&out.join("groups")), groups);
}

/// A group that cannot be written stops the run with the store's own error.
#[test]
fn a_group_that_cannot_be_written_stops_the_run_as_what_it_is() {
    let w = world();
    let out = w.path().join("run");
    assert!(go(w.path(), &out, &[], StopAfter(1)).is_err());
    // A file has the name of the next group.
    fs::write(out.join("groups/0001"), "mine").unwrap();
    let e = go(w.path(), &out, &[], ALL).unwrap_err();
    let Error::Store(friction_store::Error::Io { path, .. }) = &e else { panic!("{e:?}") };
    assert!(path.ends_with("groups/0001"), "{}", path.display());
    assert_eq!(fs::read_to_string(out.join("groups/0001")).unwrap(), "mine");
    assert!(!files(&out).keys().any(|k| k.contains(".tmp/")));
    fs::remove_file(out.join("groups/0001")).unwrap();
    assert_eq!(go(w.path(), &out, &[], ALL).unwrap().groups, 2);
}
