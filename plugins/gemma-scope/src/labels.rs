//! Descriptions of features: Neuronpedia's labels for releases that have them. Without labels, features are described
//! by the tokens that they promote (`told.rs`).
use friction_core::{Error, Result};
use friction_sae::Name;
use serde_json::Value;
use std::path::PathBuf;
use std::time::Duration;

/// Neuronpedia's labels of one set of features, cached on disk.
pub struct Labels {
    model: String,
    set: String,
    folder: String,
    base: String,
    cache: Option<PathBuf>,
    client: Option<reqwest::blocking::Client>,
}

impl Labels {
    /// The labels for an autoencoder of the release; `None` where Neuronpedia has none.
    ///
    /// # Errors
    /// When the HTTP client cannot be made.
    pub fn of(name: &Name, repository: &str) -> Result<Option<Self>> {
        let Some((model, set)) = name.neuronpedia(repository) else { return Ok(None) };
        let offline = friction_checkpoint::hub::offline();
        let client = reqwest::blocking::Client::builder().timeout(Duration::from_secs(10)).build();
        let home = std::env::var_os("XDG_CACHE_HOME")
            .map(PathBuf::from)
            .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")));
        Ok(Some(Self {
            folder: name.path(),
            base: std::env::var("NEURONPEDIA_ENDPOINT").unwrap_or("https://www.neuronpedia.org".into()),
            cache: home.map(|h| h.join("friction/neuronpedia").join(&model).join(&set)),
            client: if offline { None } else { Some(client.map_err(|e| Error::other(e.to_string()))?) },
            model,
            set,
        }))
    }

    /// A feature's label; `None` if it has none.
    ///
    /// # Errors
    /// When the label is not cached and cannot be fetched, or Neuronpedia's answer belongs to another set of
    /// features.
    pub fn get(&self, feature: u32) -> Result<Option<String>> {
        let file = self.cache.as_ref().map(|c| c.join(format!("{feature}.json")));
        let cached = file.as_ref().and_then(|f| serde_json::from_slice(&std::fs::read(f).ok()?).ok());
        let answer = match cached {
            Some(v) => v,
            None => {
                let v = self.fetch(feature)?;
                if let Some(file) = &file {
                    // If the cache cannot be written, the label is fetched again next time.
                    let folder = file.parent().map(std::fs::create_dir_all);
                    if folder.is_some_and(|f| f.is_ok()) {
                        let _ = std::fs::write(file, v.to_string());
                    }
                }
                v
            }
        };
        let set = answer.pointer("/source/hfFolderId").and_then(Value::as_str).unwrap_or("nothing");
        if set.trim_matches('/') != self.folder {
            return Err(Error::other(format!("the labels are of `{set}`, not of `{}`", self.folder)));
        }
        let words = answer.pointer("/explanations/0/description").and_then(Value::as_str);
        Ok(words.map(plain).filter(|w| !w.is_empty()))
    }

    fn fetch(&self, feature: u32) -> Result<Value> {
        let Some(client) = &self.client else {
            return Err(Error::other("HF_HUB_OFFLINE is set, and they are not in the cache"));
        };
        let url = format!("{}/api/feature/{}/{}/{feature}", self.base, self.model, self.set);
        let answer = client.get(&url).send().and_then(reqwest::blocking::Response::error_for_status);
        let text = answer.and_then(reqwest::blocking::Response::text);
        let text = text.map_err(|e| Error::other(format!("Neuronpedia does not answer: {}", e.without_url())))?;
        serde_json::from_str(&text).map_err(|e| Error::other(format!("Neuronpedia's answer is no JSON: {e}")))
    }
}

/// Text from outside as one line: control characters become spaces, and at most 80 characters are kept.
pub fn plain(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(80).collect();
    line.trim().to_string()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::io::{Read, Write};

    /// A server that answers one request with this JSON; joining its thread returns the requested path.
    fn server(json: &'static str) -> (String, std::thread::JoinHandle<String>) {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let handle = std::thread::spawn(move || {
            let (mut s, _) = listener.accept().unwrap();
            let mut buffer = [0; 2048];
            let n = s.read(&mut buffer).unwrap();
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", json.len());
            s.write_all(format!("{head}{json}").as_bytes()).unwrap();
            String::from_utf8_lossy(&buffer[..n]).split_whitespace().nth(1).unwrap_or_default().to_string()
        });
        (base, handle)
    }

    fn labels(base: String, cache: &std::path::Path, online: bool) -> Labels {
        let name: Name = "resid_post/17/16k/medium".parse().unwrap();
        let (model, set) = name.neuronpedia("google/gemma-scope-2-4b-it").unwrap();
        let client = online.then(|| reqwest::blocking::Client::builder().no_proxy().build().unwrap());
        Labels { model, set, folder: name.path(), base, cache: Some(cache.to_path_buf()), client }
    }

    #[test]
    fn labels_are_fetched_once_and_never_borrowed_from_another_set() {
        let dir = tempfile::tempdir().unwrap();
        let (base, asked) = server(
            r#"{"source":{"hfFolderId":"resid_post/layer_17_width_16k_l0_medium"},"explanations":[{"description":"words of\n\u001b[31mapology"}]}"#,
        );
        let got = labels(base.clone(), dir.path(), true).get(12).unwrap();
        assert_eq!(got.unwrap(), "words of  [31mapology");
        assert_eq!(asked.join().unwrap(), "/api/feature/gemma-3-4b-it/17-gemmascope-2-res-16k/12");
        // The cache serves the label without a network; a label that is not cached is an error.
        assert!(labels(base.clone(), dir.path(), false).get(12).unwrap().is_some());
        assert!(labels(base, dir.path(), false).get(13).unwrap_err().to_string().contains("not in the cache"));

        let (base, asked) = server(r#"{"source":{"hfFolderId":"resid_post_all/layer_17_width_16k_l0_small"}}"#);
        let e = labels(base, dir.path(), true).get(14).unwrap_err().to_string();
        assert!(e.contains("resid_post_all"), "{e}");
        asked.join().unwrap();
    }
}
