//! The simulated studies, each run once and kept in a folder of runs.
use crate::Error;
use friction_core::manifest::Manifest;
use friction_organism::truth::Truth;
use friction_study::{Plan, Quiet, analyze, run};
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// The two runs of a patched study.
const FIRST: &str = include_str!("../../patching-first.toml");
const PATCHED: &str = include_str!("../../patching.toml");
/// Sites that are patched: before the organisms read the number of interruptions, and where the planted one does.
const SITES: &str = "[\"resid_post.0\", \"attn_out.1\"]";
/// Controls of the state: the fewest with which p can be 0.05.
const CONTROLS: usize = 19;

/// What all studies share.
pub struct Studies {
    runs: PathBuf,
    turns: usize,
    null_temperature: f64,
}

fn word(truth: Truth) -> &'static str {
    match truth {
        Truth::Planted => "planted",
        Truth::Null => "null",
        Truth::Decoy => "decoy",
    }
}

fn source(truth: Truth) -> &'static str {
    match truth {
        Truth::Planted => "bundled:organism",
        Truth::Null => "bundled:organism-null",
        Truth::Decoy => "bundled:organism-decoy",
    }
}

impl Studies {
    /// Prepares studies with runs in `runs`. For each organism a sparse autoencoder is trained, on questions that no
    /// study asks, and a direction is learnt.
    ///
    /// # Errors
    /// When a folder cannot be written, or an autoencoder cannot be trained.
    pub fn new(runs: &Path, turns: usize, null_temperature: f64) -> Result<Self, Error> {
        std::fs::create_dir_all(runs)?;
        let out = Self { runs: std::path::absolute(runs)?, turns, null_temperature };
        let files: [(Truth, &[u8]); 2] = [
            (Truth::Null, include_bytes!("../../organism/null.safetensors")),
            (Truth::Planted, include_bytes!("../../organism/planted.safetensors")),
        ];
        for (truth, file) in files {
            std::fs::create_dir_all(out.base(truth))?;
            std::fs::write(out.base(truth).join("directions.safetensors"), file)?;
            let set = vec![format!("model.source={}", source(truth)), "study.groups=12".into()];
            let manifest = Manifest::parse("sae.toml", include_str!("../../organism/sae.toml"), &set)?;
            let plan = Rc::new(Plan::new(manifest, &out.base(truth))?);
            if !out.sae(truth).exists() {
                run(&plan, &out.sae_run(truth), &mut Quiet)?;
                analyze(&out.sae_run(truth), &plan.analyzers)?;
            }
        }
        Ok(out)
    }

    /// The folder to which a study's paths are relative.
    fn base(&self, truth: Truth) -> PathBuf {
        self.runs.join(word(truth))
    }
    fn sae_run(&self, truth: Truth) -> PathBuf {
        self.base(truth).join("sae")
    }
    fn sae(&self, truth: Truth) -> PathBuf {
        self.sae_run(truth).join("analysis/sae-train")
    }

    /// The run of a seed, made if it does not exist, and its plan. On the null organism the `i`-th study tests a random
    /// direction (the `i`-th, counted cyclically) in place of the planted one.
    ///
    /// # Errors
    /// When the study's manifest is wrong or its run fails.
    pub fn run(&self, truth: Truth, groups: usize, seed: u64, i: u64) -> Result<(PathBuf, Rc<Plan>), Error> {
        let text = include_str!("../study.toml");
        let sae = format!("path:{}", self.sae(truth).display());
        let mut set = self.sized(truth, groups, seed);
        let table: toml::Table = text.parse()?;
        for (k, analyzer) in table.get("analyzer").and_then(|a| a.as_array()).into_iter().flatten().enumerate() {
            match analyzer.get("plugin").and_then(|p| p.as_str()) {
                Some("gemma-scope") => set.push(format!("analyzer.{k}.source={sae:?}")),
                Some("steering") if truth == Truth::Null => {
                    set.push(format!("analyzer.{k}.tested=\"random-{:02}\"", i % 20));
                }
                Some("ground-truth") => set.push(format!("analyzer.{k}.expect={}", word(truth))),
                _ => {}
            }
        }
        self.made("study.toml", text, &set, truth, &format!("{groups}-{seed}"))
    }

    /// The patched run of a seed, made with its first run if it does not exist, and its plan.
    ///
    /// # Errors
    /// When a manifest is wrong or a run fails.
    pub fn patched(&self, truth: Truth, groups: usize, seed: u64) -> Result<(PathBuf, Rc<Plan>), Error> {
        let set = self.sized(truth, groups, seed);
        let expect = vec![format!("analyzer.0.expect={}", word(truth))];
        let name = format!("{groups}-{seed}-first");
        let (first, _) = self.made("patching-first.toml", FIRST, &[set.clone(), expect].concat(), truth, &name)?;
        // With few interruptions few answers differ.
        let from = self.turns.min(5);
        let patch = vec![
            format!("hook.0.run={:?}", first.display().to_string()),
            format!("hook.0.sites={SITES}"),
            format!("hook.0.controls={CONTROLS}"),
            format!("hook.0.first_turn={from}"),
            format!("analyzer.0.first_turn={from}"),
        ];
        self.made("patching.toml", PATCHED, &[set, patch].concat(), truth, &format!("{groups}-{seed}-patched"))
    }

    /// Sizes of a study, its seed and its model, as settings of a manifest.
    fn sized(&self, truth: Truth, groups: usize, seed: u64) -> Vec<String> {
        let temperature = if truth == Truth::Null { self.null_temperature } else { 0.0 };
        vec![
            format!("generation.temperature={temperature}"),
            format!("model.source={}", source(truth)),
            format!("study.groups={groups}"),
            format!("study.turns={}", self.turns),
            format!("study.seed={seed}"),
        ]
    }

    /// The run of a manifest, in the folder `name` of its organism, made if it does not exist.
    fn made(
        &self,
        file: &str,
        text: &str,
        set: &[String],
        truth: Truth,
        name: &str,
    ) -> Result<(PathBuf, Rc<Plan>), Error> {
        let plan = Rc::new(Plan::new(Manifest::parse(file, text, set)?, &self.base(truth))?);
        let path = self.base(truth).join(name);
        run(&plan, &path, &mut Quiet)?;
        Ok((path, plan))
    }
}

/// Runs `work(0)` to `work(n - 1)` on separate threads. They are not rayon's, because the engine waits for rayon's
/// threads inside a study, and a waiting worker that started another study would wait for itself.
///
/// # Errors
/// The first error of any study.
pub fn in_threads<T: Send>(n: u64, work: impl Fn(u64) -> Result<T, Error> + Sync) -> Result<Vec<T>, Error> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    std::thread::scope(|scope| {
        let work = &work;
        let share = |t: u64| move || (t..n).step_by(threads as usize).map(work).collect::<Result<Vec<T>, Error>>();
        let handles: Vec<_> = (0..threads).map(|t| scope.spawn(share(t))).collect();
        let mut out = vec![];
        for h in handles {
            out.extend(h.join().map_err(|_| "a study panicked")??);
        }
        Ok(out)
    })
}
