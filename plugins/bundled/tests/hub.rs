//! `hf:` sources, tested against a local server that speaks the hub's protocol.
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
const NEXT: &str = "89abcdef0123456789abcdef0123456789abcdef";
const TOKEN: &str = "hf_secretsecretsecret";

type Log = Arc<Mutex<Vec<String>>>;

/// Serves `acme/tiny` to anyone and `acme/gated` to requests with the token; logs the requests.
fn hub(files: BTreeMap<String, Vec<u8>>) -> (String, Log) {
    hub_at(COMMIT, files)
}

/// The same, with `main` at another commit.
fn hub_at(commit: &'static str, files: BTreeMap<String, Vec<u8>>) -> (String, Log) {
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
                            "main" | COMMIT | NEXT => say("200 OK", "Content-Type: application/json\r\n", b"{}"),
                            _ => say("404 Not Found", "X-Error-Code: RevisionNotFound\r\n", b""),
                        }
                    }
                    ["acme", "gated", "resolve", ..] if !authorized => {
                        say("401 Unauthorized", "X-Error-Code: GatedRepo\r\n", b"")
                    }
                    ["acme", "tiny" | "gated", "resolve", rev, file] if rev == "main" || rev == commit => {
                        match files.get(file) {
                            Some(body) => {
                                let tag = format!(
                                    "ETag: \"{:016x}\"\r\nX-Repo-Commit: {commit}\r\nAccept-Ranges: bytes\r\n",
                                    friction_core::seed::derive(&[body])
                                );
                                say("200 OK", &tag, body);
                            }
                            None => say(
                                "404 Not Found",
                                &format!("X-Error-Code: EntryNotFound\r\nX-Repo-Commit: {commit}\r\n"),
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
    let token: Vec<_> = token.iter().map(|t| ("HF_TOKEN", *t)).collect();
    run_with(dir, url, &token, args)
}

/// Runs friction with only these of the environment's variables about the hub.
fn run_with(dir: &Path, url: &str, env: &[(&str, &str)], args: &[&str]) -> Output {
    let mut c = Command::new(env!("CARGO_BIN_EXE_friction"));
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if ["HF_", "HUGGING", "TRANSFORMERS_", "XDG_"].iter().any(|p| name.starts_with(p)) {
            c.env_remove(name);
        }
    }
    c.current_dir(dir).args(args).env("HF_ENDPOINT", url).env("HF_HOME", dir.join("hf"));
    c.envs(env.iter().copied()).output().unwrap()
}

fn files_of(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path());
    entries.map(|p| (p.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read(&p).unwrap())).collect()
}

const TINY: [&str; 4] = ["check", "m.toml", "--set", "model.source=hf:acme/tiny"];
const GATED: [&str; 4] = ["check", "m.toml", "--set", "model.source=hf:acme/gated"];

#[test]
fn the_hub() {
    let w = world(MANIFEST);
    let (url, log) = hub(files_of(&w.path().join("model")));
    let go = ["run", "m.toml", "--set", "model.source=hf:acme/tiny"];
    let o = run(w.path(), &url, None, &go);
    assert!(o.status.success(), "{}\n{:#?}", text(&o), log.lock().unwrap());
    let lock = std::fs::read_to_string(w.path().join("runs/tiny/lock.json")).unwrap();
    assert!(lock.contains(COMMIT), "the commit is recorded: {lock}");
    // The cache has the layout of the Python tools: models--owner--name/snapshots/<commit>/file.
    assert!(w.path().join(format!("hf/hub/models--acme--tiny/snapshots/{COMMIT}/model.safetensors")).exists());

    // The same study from a folder gives the same run.
    let local = run(w.path(), &url, None, &["run", "m.toml", "--out", "local"]);
    assert!(local.status.success(), "{}", text(&local));
    let taps = |d: &str| std::fs::read(w.path().join(d).join("groups/0001/taps.safetensors")).unwrap();
    assert!(taps("runs/tiny") == taps("local"));

    // Without a network the cache is used.
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
    // A repository that exists but holds no checkpoint.
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

/// Makes a folder that can be listed and read, but not written.
#[cfg(unix)]
fn close(dir: &Path) {
    use std::os::unix::fs::PermissionsExt;
    for entry in std::fs::read_dir(dir).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            close(&entry.path());
        }
    }
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o555)).unwrap();
}

/// Puts a file where a folder should be, so that not even root can write into it.
fn in_the_way(folder: &Path) {
    let _ = std::fs::remove_dir_all(folder);
    std::fs::write(folder, "").unwrap();
}

fn pinned(dir: &Path, out: &str) -> bool {
    std::fs::read_to_string(dir.join(out).join("lock.json")).unwrap().contains(COMMIT)
}

#[test]
fn a_filled_cache_that_cannot_be_written_is_used() {
    let w = world(MANIFEST);
    let files = files_of(&w.path().join("model"));
    let (url, log) = hub(files.clone());
    let study = |url: &str, out: &str| {
        run(w.path(), url, None, &["run", "m.toml", "--out", out, "--set", "model.source=hf:acme/tiny"])
    };
    let o = study(&url, "filled");
    assert!(o.status.success(), "{}", text(&o));
    let (hub_dir, repo) = (w.path().join("hf/hub"), w.path().join("hf/hub/models--acme--tiny"));

    // The reference cannot be written; the commit comes from the hub.
    in_the_way(&repo.join("refs"));
    let o = study(&url, "no-refs");
    assert!(o.status.success() && pinned(w.path(), "no-refs"), "{}", text(&o));

    // The cache is a copy: files in place of links, no blobs, and no lock can be taken.
    let snapshot = repo.join("snapshots").join(COMMIT);
    for (name, bytes) in files_of(&snapshot) {
        std::fs::remove_file(snapshot.join(&name)).unwrap();
        std::fs::write(snapshot.join(name), bytes).unwrap();
    }
    in_the_way(&repo.join("blobs"));
    in_the_way(&hub_dir.join(".locks"));
    log.lock().unwrap().clear();
    let o = study(&url, "copied");
    assert!(o.status.success() && pinned(w.path(), "copied"), "{}", text(&o));
    assert!(
        log.lock().unwrap().iter().all(|l| !l.starts_with("GET") || l.contains("/api/")),
        "nothing is fetched again"
    );

    // The reference is there, and only permissions forbid writing (root ignores them).
    std::fs::remove_file(repo.join("refs")).unwrap();
    std::fs::create_dir(repo.join("refs")).unwrap();
    std::fs::write(repo.join("refs/main"), COMMIT).unwrap();
    #[cfg(unix)]
    close(&w.path().join("hf"));
    for (name, url) in [("closed", url.as_str()), ("closed-alone", "http://127.0.0.1:9")] {
        let o = study(url, name);
        assert!(o.status.success() && pinned(w.path(), name), "{}", text(&o));
    }

    // The hub has a newer commit: the older one in the cache must not be used in its place.
    let mut newer = files;
    newer.get_mut("config.json").unwrap().push(b'\n');
    let (moved, _) = hub_at(NEXT, newer);
    let o = study(&moved, "moved");
    let said = text(&o);
    assert!(!o.status.success() && said.contains("cannot be written"), "{said}");
    assert!(said.contains(&format!("it holds `{COMMIT}`")) && said.contains("HF_HUB_OFFLINE=1"), "{said}");
    let o = run_with(w.path(), &moved, &[("HF_HUB_OFFLINE", "1")], &TINY);
    assert!(o.status.success(), "{}", text(&o));
    #[cfg(unix)]
    {
        let status = Command::new("chmod").args(["-R", "u+w"]).arg(w.path().join("hf")).status();
        assert!(status.unwrap().success());
    }
}

/// A cache on a file system that is mounted read-only, so that not even root can write.
#[cfg(target_os = "linux")]
#[test]
fn a_cache_on_a_read_only_disk_is_used() {
    let w = world(MANIFEST);
    let (url, _) = hub(files_of(&w.path().join("model")));
    assert!(run(w.path(), &url, None, &TINY).status.success());
    let mounted = "mount --bind hf hf && mount -o remount,ro,bind hf";
    let within = |command: &str| {
        let mut c = Command::new("unshare");
        c.args(["-rm", "sh", "-c", &format!("{mounted} && {command}")]).current_dir(w.path());
        c.env("HF_ENDPOINT", &url).env("HF_HOME", "hf").env("FRICTION", env!("CARGO_BIN_EXE_friction"));
        c.env_remove("HF_HUB_CACHE").env_remove("HUGGINGFACE_HUB_CACHE").env_remove("HF_HUB_OFFLINE");
        c.output()
    };
    if !within("! touch hf/x 2>&-").is_ok_and(|o| o.status.success()) {
        println!("SKIPPED: no read-only mount can be made here");
        return;
    }
    let o = within("exec \"$FRICTION\" check m.toml --set model.source=hf:acme/tiny").unwrap();
    assert!(o.status.success(), "{}", text(&o));
    let o = within("exec \"$FRICTION\" check m.toml --set model.source=hf:acme/gated").unwrap();
    assert!(!o.status.success(), "what is not there is not found");
}

#[test]
fn offline_is_one_word_everywhere() {
    let w = world(MANIFEST);
    let (url, log) = hub(files_of(&w.path().join("model")));
    assert!(run(w.path(), &url, None, &TINY).status.success());
    let asked = || std::mem::take(&mut *log.lock().unwrap()).len();
    assert!(asked() > 0);
    for (name, value, offline) in [
        ("HF_HUB_OFFLINE", "1", true),
        ("HF_HUB_OFFLINE", "true", true),
        ("HF_HUB_OFFLINE", "Yes", true),
        ("HF_HUB_OFFLINE", "ON", true),
        ("TRANSFORMERS_OFFLINE", "yes", true),
        ("HF_HUB_OFFLINE", "0", false),
        ("HF_HUB_OFFLINE", "", false),
    ] {
        let o = run_with(w.path(), &url, &[(name, value)], &TINY);
        assert!(o.status.success(), "{name}={value}: {}", text(&o));
        assert_eq!(asked() == 0, offline, "{name}={value}");
    }
    // A data set from the hub follows the same variable, and the message names it.
    let questions = "plugin = \"questions\"\npath = \"q.jsonl\"";
    let of_hub = MANIFEST.replace(questions, "plugin = \"mmlu-pro\"");
    assert!(of_hub != MANIFEST);
    std::fs::write(w.path().join("m.toml"), of_hub).unwrap();
    for value in ["1", "yes", "On"] {
        let o = run_with(w.path(), &url, &[("HF_HUB_OFFLINE", value)], &["check", "m.toml"]);
        let said = text(&o);
        assert!(!o.status.success() && said.contains("hf:datasets/TIGER-Lab/MMLU-Pro"), "{said}");
        assert!(said.contains("HF_HUB_OFFLINE (or TRANSFORMERS_OFFLINE) is set"), "{said}");
        assert_eq!(asked(), 0, "{value}");
    }
}

#[test]
fn tokens_and_folders_are_found_as_python_finds_them() {
    let w = world(MANIFEST);
    let (url, _) = hub(files_of(&w.path().join("model")));
    let broken = format!(" {TOKEN}\r\n");
    let home = w.path().to_str().unwrap();
    let mut count = 0;
    // Each call has its own cache, so only the token gives access.
    let mut gated = |env: &[(&str, &str)]| {
        count += 1;
        let cache = w.path().join(format!("cache-{count}"));
        let mut env = env.to_vec();
        env.push(("HF_HUB_CACHE", cache.to_str().unwrap()));
        let o = run_with(w.path(), &url, &env, &GATED);
        assert!(!text(&o).contains(TOKEN), "{}", text(&o));
        o.status.success()
    };
    assert!(gated(&[("HF_TOKEN", &broken)]));
    assert!(gated(&[("HUGGING_FACE_HUB_TOKEN", TOKEN)]));
    assert!(!gated(&[]));
    std::fs::write(w.path().join("a-token"), format!("{TOKEN}\n")).unwrap();
    assert!(gated(&[("HOME", home), ("HF_TOKEN_PATH", "~/a-token")]));
    for (off, sends) in [("0", true), ("false", true), ("", true), ("1", false), ("yes", false)] {
        assert_eq!(gated(&[("HF_TOKEN", TOKEN), ("HF_HUB_DISABLE_IMPLICIT_TOKEN", off)]), sends, "{off}");
    }
    // As in Python, a token is looked for only in the place that the variable names.
    std::fs::create_dir_all(w.path().join("hf")).unwrap();
    std::fs::write(w.path().join("hf/token"), TOKEN).unwrap();
    assert!(gated(&[]));
    assert!(!gated(&[("HF_TOKEN_PATH", "/nowhere/token")]));

    let o = run_with(w.path(), &url, &[("HOME", home), ("HF_HOME", "~/home-of-hf")], &TINY);
    assert!(o.status.success(), "{}", text(&o));
    assert!(w.path().join("home-of-hf/hub/models--acme--tiny").is_dir() && !w.path().join("~").exists());

    // Gated files that were fetched with a token can be used from the cache without one.
    let cache = w.path().join("cache-1");
    let o = run_with(w.path(), &url, &[("HF_HUB_CACHE", cache.to_str().unwrap()), ("HF_TOKEN_PATH", "none")], &GATED);
    assert!(o.status.success(), "{}", text(&o));
    // Messages contain neither tokens nor passwords.
    let o = run_with(w.path(), &url, &[("HF_TOKEN", "hf_schl\u{fc}ssel")], &GATED);
    let said = text(&o);
    assert!(said.contains("holds characters that no token has") && !said.contains("hf_schl"), "{said}");
    for endpoint in ["http://ada:secretword@127.0.0.1:9", "http://ada:secretword@", "ada:secretword@127.0.0.1"] {
        let o = run_with(w.path(), endpoint, &[("HF_HOME", "empty"), ("HF_TOKEN", TOKEN)], &TINY);
        let said = text(&o);
        assert!(!o.status.success() && !said.contains("secretword") && !said.contains(TOKEN), "{said}");
    }
}
