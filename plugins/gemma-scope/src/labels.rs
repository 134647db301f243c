//! What a feature is about: Neuronpedia's words where its set has labels and they can be had, else the
//! tokens that it speaks for.
use friction_core::{Error, Result};
use friction_sae::Name;
use serde_json::Value;
use std::path::PathBuf;
use std::time::Duration;

/// Labels of one set of features, from the cache or from the network.
pub struct Labels {
    model: String,
    set: String,
    folder: String,
    base: String,
    cache: Option<PathBuf>,
    client: Option<reqwest::blocking::Client>,
}

impl Labels {
    /// Of an autoencoder of the release; `None` where no labels are made of its features.
    ///
    /// # Errors
    /// When no client can be made.
    pub fn of(name: &Name, repository: &str) -> Result<Option<Self>> {
        let Some((model, set)) = name.neuronpedia(repository) else { return Ok(None) };
        let offline = std::env::var("HF_HUB_OFFLINE").is_ok_and(|v| v == "1" || v.eq_ignore_ascii_case("true"));
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

    /// A feature's label; `None` where it has none.
    ///
    /// # Errors
    /// When it is neither cached nor to be had, or belongs to another set: labels of one set say nothing
    /// of another's features.
    pub fn get(&self, feature: u32) -> Result<Option<String>> {
        let file = self.cache.as_ref().map(|c| c.join(format!("{feature}.json")));
        let cached = file.as_ref().and_then(|f| serde_json::from_slice(&std::fs::read(f).ok()?).ok());
        let answer = match cached {
            Some(v) => v,
            None => {
                let v = self.fetch(feature)?;
                if let Some(file) = &file {
                    // A label that cannot be kept is fetched again the next time.
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

/// Text from elsewhere on one line, without control characters, at most 80 characters.
pub fn plain(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(80).collect();
    line.trim().to_string()
}
