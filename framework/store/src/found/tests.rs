#![allow(clippy::unwrap_used)]
use super::*;
use friction_core::{Estimate, Figure, Says, Verdict};

fn findings() -> Findings {
    let mut f = Findings::default();
    f.ask("does it?");
    f.value("x", json!({"p": 0.5}));
    f.section("Effect");
    f.add(Estimate::new("slope", "points", 1.5).over(4, "group")).method("sign flips");
    let shown = Table::new("shown", "what a row is")
        .column(Column::text("said", ["plain", "a, \"b\"\n"]))
        .column(Column::number("share", [0.1, f64::NAN]).unit("%").digits(1));
    f.table(shown);
    f.table(Table::new("large", "").stored().column(Column::count("turn", [1, -2])));
    f.figure(Figure { name: "fig".into(), caption: "c".into(), svg: "<svg/>".into(), png: vec![0, 255] });
    f.table(Table::new("empty", "").column(Column::text("said", [""; 0])).column(Column::number("share", [])));
    f.verdict(Verdict::new("Best", "it changes", Says::Reached));
    f.warn("beware");
    f
}

#[test]
fn what_is_written_is_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join("a");
    let mut f = findings();
    f.file("a.bin", vec![1]);
    write(&to, "a", &f, &["`level` differs".into()]).unwrap();
    let doc: Value = serde_json::from_slice(&fs::read(to.join(FINDINGS)).unwrap()).unwrap();
    let keys: Vec<&String> = doc.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["analyzer", "question", "values", "blocks", "warnings", "files", "departs"]);
    assert_eq!((&doc["values"]["x"]["p"], &doc["warnings"]), (&json!(0.5), &json!(["beware"])));
    let all = [
        "a.bin",
        "empty.csv",
        "empty.parquet",
        "fig.png",
        "fig.svg",
        "large.csv",
        "large.parquet",
        "shown.csv",
        "shown.parquet",
    ];
    assert_eq!(doc["files"], json!(all));
    assert!(all.iter().all(|name| to.join(name).is_file()));
    let text = fs::read_to_string(to.join("shown.csv")).unwrap();
    assert_eq!(text, "said,share\r\nplain,0.1\r\n\"a, \"\"b\"\"\n\",\r\n");
    assert_eq!(fs::read_to_string(to.join("large.csv")).unwrap(), "turn\r\n1\r\n-2\r\n");
    // The same findings come back, without the bytes of other files.
    f.files.clear();
    let back = read(&to).unwrap().unwrap();
    // NaN is not equal to itself.
    assert_eq!(serde_json::to_value(&back).unwrap(), serde_json::to_value(&f).unwrap());
    assert!(read(&dir.path().join("none")).unwrap().is_none());
    fs::remove_file(to.join("large.parquet")).unwrap();
    let e = read(&to).unwrap_err().to_string();
    assert!(e.contains("large.parquet"), "{e}");
}

#[test]
fn findings_of_before_are_read_and_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join("a");
    write(&to, "a", &findings(), &[]).unwrap();
    // As the version before wrote it; it wrote no CSV.
    let before = json!({
        "analyzer": "a", "question": "q?", "estimates": [{"what": "e", "value": 1.0, "digits": 2}], "summary": ["s"],
        "warnings": ["w"], "values": {"x": 1}, "tables": ["large.parquet"], "departs": ["d"],
        "figures": [{"file": "fig.svg", "caption": "c"}], "files": ["a.bin"],
    });
    fs::write(to.join(FINDINGS), before.to_string()).unwrap();
    fs::write(to.join("a.bin"), "x").unwrap();
    let f = read(&to).unwrap().unwrap();
    assert_eq!((f.estimates().count(), f.texts().next().unwrap().as_str()), (1, "s"));
    assert_eq!(f.tables().next().unwrap().columns, [Column::count("turn", [1, -2])]);
    assert_eq!((f.figures().next().unwrap().png.as_slice(), f.warnings().count()), (&[0, 255][..], 1));
    // What it listed is replaced, what it did not list stays.
    write(&to, "a", &Findings::default(), &[]).unwrap();
    let left = fs::read_dir(&to).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    assert_eq!(
        left.collect::<BTreeSet<_>>(),
        [FINDINGS, "empty.csv", "empty.parquet", "large.csv", "shown.csv", "shown.parquet"].map(String::from).into()
    );
}

#[test]
fn names_are_plain_and_differ() {
    let dir = tempfile::tempdir().unwrap();
    let to = dir.path().join("a");
    let refused = |f: &Findings| write(&to, "a", f, &[]).unwrap_err().to_string();
    let mut f = findings();
    f.table(Table::new("shown", ""));
    assert!(refused(&f).contains("two files called shown.parquet"), "{}", refused(&f));
    for (name, why) in [
        ("fig.svg", "two files called fig.svg"),
        (FINDINGS, "two files called findings.json"),
        ("../x", "names no file"),
    ] {
        let mut f = findings();
        f.file(name, vec![]);
        assert!(refused(&f).contains(why), "{}", refused(&f));
    }
    assert!(!to.exists());
    // A damaged file cannot lead out of the folder.
    write(&to, "a", &findings(), &[]).unwrap();
    fs::write(to.join(FINDINGS), json!({"blocks": [{"table": {"name": "../a/large"}}]}).to_string()).unwrap();
    assert!(read(&to).unwrap_err().to_string().contains("cannot be one"));
}
