//! `hf:` sources against a loopback hub that speaks the hub's protocol.
#![allow(missing_docs, clippy::unwrap_used)]
mod common;
use common::{MANIFEST, text, world};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const TOKEN: &str = "hf_secretsecretsecret";

/// Serves `acme/tiny` to anyone and `acme/gated` to bearers of the token; logs requests.
fn hub(files: BTreeMap<String, Vec<u8>>) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let log = Arc::new(Mutex::new(vec![]));
    let seen = log.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let (files, seen) = (files.clone(), seen.clone());
            std::thread::spawn(move || {
                let mut lines = BufReader::new(stream.try_clone().unwrap());
                let (mut first, mut authorized) = (String::new(), false);
                if lines.read_line(&mut first).is_err() || first.is_empty() {
                    return;
                }
                loop {
                    let mut line = String::new();
                    if lines.read_line(&mut line).unwrap_or(0) <= 2 {
                        break;
                    }
                    authorized |= line.to_lowercase().starts_with("authorization:") && line.contains(TOKEN);
                }
                let mut parts = first.split_whitespace();
                let (method, path) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
                seen.lock().unwrap().push(format!("{method} {path}"));
                let p: Vec<&str> = path.trim_start_matches('/').splitn(5, '/').collect();
                let mut say = |status: &str, headers: &str, body: &[u8]| {
                    let head = format!(
                        "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n",
                        body.len()
                    );
                    let _ = stream.write_all(head.as_bytes());
                    if method == "GET" {
                        let _ = stream.write_all(body);
                    }
                };
                let api = |id: &str| ["acme/tiny", "acme/gated"].contains(&id);
                match p[..] {
                    ["api", "models", owner, name, ref rest @ ..] if api(&format!("{owner}/{name}")) => {
                        match rest.first().map_or("main", |r| r.trim_start_matches("revision/")) {
                            "main" | COMMIT => say("200 OK", "Content-Type: application/json\r\n", b"{}"),
                            _ => say("404 Not Found", "X-Error-Code: RevisionNotFound\r\n", b""),
                        }
                    }
                    ["acme", "gated", "resolve", ..] if !authorized => {
                        say("401 Unauthorized", "X-Error-Code: GatedRepo\r\n", b"")
                    }
                    ["acme", "tiny" | "gated", "resolve", rev, file] if rev == "main" || rev == COMMIT => {
                        match files.get(file) {
                            Some(body) => {
                                let tag = format!(
                                    "ETag: \"{:016x}\"\r\nX-Repo-Commit: {COMMIT}\r\nAccept-Ranges: bytes\r\n",
                                    friction_core::seed::derive(&[body])
                                );
                                say("200 OK", &tag, body);
                            }
                            None => say(
                                "404 Not Found",
                                &format!("X-Error-Code: EntryNotFound\r\nX-Repo-Commit: {COMMIT}\r\n"),
                                b"",
                            ),
                        }
                    }
                    ["acme", "tiny" | "gated", "resolve", ..] => {
                        say("404 Not Found", "X-Error-Code: RevisionNotFound\r\n", b"")
                    }
                    _ => say("404 Not Found", "X-Error-Code: RepoNotFound\r\n", b""),
                }
            });
        }
    });
    (url, log)
}

fn run(dir: &Path, url: &str, token: Option<&str>, args: &[&str]) -> Output {
    let mut c = Command::new(env!("CARGO_BIN_EXE_friction"));
    c.current_dir(dir).args(args).env("HF_ENDPOINT", url).env("HF_HOME", dir.join("hf"));
    c.env_remove("HF_TOKEN")
        .env_remove("HF_HUB_CACHE")
        .env_remove("HF_HUB_OFFLINE")
        .env_remove("HUGGINGFACE_HUB_CACHE");
    if let Some(t) = token {
        c.env("HF_TOKEN", t);
    }
    c.output().unwrap()
}

#[test]
fn the_hub() {
    let w = world(MANIFEST);
    let files = std::fs::read_dir(w.path().join("model"))
        .unwrap()
        .map(|e| e.unwrap().path())
        .map(|p| (p.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read(&p).unwrap()))
        .collect();
    let (url, log) = hub(files);
    let go = ["run", "m.toml", "--set", "model.source=hf:acme/tiny"];
    let o = run(w.path(), &url, None, &go);
    assert!(o.status.success(), "{}\n{:#?}", text(&o), log.lock().unwrap());
    let lock = std::fs::read_to_string(w.path().join("runs/tiny/lock.json")).unwrap();
    assert!(lock.contains(COMMIT), "the commit is recorded: {lock}");
    // The Python tools' layout: models--owner--name/snapshots/<commit>/file.
    assert!(w.path().join(format!("hf/hub/models--acme--tiny/snapshots/{COMMIT}/model.safetensors")).exists());

    // The same study from a folder gives the same run.
    let local = run(w.path(), &url, None, &["run", "m.toml", "--out", "local"]);
    assert!(local.status.success(), "{}", text(&local));
    let taps = |d: &str| std::fs::read(w.path().join(d).join("groups/0001/taps.safetensors")).unwrap();
    assert!(taps("runs/tiny") == taps("local"));

    // No network: the cache serves.
    let o = run(
        w.path(),
        "http://127.0.0.1:9",
        None,
        &["run", "m.toml", "--out", "offline", "--set", "model.source=hf:acme/tiny"],
    );
    assert!(o.status.success(), "{}", text(&o));

    for (source, token, part) in [
        ("hf:acme/gated", None, "gated or private: accept its terms"),
        ("hf:acme/none", None, "there is no such repository, or it is private"),
        ("hf:acme", None, "write `owner/name`"),
    ] {
        let o = run(w.path(), &url, token, &["check", "m.toml", "--set", &format!("model.source={source}")]);
        assert!(!o.status.success() && text(&o).contains(part), "{source}: {}", text(&o));
    }
    let o = run(
        w.path(),
        &url,
        None,
        &["check", "m.toml", "--set", "model.source=hf:acme/tiny", "--set", "model.revision=v9"],
    );
    assert!(text(&o).contains("there is no revision `v9`: check `model.revision`"), "{}", text(&o));
    // Somebody's repository that holds no checkpoint.
    let (bare, _) = hub(BTreeMap::new());
    let o = run(w.path(), &bare, Some(TOKEN), &["check", "m.toml", "--set", "model.source=hf:acme/gated"]);
    assert!(text(&o).contains("`config.json`: the repository holds no such file"), "{}", text(&o));
    let o = run(w.path(), "http://127.0.0.1:9", None, &["check", "m.toml", "--set", "model.source=hf:acme/other"]);
    assert!(text(&o).contains("no network and nothing in the cache"), "{}", text(&o));
    let o =
        run(w.path(), &url, Some(TOKEN), &["run", "m.toml", "--out", "gated", "--set", "model.source=hf:acme/gated"]);
    assert!(o.status.success(), "{}", text(&o));
    for f in ["lock.json", "log.jsonl", "manifest.toml"] {
        assert!(!std::fs::read_to_string(w.path().join("gated").join(f)).unwrap().contains(TOKEN));
    }
    assert!(!text(&o).contains(TOKEN));
}
