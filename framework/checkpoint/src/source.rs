//! Resolves a manifest's `model.source` in two steps: first the configuration and tokenizer files, which is cheap,
//! then the weights.
use crate::bundled::BundledModel;
use crate::families::{no_shape, shape};
use crate::files::{expand, read_json};
use crate::hub::Repo;
use crate::template::{self, Choice, Found, SpecialTokens};
use crate::weights::TensorSource;
use crate::weights::gguf::{Gguf, Meta};
use crate::weights::random::RandomWeights;
use crate::weights::safetensors::{SafetensorsFiles, shard_names};
use crate::{Arch, Error, Result, Tokenizer};
use friction_core::{BuildContext, ModelIdentity, ModelPart};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::cell::RefCell;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// A parsed `model.source`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// `hf:owner/name`: a repository of the Hugging Face hub.
    Hub(String),
    /// `path:folder`: a folder in the hub's file layout.
    Path(PathBuf),
    /// `gguf:file`: a GGUF file.
    Gguf(PathBuf),
    /// `random:gemma-3-1b`: seeded random weights of a published architecture (see [`shapes`](crate::families::shapes)).
    Random(String),
    /// `bundled:name`: a model embedded in the binary.
    Bundled(String),
}

impl FromStr for Source {
    type Err = Error;
    fn from_str(s: &str) -> Result<Self> {
        let (kind, rest) = s.split_once(':').filter(|(_, r)| !r.is_empty()).ok_or_else(|| {
            Error::Source(format!("`{s}` is not a model source; write `hf:owner/name`, `path:folder`, `gguf:file`, `bundled:name` or `random:gemma-3-270m`"))
        })?;
        match kind {
            "hf" => Ok(Source::Hub(rest.into())),
            "path" => Ok(Source::Path(expand(rest))),
            "gguf" => Ok(Source::Gguf(expand(rest))),
            "random" if shape(rest).is_some() => Ok(Source::Random(rest.into())),
            "random" => Err(Error::Source(no_shape(rest))),
            "bundled" => BundledModel::find(rest).map(|m| Source::Bundled(m.name.into())),
            "none" => Err(Error::Source(format!(
                "`{s}` is the model of a run that was imported: there is no checkpoint of it, so nothing can be run or computed with it; `friction analyze` and `friction grade` read the run"
            ))),
            other => Err(Error::Source(format!(
                "unknown kind of source `{other}:`; there are `hf:`, `path:`, `gguf:`, `bundled:` and `random:`"
            ))),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Hub(id) => write!(f, "hf:{id}"),
            Source::Path(p) => write!(f, "path:{}", p.display()),
            Source::Gguf(p) => write!(f, "gguf:{}", p.display()),
            Source::Random(n) => write!(f, "random:{n}"),
            Source::Bundled(n) => write!(f, "bundled:{n}"),
        }
    }
}

/// Configuration files whose bytes identify a part.
pub(crate) const FILES: [(ModelPart, &str); 4] = [
    (ModelPart::Config, "config.json"),
    (ModelPart::GenerationConfig, "generation_config.json"),
    (ModelPart::TokenizerConfig, "tokenizer_config.json"),
    (ModelPart::TokenizerConfig, "special_tokens_map.json"),
];

/// Where the weights come from.
pub(crate) enum Weights {
    Files(Vec<PathBuf>),
    Hub(Box<Repo>),
    Gguf(Box<Gguf>),
    Random(RandomWeights),
    Bundled(&'static BundledModel),
}

/// A checkpoint whose configuration, tokenizer and template files are found. [`Checkpoint::open`] reads the weights.
pub struct Checkpoint {
    /// What it was resolved from.
    pub source: Source,
    /// The architecture.
    pub arch: Arch,
    /// The commit that a hub source resolved to; `None` for other sources.
    pub commit: Option<String>,
    /// Where the weights come from. A hub repository is replaced by its files once they are fetched.
    pub(crate) weights: RefCell<Weights>,
    pub(crate) tokenizer: Option<PathBuf>,
    /// The source of its own chat template, where it has one.
    pub(crate) template: Option<String>,
    /// The special tokens that its files name, where they do.
    pub(crate) special: Option<SpecialTokens>,
    /// Whether its tokenizer begins texts with the BOS token, where its files say so.
    pub(crate) adds_bos: Option<bool>,
    /// The chat template that the manifest chooses.
    pub(crate) choice: Choice,
    /// Its `generation_config.json`, where it has one.
    pub(crate) generation: Option<(PathBuf, Value)>,
    /// Paths of the configuration files that were read, for [`Checkpoint::identity`].
    pub(crate) files: Vec<(ModelPart, PathBuf)>,
    /// The hashes in the lock of a stored run: a part that differs is refused.
    pub(crate) locked: Option<ModelIdentity>,
}

impl Checkpoint {
    /// Resolves a source and reads its configuration, not its weights. `revision` applies to hub sources, `seed` to
    /// random ones; `tokenizer` replaces the checkpoint's own tokenizer.json. Relative paths are relative to `base`.
    ///
    /// # Errors
    /// When the source is malformed or missing, or is of no known family.
    pub fn resolve(
        source: &str,
        revision: Option<&str>,
        tokenizer: Option<&Path>,
        base: &Path,
        seed: u64,
    ) -> Result<Self> {
        let source: Source = source.parse()?;
        let mut out = match &source {
            Source::Path(dir) => {
                let dir = base.join(dir);
                if !dir.is_dir() {
                    return Err(Error::format(
                        &dir,
                        "no such folder; `path:` names a folder with config.json and model.safetensors",
                    ));
                }
                Self::from_files(
                    source,
                    |name| Ok(Some(dir.join(name)).filter(|p| p.exists())),
                    &dir,
                    Weights::Files(vec![]),
                )?
            }
            Source::Hub(id) => {
                let mut repo = Repo::new(id, revision, false)?;
                let first = repo.get("config.json")?;
                let dir = first.parent().unwrap_or(Path::new("")).to_path_buf();
                let mut out = Self::from_files(source, |name| repo.try_get(name), &dir, Weights::Files(vec![]))?;
                out.commit = repo.commit.clone();
                out.weights = RefCell::new(Weights::Hub(Box::new(repo)));
                out
            }
            Source::Gguf(file) => {
                let gguf = Gguf::open(&base.join(file))?;
                let template = match gguf.meta("tokenizer.chat_template") {
                    Some(Meta::Text(t)) => Some(t.clone()),
                    _ => None,
                };
                let adds_bos = Tokenizer::adds_bos(&gguf);
                let (arch, special) = (gguf.arch()?.clone(), Some(SpecialTokens::from_gguf(&gguf)));
                Self { template, special, adds_bos, ..Self::bare(source, arch, Weights::Gguf(Box::new(gguf))) }
            }
            Source::Random(name) => {
                let config = shape(name).ok_or_else(|| Error::Source(no_shape(name)))?;
                let arch = Arch::from_json(Path::new(name), &config, None)?;
                let weights = Weights::Random(RandomWeights::new(&arch, seed));
                Self::bare(source, arch, weights)
            }
            Source::Bundled(name) => {
                let model = BundledModel::find(name)?;
                let path = PathBuf::from(source.to_string());
                let json = |file: &str| -> Result<Value> {
                    serde_json::from_slice(model.file(file)?).map_err(|e| Error::format(path.join(file), e))
                };
                let generation = json("generation_config.json")?;
                let arch = Arch::from_json(&path.join("config.json"), &json("config.json")?, Some(&generation))?;
                let generation = Some((path.join("generation_config.json"), generation));
                Self { generation, ..Self::bare(source, arch, Weights::Bundled(model)) }
            }
        };
        if let Some(t) = tokenizer {
            out.tokenizer = Some(base.join(t));
        }
        Ok(out)
    }

    /// Resolves the model of a study. Where the context belongs to a stored run, each part is compared with the run's
    /// lock before it is used.
    ///
    /// # Errors
    /// As [`Checkpoint::resolve`], and when a part differs from what the run was made with.
    pub fn of(cx: &BuildContext) -> Result<Self> {
        let m = &cx.model;
        let tokenizer = m.tokenizer.as_deref().map(Path::new);
        let mut out = Self::resolve(&m.source, m.revision.as_deref(), tokenizer, &cx.base, cx.seed)?;
        out.choice = Choice::of(m, &cx.base)?;
        out.locked = cx.locked.clone();
        out.agrees(ModelPart::Config)?;
        out.agrees(ModelPart::GenerationConfig)?;
        Ok(out)
    }

    /// A checkpoint that has a configuration and weights, and no files for text.
    fn bare(source: Source, arch: Arch, weights: Weights) -> Self {
        Self {
            source,
            arch,
            commit: None,
            weights: RefCell::new(weights),
            tokenizer: None,
            template: None,
            special: None,
            adds_bos: None,
            choice: Choice::default(),
            generation: None,
            files: vec![],
            locked: None,
        }
    }

    fn from_files(
        source: Source,
        mut file: impl FnMut(&str) -> Result<Option<PathBuf>>,
        dir: &Path,
        mut weights: Weights,
    ) -> Result<Self> {
        let mut files = vec![];
        for (part, name) in FILES {
            files.extend(file(name)?.map(|path| (part, path)));
        }
        let path = file("config.json")?.ok_or_else(|| Error::format(dir, "holds no config.json"))?;
        let generation = file("generation_config.json")?.map(|p| read_json(&p).map(|v| (p, v))).transpose()?;
        let arch = Arch::from_json(&path, &read_json(&path)?, generation.as_ref().map(|(_, v)| v))?;
        let Found { template, special, adds_bos } = template::of_files(&mut file)?;
        let tokenizer = file("tokenizer.json")?;
        if matches!(source, Source::Path(_)) {
            weights = Weights::Files(SafetensorsFiles::list(dir)?);
        }
        Ok(Self { tokenizer, template, special, adds_bos, generation, files, ..Self::bare(source, arch, weights) })
    }

    /// Checks that every tensor of the architecture is in the weights, in its shape, as far as the files are here: a hub's
    /// are in the cache. Reads their headers, and both tables where a tied checkpoint also holds an `lm_head`.
    ///
    /// # Errors
    /// When a file is missing or malformed, or lacks a tensor, or holds one that the model does not use.
    pub fn complete(&self) -> Result<()> {
        let files = match &*self.weights.borrow() {
            Weights::Files(files) => files.clone(),
            Weights::Hub(repo) => match repo.weights()? {
                Some(files) => files,
                None => return Ok(()),
            },
            Weights::Gguf(gguf) => return gguf.whole(),
            Weights::Random(_) | Weights::Bundled(_) => return Ok(()),
        };
        SafetensorsFiles::open_files(files)?.fit(&self.arch).map(drop)
    }

    /// Opens the weights, and fetches them first where the source is a hub repository.
    ///
    /// # Errors
    /// When a file is missing or malformed, contradicts the configuration, or differs from a stored run's lock.
    pub fn open(&self) -> Result<Box<dyn TensorSource>> {
        let opened = self.opened()?;
        self.agrees(ModelPart::Weights)?;
        Ok(opened)
    }

    fn opened(&self) -> Result<Box<dyn TensorSource>> {
        let mut weights = self.weights.borrow_mut();
        let files = match &mut *weights {
            Weights::Files(f) => f.clone(),
            Weights::Gguf(g) => return Ok(Box::new(Gguf::open(g.path())?)),
            Weights::Random(r) => return Ok(Box::new(RandomWeights::new(&self.arch, r.seed))),
            Weights::Bundled(m) => {
                let path = PathBuf::from(self.source.to_string()).join("model.safetensors");
                let files = SafetensorsFiles::from_static(path, m.file("model.safetensors")?)?;
                return Ok(Box::new(files.fit(&self.arch)?));
            }
            Weights::Hub(repo) => {
                let files = match repo.try_get("model.safetensors.index.json")? {
                    Some(index) => {
                        let text = std::fs::read_to_string(&index).map_err(|e| Error::io(&index, e))?;
                        let names = shard_names(&index, &text)?;
                        names.iter().map(|n| repo.get(n)).collect::<Result<Vec<_>>>()?
                    }
                    None => vec![repo.get("model.safetensors")?],
                };
                *weights = Weights::Files(files.clone());
                files
            }
        };
        Ok(Box::new(SafetensorsFiles::open_files(files)?.fit(&self.arch)?))
    }

    /// SHA-256, in hex, over the bytes of the weight files in order; for a random source over its name and seed.
    pub fn hash(&self) -> Result<String> {
        let mut sha = Sha256::new();
        let files = match &*self.weights.borrow() {
            Weights::Files(f) => f.clone(),
            Weights::Gguf(g) => vec![g.path().to_path_buf()],
            Weights::Hub(_) => vec![],
            Weights::Bundled(m) => {
                sha.update(m.file("model.safetensors")?);
                vec![]
            }
            Weights::Random(r) => {
                sha.update(format!("{}#{}", self.source, r.seed));
                vec![]
            }
        };
        for path in files {
            let mut file = std::fs::File::open(&path).map_err(|e| Error::io(&path, e))?;
            std::io::copy(&mut file, &mut sha).map_err(|e| Error::io(&path, e))?;
        }
        Ok(format!("{:x}", sha.finalize()))
    }

    /// The tokenizer: the file named at [`Checkpoint::resolve`], else the checkpoint's own, else the GGUF's.
    ///
    /// # Errors
    /// When there is none, it is malformed, or differs from a stored run's lock.
    pub fn tokenizer(&self) -> Result<Tokenizer> {
        self.agrees(ModelPart::Tokenizer)?;
        self.agrees(ModelPart::TokenizerConfig)?;
        match (&self.tokenizer, &*self.weights.borrow()) {
            (Some(path), _) => Tokenizer::from_file(path),
            (None, Weights::Gguf(g)) => Tokenizer::from_gguf(g),
            (None, Weights::Bundled(m)) => Tokenizer::from_bytes(m.file("tokenizer.json")?).map_err(Error::Text),
            (None, _) => {
                Err(Error::Source(format!("{} brings no tokenizer.json; name one with `model.tokenizer`", self.source)))
            }
        }
    }
}
