//! Identity of a checkpoint: SHA-256 of the bytes of each part that is used.
use crate::source::{FILES, Weights};
use crate::weights::gguf::{Gguf, Meta};
use crate::{Checkpoint, Error, Result};
use friction_core::{ModelIdentity, ModelPart};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::{File, Metadata};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

impl Checkpoint {
    /// SHA-256 of every part. Reads all weights, which takes about as long as loading them; within a process they are
    /// read again only where a file has changed.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn identity(&self) -> Result<ModelIdentity> {
        ModelPart::ALL.into_iter().map(|p| Ok((p, self.part(p)?))).collect::<Result<_>>().map(ModelIdentity)
    }

    /// SHA-256 of one part, in hex; `None` where the checkpoint has no such part.
    ///
    /// # Errors
    /// When a file cannot be read, or a hub's weights are not fetched yet.
    pub fn part(&self, part: ModelPart) -> Result<Option<String>> {
        match (part, &self.tokenizer, &*self.weights.borrow()) {
            (ModelPart::Weights, _, weights) => self.weights_hash(weights).map(Some),
            (ModelPart::ChatTemplate, ..) => Ok(Some(hex(self.template_source().as_bytes()))),
            (ModelPart::Tokenizer, Some(path), _) => of_file(path).map(Some),
            (_, _, Weights::Gguf(gguf)) => Ok(of_metadata(gguf, part)),
            (_, _, Weights::Bundled(model)) => {
                let name = FILES.iter().find(|(p, _)| *p == part).map_or("tokenizer.json", |(_, name)| name);
                Ok((model.files)().iter().find(|(n, _)| *n == name).map(|(_, bytes)| hex(bytes)))
            }
            (_, _, _) => {
                let of_part = self.files.iter().filter(|(p, _)| *p == part);
                let paths: Vec<&Path> = of_part.map(|(_, path)| path.as_path()).collect();
                if paths.is_empty() { Ok(None) } else { of_files(&paths).map(Some) }
            }
        }
    }

    /// Compares a part with the lock of the stored run, where there is one.
    pub(crate) fn agrees(&self, part: ModelPart) -> Result<()> {
        let Some(stored) = self.locked.as_ref().and_then(|l| l.0.get(&part)) else { return Ok(()) };
        let now = self.part(part)?;
        if *stored == now {
            return Ok(());
        }
        let told = |hash: &Option<String>| hash.clone().unwrap_or_else(|| "none".into());
        Err(Error::Changed { model: self.source.to_string(), part, stored: told(stored), now: told(&now) })
    }

    fn weights_hash(&self, weights: &Weights) -> Result<String> {
        let files: Vec<PathBuf> = match weights {
            Weights::Files(files) => files.clone(),
            Weights::Gguf(gguf) => vec![gguf.path().to_path_buf()],
            Weights::Hub(_) => {
                return Err(Error::Source(format!("{}: its weights are hashed once they are opened", self.source)));
            }
            Weights::Random(_) | Weights::Bundled(_) => return self.hash(),
        };
        static KNOWN: Mutex<BTreeMap<Vec<(PathBuf, Stamp)>, String>> = Mutex::new(BTreeMap::new());
        let stamps =
            || files.iter().map(|f| Some((f.clone(), stamp(&f.metadata().ok()?)?))).collect::<Option<Vec<_>>>();
        let before = stamps();
        let known = KNOWN.lock().ok().and_then(|known| known.get(before.as_ref()?).cloned());
        if let Some(hash) = known {
            return Ok(hash);
        }
        let hash = self.hash()?;
        if let (Some(stamps), true, Ok(mut known)) = (before.clone(), before == stamps(), KNOWN.lock()) {
            known.insert(stamps, hash.clone());
        }
        Ok(hash)
    }
}

/// Device, inode, size, and the times of the last change of content (mtime) and inode (ctime). Files with equal
/// stamps are taken to be the same; no program can set ctime.
type Stamp = (u64, u64, u64, (i64, i64), (i64, i64));

#[cfg(unix)]
fn stamp(m: &Metadata) -> Option<Stamp> {
    use std::os::unix::fs::MetadataExt;
    Some((m.dev(), m.ino(), m.size(), (m.mtime(), m.mtime_nsec()), (m.ctime(), m.ctime_nsec())))
}

#[cfg(not(unix))]
fn stamp(_: &Metadata) -> Option<Stamp> {
    None
}

fn hex(bytes: &[u8]) -> String {
    written(Sha256::digest(bytes).as_slice())
}

fn written(digest: &[u8]) -> String {
    digest.iter().map(|b| format!("{b:02x}")).collect()
}

fn of_file(path: &Path) -> Result<String> {
    of_files(&[path])
}

/// SHA-256 of files one after the other, in hex.
///
/// # Errors
/// When a file cannot be read.
pub fn of_files(paths: &[&Path]) -> Result<String> {
    let mut sha = Sha256::new();
    for path in paths {
        let mut file = File::open(path).map_err(|e| Error::io(path, e))?;
        std::io::copy(&mut file, &mut sha).map_err(|e| Error::io(path, e))?;
    }
    Ok(written(sha.finalize().as_slice()))
}

/// SHA-256 of the metadata of a GGUF that counts as `part`: the tokenizer keys without the chat template, or, as
/// configuration, all keys that are not the tokenizer's.
fn of_metadata(gguf: &Gguf, part: ModelPart) -> Option<String> {
    const TEMPLATE: &str = "tokenizer.chat_template";
    let wanted = |key: &str| match part {
        ModelPart::Tokenizer => key.starts_with("tokenizer.") && key != TEMPLATE,
        ModelPart::Config => !key.starts_with("tokenizer."),
        _ => false,
    };
    let mut sha = Sha256::new();
    let mut any = false;
    for (key, value) in gguf.metadata().iter().filter(|(key, _)| wanted(key)) {
        any = true;
        text(&mut sha, key);
        match value {
            Meta::Int(n) => sha.update([&[0][..], &n.to_le_bytes()].concat()),
            Meta::Float(x) => sha.update([&[1][..], &x.to_le_bytes()].concat()),
            Meta::Bool(b) => sha.update([2, u8::from(*b)]),
            Meta::Text(t) => {
                sha.update([3]);
                text(&mut sha, t);
            }
            Meta::Ints(all) => {
                sha.update([&[4][..], &(all.len() as u64).to_le_bytes()].concat());
                all.iter().for_each(|n| sha.update(n.to_le_bytes()));
            }
            Meta::Floats(all) => {
                sha.update([&[5][..], &(all.len() as u64).to_le_bytes()].concat());
                all.iter().for_each(|x| sha.update(x.to_le_bytes()));
            }
            Meta::Texts(all) => {
                sha.update([&[6][..], &(all.len() as u64).to_le_bytes()].concat());
                all.iter().for_each(|t| text(&mut sha, t));
            }
        }
    }
    any.then(|| written(sha.finalize().as_slice()))
}

fn text(sha: &mut Sha256, text: &str) {
    sha.update((text.len() as u64).to_le_bytes());
    sha.update(text.as_bytes());
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn open(dir: &Path, tokenizer: Option<&Path>) -> Checkpoint {
        Checkpoint::resolve("path:model", None, tokenizer, dir, 0).unwrap()
    }

    #[test]
    fn each_part_is_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join("model").join(name);
        crate::testing::checkpoint(&dir.path().join("model"), 1).unwrap();
        let first = open(dir.path(), None).identity().unwrap();
        assert_eq!(first, open(dir.path(), None).identity().unwrap());
        let config = std::fs::read_to_string(at("config.json")).unwrap();
        std::fs::write(at("config.json"), format!("{config} ")).unwrap();
        std::fs::write(at("generation_config.json"), r#"{"eos_token_id": [1, 7]}"#).unwrap();
        std::fs::write(at("tokenizer_config.json"), r#"{"bos_token": "<bos>"}"#).unwrap();
        std::fs::write(at("chat_template.jinja"), "{{ messages }}").unwrap();
        let tokenizer = std::fs::read_to_string(at("tokenizer.json")).unwrap();
        std::fs::write(at("tokenizer.json"), format!("{tokenizer}\n")).unwrap();
        let weights = std::fs::read(at("model.safetensors")).unwrap();
        let mut other = weights.clone();
        *other.last_mut().unwrap() ^= 1;
        std::fs::write(at("model.safetensors"), other).unwrap();
        let second = open(dir.path(), None).identity().unwrap();
        for part in ModelPart::ALL {
            assert_ne!(first.0[&part], second.0[&part], "{part}");
        }
        // A tokenizer in another place is identified by its bytes.
        std::fs::copy(at("tokenizer.json"), dir.path().join("t.json")).unwrap();
        assert_eq!(open(dir.path(), Some(Path::new("t.json"))).identity().unwrap(), second);
        std::fs::write(dir.path().join("t.json"), tokenizer).unwrap();
        let named = open(dir.path(), Some(Path::new("t.json"))).part(ModelPart::Tokenizer).unwrap();
        assert_eq!(named, first.0[&ModelPart::Tokenizer]);
    }

    #[test]
    fn a_context_of_a_run_gets_its_model_or_an_error() {
        let dir = tempfile::tempdir().unwrap();
        crate::testing::checkpoint(&dir.path().join("model"), 1).unwrap();
        let json = serde_json::json!({"base": dir.path(), "seed": 0, "model": {"source": "path:model"}, "backend": {}});
        let mut cx: friction_core::BuildContext = serde_json::from_value(json).unwrap();
        cx.locked = Some(Checkpoint::of(&cx).unwrap().identity().unwrap());
        let checkpoint = Checkpoint::of(&cx).unwrap();
        checkpoint.open().unwrap();
        checkpoint.template(&checkpoint.tokenizer().unwrap()).unwrap();
        // Different weights of the same shape.
        std::fs::remove_dir_all(dir.path().join("model")).unwrap();
        crate::testing::checkpoint(&dir.path().join("model"), 2).unwrap();
        let e = Checkpoint::of(&cx).unwrap().open().err().unwrap().to_string();
        assert!(e.contains("weights of path:model differs from what the run was made with"), "{e}");
        std::fs::write(dir.path().join("model/generation_config.json"), r#"{"eos_token_id": [1, 7]}"#).unwrap();
        let e = Checkpoint::of(&cx).err().unwrap().to_string();
        assert!(e.contains("generation_config of path:model differs"), "{e}");
    }
}
