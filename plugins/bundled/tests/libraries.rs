//! Dynamic libraries: one condition written in four ways, plugins in C and C++, and libraries that break the rules.
#![allow(missing_docs, clippy::unwrap_used)]
mod common;
use common::{MANIFEST, cargo, compile, copy_crate, friction, library_name, root, target, text, world};
use friction_core::{Position, RunReader, Site, TurnRow};
use friction_store::StoredRun;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

/// `MANIFEST` with another second condition, loading these libraries.
fn manifest(condition: &str, libraries: &[&Path]) -> String {
    let own = "plugin = \"template\"\nuser = [\"Faster. {question}\", \"Hurry up. {question}\"]\nkeep = { tokens = 2, marker = \" -\" }";
    assert!(MANIFEST.contains(own));
    let mut out = MANIFEST.replace(own, condition);
    if !libraries.is_empty() {
        let list: Vec<String> = libraries
            .iter()
            .map(|l| format!("{{ path = {:?}, sha256 = \"{}\" }}", l.to_str().unwrap(), digest(l)))
            .collect();
        out = out.replace("[model]", &format!("[plugins]\nload = [{}]\n[model]", list.join(", ")));
    }
    out
}

fn digest(path: &Path) -> String {
    friction_dylib::digest(path).unwrap()
}

/// Everything in a run except timings: its turns, and the bytes of its taps.
fn run(dir: &Path) -> (Vec<TurnRow>, Vec<Vec<u8>>) {
    let turns = StoredRun::open(dir).unwrap().turns().to_vec();
    let taps = |g: &u32| std::fs::read(dir.join(format!("groups/{g:04}/taps.safetensors"))).unwrap();
    let mut groups: Vec<u32> = turns.iter().map(|t| t.group).collect();
    groups.dedup();
    (turns.iter().map(|t| TurnRow { elapsed_ms: 0.0, ..t.clone() }).collect(), groups.iter().map(taps).collect())
}

fn headers() -> PathBuf {
    root().join("framework/dylib")
}

#[test]
fn the_same_condition_in_four_ways_gives_the_same_run() {
    let template = "plugin = \"template\"\nuser = [\"Faster, please. {question}\", \"Hurry up. {question}\"]\nkeep = { tokens = 2, marker = \" -\" }";
    let w = world(&manifest(template, &[]).replace("groups = 2", "groups = 6").replace("turns = 3", "turns = 5"));
    let own = "plugin = \"impatient\"\npatience = 2";
    let studies = |libraries: &[&Path]| {
        manifest(own, libraries).replace("groups = 2", "groups = 6").replace("turns = 3", "turns = 5")
    };
    let ran = |o: &Output| assert!(o.status.success(), "{}", text(o));
    // First way: a table of the manifest.
    ran(&friction(w.path(), &["run", "m.toml", "--out", "table"]));
    let expected = run(&w.path().join("table"));
    assert!(expected.0.iter().any(|t| t.kept.ends_with(" -")), "replies are cut");
    assert!(expected.0.iter().any(|t| t.phrase == Some(1)) && expected.0.iter().any(|t| t.phrase == Some(0)));

    // Second way: linked into a program of three lines.
    let here = w.path().join("own");
    copy_crate(&root().join("experiments/own-condition"), &here);
    assert_eq!(std::fs::read_to_string(here.join("src/main.rs")).unwrap().lines().count(), 3);
    cargo(&here, &["build", "--release"]);
    std::fs::write(w.path().join("linked.toml"), studies(&[])).unwrap();
    let mine = Command::new(target().join("release/my-friction"))
        .current_dir(w.path())
        .args(["run", "linked.toml", "--out", "linked"])
        .output();
    ran(&mine.unwrap());
    assert!(run(&w.path().join("linked")) == expected, "linked");

    // Third way: the same source as a dynamic library, built with another profile and edition than the host.
    cargo(&here, &["build", "--no-default-features", "--features", "dylib", "--lib"]);
    let rust = w.path().join(library_name("rust"));
    std::fs::copy(target().join("debug").join(library_name("impatient")), &rust).unwrap();
    std::fs::write(w.path().join("rust.toml"), studies(&[&rust])).unwrap();
    ran(&friction(w.path(), &["run", "rust.toml", "--out", "rust"]));
    assert!(run(&w.path().join("rust")) == expected, "a library in Rust");

    // Fourth way: in C, against today's header and against those of versions 2 and 1.
    let old = headers().join("abi2/impatient.c");
    for (name, include, source) in [
        ("c", headers(), headers().join("examples/impatient.c")),
        ("second", headers().join("abi2"), old.clone()),
        ("old", headers().join("abi1"), old),
    ] {
        let file = w.path().join(library_name(name));
        let Some(()) = compile(&source, &include, &file, &[]) else { return };
        std::fs::write(w.path().join(format!("{name}.toml")), studies(&[&file])).unwrap();
        let o = friction(w.path(), &["run", &format!("{name}.toml"), "--out", name]);
        ran(&o);
        assert!(run(&w.path().join(name)) == expected, "a library in C, {name}");
        // Another build of the library makes another study: the lock differs.
        let again = friction(w.path(), &["run", "rust.toml", "--out", name]);
        assert!(text(&again).contains("conditions[1].library: stored"), "{}", text(&again));
    }
    // Wrong options: today's library reports the line when the manifest is checked, the old one when it is built.
    // Both do so before any token.
    let wrong = |name: &str| {
        let m = w.path().join(format!("{name}.toml"));
        let m = std::fs::read_to_string(m).unwrap().replace("patience = 2", "patience = 0");
        std::fs::write(w.path().join("wrong.toml"), m).unwrap();
        let o = friction(w.path(), &["run", "wrong.toml", "--out", "wrong"]);
        assert_eq!(o.status.code(), Some(2), "{}", text(&o));
        assert!(!w.path().join("wrong").exists());
        text(&o)
    };
    for name in ["rust", "c", "second", "old"] {
        let told = wrong(name);
        assert!(told.contains("`patience` must be at least 1"), "{told}");
    }
    let o = friction(w.path(), &["plugins", "show", "impatient", "--manifest", "rust.toml"]);
    assert!(text(&o).contains("patience: whole number from 1 (required) Tokens of a reply"), "{}", text(&o));
}

#[test]
fn a_hook_in_cpp_reads_activations() {
    let w = world(MANIFEST);
    let file = w.path().join(library_name("norms"));
    let Some(()) = compile(&headers().join("examples/norms.cpp"), &headers(), &file, &[]) else { return };
    let hook = "[[hook]]\nplugin = \"norms\"\nname = \"n\"\nsite = \"resid_post.1\"\n[[hook]]\nplugin = \"residual\"\nname = \"r\"\nsites = [\"resid_post.1\"]\npositions = [\"reply:2\"]\n[[analyzer]]";
    let m = MANIFEST.replace("[[analyzer]]", hook);
    let load = format!(
        "[plugins]\nload = [{{ path = \"{}\", sha256 = \"{}\" }}]\n[model]",
        library_name("norms"),
        digest(&file)
    );
    std::fs::write(w.path().join("m.toml"), m.replace("[model]", &load)).unwrap();
    let o = friction(w.path(), &["run", "m.toml"]);
    assert!(o.status.success(), "{}", text(&o));
    let stored = StoredRun::open(&w.path().join("runs/tiny")).unwrap();
    let mut seen = 0;
    for t in stored.turns() {
        let tap = stored.tap(t.conversation(), Site::ResidPost(1), Position::Reply(2)).unwrap().unwrap();
        let [_, positions, width] = tap.shape;
        for p in 0..positions {
            let at = ((t.turn as usize - 1) * positions + p) * width;
            let norm = tap.data[at..at + width].iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
            let read = t.readings.get(&format!("n.norm-{p}")).copied();
            assert_eq!(read.unwrap_or(f64::NAN).to_bits(), norm.to_bits(), "{t:?}");
            seen += 1;
        }
    }
    assert_eq!(seen, 2 * 2 * 3 * 2);
    // C++ exceptions become errors.
    let m = std::fs::read_to_string(w.path().join("m.toml")).unwrap();
    std::fs::write(w.path().join("m.toml"), m.replace("site = \"resid_post.1\"", "sight = 3")).unwrap();
    let o = friction(w.path(), &["check", "m.toml"]);
    assert!(text(&o).contains("libnorms") && text(&o).contains("and nothing else"), "{}", text(&o));
    assert_eq!(o.status.code(), Some(2));
}

#[test]
fn a_library_in_rust_panics_and_analyzes() {
    let w = world(MANIFEST);
    let here = w.path().join("panics");
    copy_crate(&root().join("plugins/bundled/tests/libraries/panics"), &here);
    cargo(&here, &["build"]);
    let file = w.path().join(library_name("panics"));
    std::fs::copy(target().join("debug").join(library_name("panics")), &file).unwrap();
    std::fs::write(w.path().join("p.toml"), manifest("plugin = \"panics\"", &[&file])).unwrap();
    let o = friction(w.path(), &["run", "p.toml", "--out", "p"]);
    assert!(!o.status.success());
    for part in
        ["condition `panics`: `ask` panicked; this is a defect of the plugin", "no letter 7 among", "src/lib.rs:"]
    {
        assert!(text(&o).contains(part), "{part}: {}", text(&o));
    }
    let hooked =
        MANIFEST.replace("[[analyzer]]", "[[analyzer]]\nplugin = \"means\"\nsite = \"resid_post.3\"\n[[analyzer]]");
    let load = format!(
        "[plugins]\nload = [{{ path = {:?}, sha256 = \"{}\" }}]\n[model]",
        file.to_str().unwrap(),
        digest(&file)
    );
    std::fs::write(w.path().join("a.toml"), hooked.replace("[model]", &load)).unwrap();
    let o = friction(w.path(), &["--json", "run", "a.toml", "--out", "a"]);
    assert!(o.status.success(), "{}", text(&o));
    let json: serde_json::Value = serde_json::from_slice(&o.stdout).unwrap();
    let means = &json["analyzers"]["means"];
    assert_eq!(means["blocks"][0], serde_json::json!({"text": "4 conversations of tiny"}));
    let table = &means["blocks"][1];
    assert!(table["method"] == "none" && table["n"] == 2 && table["table"]["columns"][0]["name"] == "group", "{table}");
    let stored = StoredRun::open(&w.path().join("a")).unwrap();
    let mut sum = 0.0;
    for t in stored.turns().iter().filter(|t| t.turn == 1) {
        let tap = stored.tap(t.conversation(), Site::ResidPost(3), Position::PromptEnd).unwrap().unwrap();
        sum += tap.data.iter().map(|x| f64::from(*x)).sum::<f64>();
    }
    assert_eq!(means["values"]["sum"].as_f64().unwrap().to_bits(), sum.to_bits());
    assert_eq!(means["values"]["earlier"], false);
    assert_eq!(std::fs::read(w.path().join("a/analysis/means/bytes.bin")).unwrap(), [1, 2, 255]);
    assert!(["parquet", "csv"].iter().all(|e| w.path().join(format!("a/analysis/means/groups.{e}")).is_file()));
    // The analysis runs again from the run directory alone, and sees earlier findings.
    let again = friction(w.path(), &["--json", "analyze", "a"]);
    let json: serde_json::Value = serde_json::from_slice(&again.stdout).unwrap();
    assert_eq!(json["analyzers"]["means"]["values"]["earlier"], true, "{}", text(&again));
    // A site that no hook taps is refused before the run.
    let o = friction(w.path(), &["check", "a.toml", "--set", "analyzer.0.site=resid_post.2"]);
    assert!(text(&o).contains("no hook taps it"), "{}", text(&o));
}

struct Hostile {
    world: tempfile::TempDir,
    source: PathBuf,
}

impl Hostile {
    fn run(&self, which: &str, command: &[&str]) -> Option<Output> {
        let file = self.world.path().join(library_name(&format!("h{which}")));
        let define = if which == "NO_SYMBOL" {
            vec!["HOSTILE=0".into(), "NO_SYMBOL".into()]
        } else {
            vec![format!("HOSTILE={which}")]
        };
        compile(&self.source, &headers(), &file, &define)?;
        let m = manifest("plugin = \"hostile\"", &[&file]).replace("groups = 2", "groups = 4");
        let m =
            format!("{m}\n[[analyzer]]\nplugin = \"hostile\"\n").replace("[model]", "[backend]\nbatch = 2\n[model]");
        std::fs::write(self.world.path().join("h.toml"), m).unwrap();
        Some(friction(self.world.path(), command))
    }
}

#[test]
fn broken_libraries_are_told_of() {
    let h = Hostile { world: world(MANIFEST), source: root().join("plugins/bundled/tests/libraries/hostile.c") };
    // These are refused when the library is loaded or first called.
    for (which, part) in [
        ("DIES", "died while it was loaded (signal 11)"),
        ("LEAVES", "ended its process while it was loaded (code 3)"),
        ("NO_SYMBOL", "exports no `friction_plugin`"),
        ("NULL_TABLE", "refuses this host, which speaks version 3"),
        ("NEWER", "was built for version 99 of friction_plugin.h, and this friction speaks up to 3"),
        ("TINY", "its table says version 3 and 12 bytes"),
        ("NO_CALL", "its table lacks `build` or `call`"),
        ("LIST_NULL", "a null pointer was written as 40 bytes"),
        ("LIST_LENGTH", "more than 1073741824 bytes was written"),
        ("LIST_JSON", "what is no list of plugins"),
        ("LIST_NAME", "names are letters, digits"),
        ("BUILD_ERROR", "there is no file `words.txt`"),
        ("ASK_JSON", "`ask` answered with what cannot be read"),
        ("ASK_NULL", "`ask`: a null pointer was written as 7 bytes"),
        ("ASK_LENGTH", "`ask`: an answer of more than"),
        ("ASK_TYPE", "invalid type: integer `7`"),
        ("ASK_ERROR", "condition `hostile`: `ask`: no words left"),
        ("ASK_CODE", "`ask` returned the unknown code -17"),
    ] {
        let Some(o) = h.run(which, &["run", "h.toml", "--out", which]) else { return };
        assert!(matches!(o.status.code(), Some(1 | 2)), "{which}: {:?} {}", o.status, text(&o));
        assert!(text(&o).contains(part), "{which}: {}", text(&o));
        assert!(text(&o).contains(&format!("h{which}")), "{which} is named: {}", text(&o));
        assert!(!h.world.path().join(which).join("groups/0000").exists());
    }
    // Another file in the place of the pinned one.
    let Some(o) = h.run("PRINTS", &["check", "h.toml"]) else { return };
    assert!(o.status.success(), "{}", text(&o));
    let file = h.world.path().join(library_name("hPRINTS"));
    let mut bytes = std::fs::read(&file).unwrap();
    bytes.push(0);
    std::fs::write(&file, bytes).unwrap();
    let o = friction(h.world.path(), &["check", "h.toml"]);
    assert!(text(&o).contains("as pinned: the file has changed"), "{}", text(&o));
    // An analyzer cannot write outside its folder.
    let Some(o) = h.run("FILES", &["run", "h.toml", "--out", "files"]) else { return };
    assert!(text(&o).contains("\"../../escaped\" names no file"), "{}", text(&o));
    assert!(!h.world.path().join("escaped").exists() && !h.world.path().join("files/escaped").exists());
    assert!(h.world.path().join("files/groups/0003/turns.parquet").is_file(), "what was computed stays");
    assert!(h.world.path().join("files/analysis/behavior/findings.json").is_file(), "and the other findings");
}

#[test]
fn an_error_in_the_middle_loses_no_finished_group() {
    let h = Hostile { world: world(MANIFEST), source: root().join("plugins/bundled/tests/libraries/hostile.c") };
    let Some(o) = h.run("KEEP_LATE", &["run", "h.toml", "--out", "late"]) else { return };
    assert!(!o.status.success());
    assert!(text(&o).contains("condition `hostile`: `keep`: lost in group 2"), "{}", text(&o));
    let there = |g: &str| h.world.path().join("late/groups").join(g).join("turns.parquet").is_file();
    assert!(there("0000") && there("0001") && !there("0002"));
}

#[test]
fn standard_output_stays_the_hosts() {
    let h = Hostile { world: world(MANIFEST), source: root().join("plugins/bundled/tests/libraries/hostile.c") };
    let Some(o) = h.run("PRINTS", &["--json", "run", "h.toml", "--out", "prints"]) else { return };
    assert!(o.status.success(), "{}", text(&o));
    let json: serde_json::Value = serde_json::from_slice(&o.stdout).unwrap();
    assert_eq!(json["run"]["report"]["groups"], 4);
    let err = String::from_utf8_lossy(&o.stderr);
    assert!(err.contains("note: libhPRINTS") && err.contains("{\"I am\": \"listing\"}"), "{err}");
    assert!(err.contains("asking\\u{1b}[31m"), "control characters are shown, not obeyed: {err}");
}

#[test]
fn a_library_that_hangs_is_left_behind() {
    let h = Hostile { world: world(MANIFEST), source: root().join("plugins/bundled/tests/libraries/hostile.c") };
    let began = Instant::now();
    let Some(o) = h.run("HANGS", &["run", "h.toml"]) else { return };
    assert_eq!(o.status.code(), Some(2), "{}", text(&o));
    assert!(text(&o).contains("did not finish loading within 10 s"), "{}", text(&o));
    assert!(began.elapsed() < Duration::from_secs(60));
}
