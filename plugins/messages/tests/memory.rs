//! The memory that a large file takes. It is one test, so that no other test of the process uses memory meanwhile.
#![allow(missing_docs, clippy::unwrap_used)]
use friction_core::manifest::{Issues, Path};
use friction_core::{BuildContext, Maker, Registry};
use friction_messages as _;
use std::io::Write;

/// Resident memory of this process at its peak, in bytes.
fn peak() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|l| l.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib * 1024)
}

#[test]
fn three_hundred_thousand_rows_are_indexed_and_not_held() {
    const ROWS: usize = 300_000;
    let dir = tempfile::tempdir().unwrap();
    let mut file = std::io::BufWriter::new(std::fs::File::create(dir.path().join("m.jsonl")).unwrap());
    let padding = "lorem ipsum ".repeat(30);
    for i in 0..ROWS {
        let c = i % 7;
        let lines = format!(
            "{{\"id\": \"conversation-{i}\", \"category\": \"c{c}\", \"messages\": [{{\"role\": \"user\", \"content\": \"{i} {padding}\"}}, {{\"role\": \"assistant\", \"content\": \"{padding}\"}}]}}\n"
        );
        file.write_all(lines.as_bytes()).unwrap();
    }
    drop(file);
    let bytes = std::fs::metadata(dir.path().join("m.jsonl")).unwrap().len();
    assert!(bytes > 200 << 20, "{bytes}");
    let registry = Registry::linked();
    let plugin = registry.plugins().iter().find(|p| p.name == "messages").unwrap();
    let Maker::Dataset(prepare) = &plugin.maker else { panic!("a dataset") };
    let build = prepare(
        toml::Value::Table(toml::from_str("path = \"m.jsonl\"").unwrap()),
        &Path::default(),
        &mut Issues::default(),
    )
    .unwrap();
    let cx = serde_json::json!({"base": dir.path(), "seed": 0, "model": {"source": "path:x"}, "backend": {}});
    let cx: BuildContext = serde_json::from_value(cx).unwrap();
    let before = peak();
    let d = build(&cx).unwrap();
    assert_eq!(d.categories().iter().map(|c| c.items).sum::<usize>(), ROWS);
    for c in d.categories() {
        for i in (0..c.items).step_by(97).chain([c.items - 1]) {
            let item = d.item(c, i).unwrap();
            assert!(item.category == c.name && item.script.len() == 1);
        }
    }
    if let (Some(before), Some(after)) = (before, peak()) {
        assert!(after - before < 64 << 20, "{} MiB more at the peak", (after - before) >> 20);
    }
}
