//! Activations are read as the run wrote them, or not at all.
#![allow(missing_docs, clippy::unwrap_used)]
use friction_core::{ConversationId, Position, RunReader, Site, TapArray, TurnRow};
use friction_store::{GroupData, RunDir, StoredRun, TapEntry};
use serde_json::json;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const SITE: Site = Site::ResidPost(1);

/// A run of one group with one turn, whose activations are 1 and 2. The second path is that of their file.
fn stored(dir: &Path) -> (PathBuf, PathBuf) {
    let path = dir.join("run");
    let run = RunDir::open(&path, "", &json!({"study": {"name": "x", "seed": 3}})).unwrap();
    let turns = vec![TurnRow { condition: "a".into(), turn: 1, ..TurnRow::default() }];
    let taps = vec![TapEntry {
        condition: "a".into(),
        arm: String::new(),
        sample: 0,
        site: SITE,
        position: Position::PromptEnd,
        array: TapArray { shape: [1, 1, 2], data: vec![1.0, 2.0] },
    }];
    run.write_group(0, &GroupData { turns, taps }).unwrap();
    let file = path.join("groups/0000/taps.safetensors");
    (path, file)
}

/// The activations, or why they cannot be read.
fn read(run: &StoredRun) -> Result<Option<Vec<f32>>, String> {
    let id = ConversationId { group: 0, condition: "a", arm: "", sample: 0 };
    run.tap(id, SITE, Position::PromptEnd).map(|tap| tap.map(|t| t.data)).map_err(|e| e.to_string())
}

/// Changes the last byte of a file, which is one of a number.
fn flip(file: &Path) {
    let mut bytes = fs::read(file).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(file, bytes).unwrap();
}

#[test]
fn changed_activations_are_refused_with_the_files_name() {
    let dir = tempfile::tempdir().unwrap();
    let (run, file) = stored(dir.path());
    let opened = StoredRun::open(&run).unwrap();
    assert_eq!(read(&opened), Ok(Some(vec![1.0, 2.0])));
    flip(&file);
    // A run that is open has checked the file already, once.
    assert!(matches!(read(&opened), Ok(Some(data)) if data[1] != 2.0));
    let e = read(&StoredRun::open(&run).unwrap()).unwrap_err();
    assert!(e.contains("0000/taps.safetensors: was changed after the run wrote it"), "{e}");
    flip(&file);
    assert_eq!(read(&StoredRun::open(&run).unwrap()), Ok(Some(vec![1.0, 2.0])));
}

#[test]
fn missing_activations_are_refused_and_their_group_does_not_stand() {
    let dir = tempfile::tempdir().unwrap();
    let (run, file) = stored(dir.path());
    assert_eq!(RunDir::reopen(&run).unwrap().done().unwrap(), BTreeSet::from([0]));
    fs::remove_file(&file).unwrap();
    let missing = "0000/taps.safetensors: is missing, though SHA256SUMS lists it; put the file back";
    let e = read(&StoredRun::open(&run).unwrap()).unwrap_err();
    assert!(e.contains(missing), "{e}");
    let e = RunDir::reopen(&run).unwrap().done().unwrap_err().to_string();
    assert!(e.contains(missing), "{e}");
}

#[test]
fn runs_without_checksums_are_read_as_before() {
    let dir = tempfile::tempdir().unwrap();
    let (run, file) = stored(dir.path());
    fs::remove_file(file.with_file_name("SHA256SUMS")).unwrap();
    flip(&file);
    assert!(matches!(read(&StoredRun::open(&run).unwrap()), Ok(Some(data)) if data[1] != 2.0));
    fs::remove_file(&file).unwrap();
    assert_eq!(read(&StoredRun::open(&run).unwrap()), Ok(None));
    assert_eq!(RunDir::reopen(&run).unwrap().done().unwrap(), BTreeSet::from([0]));
}
