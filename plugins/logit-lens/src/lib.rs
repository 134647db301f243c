//! `logit-lens`: what would the model answer if it stopped at a layer (nostalgebraist 2020), and how does a direction
//! change each answer letter's logit (direct logit attribution)? The residual stream at the token that predicts the
//! reply goes through the final norm and the unembedding.
//!
//! At the last layer the lens equals the model: its log-probabilities there are compared with the stored ones, and the
//! largest difference is reported.
mod attribution;
mod figure;
mod lens;
mod letters;
mod line;
mod options;

use friction_checkpoint::sha256_of_files;
use friction_core::error::Faults;
use friction_core::{
    Analyzer, BuildContext, Error, Findings, Needs, PluginConfig, PluginEntry, Position, Result, RunReader, Site,
};
use friction_directions::Direction;
use friction_model::Unembedding;
use options::{LogitLens, Named};
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

impl PluginConfig for LogitLens {
    type Output = dyn Analyzer;
    fn validate(&self) -> Result<()> {
        let mut faults = Faults::default();
        faults.when(self.sites.is_empty(), "sites", "`sites` must name at least one site");
        for (i, s) in self.sites.iter().enumerate() {
            let key = format!("sites.{i}");
            let stream = matches!(s, Site::Embed | Site::ResidPre(_) | Site::ResidPost(_));
            let what = "is no place in the residual stream; a lens reads embed, resid_pre.L or resid_post.L";
            faults.when(!stream, &key, format!("`{s}` {what}"));
            faults.when(self.sites[..i].contains(s), &key, format!("`{s}` is listed twice"));
        }
        let idle = "`random` does nothing: there are no `directions` to compare with";
        faults.when(self.random.is_some() && self.directions.is_empty(), "random", idle);
        faults.when(self.first_turn == 0, "first_turn", "`first_turn` counts from 1");
        faults.when(!(0.5..1.0).contains(&self.level), "level", "`level` must be from 0.5 to below 1");
        faults.end()
    }

    fn build(&self, cx: &BuildContext) -> Result<Box<dyn Analyzer>> {
        let read =
            |n: &Named| Ok((n.direction.clone(), friction_directions::read(&cx.base.join(&n.file), &n.direction)?));
        let directions = self.directions.iter().map(read).collect::<Result<Vec<_>>>()?;
        Ok(Box::new(Lens { options: self.clone(), directions, cx: cx.clone() }))
    }
}

struct Lens {
    options: LogitLens,
    directions: Vec<(String, Direction)>,
    cx: BuildContext,
}

impl Analyzer for Lens {
    fn needs(&self) -> Needs {
        Needs {
            taps: self.options.sites.iter().map(|s| (*s, Position::PromptEnd)).collect(),
            factors: self.options.factor.iter().cloned().collect(),
            choices: true,
            first_turn: Some(self.options.first_turn),
            ..Needs::default()
        }
    }

    fn fingerprint(&self) -> Result<Option<String>> {
        if self.options.directions.is_empty() {
            return Ok(None);
        }
        let files: Vec<PathBuf> = self.options.directions.iter().map(|n| self.cx.base.join(&n.file)).collect();
        let files: Vec<&Path> = files.iter().map(PathBuf::as_path).collect();
        sha256_of_files(&files).map(Some).map_err(Error::other)
    }

    fn settled(&self) -> Map<String, Value> {
        self.options.settled()
    }

    fn analyze(&self, run: &dyn RunReader, out: &mut Findings) -> Result<()> {
        let (unembedding, tokenizer) = Unembedding::open(&self.cx).map_err(Error::other)?;
        let rms = lens::tell(&self.options, run, &unembedding, &tokenizer, out)?;
        let push =
            |(name, direction)| attribution::push(name, direction, rms, &self.options, run, &unembedding, &tokenizer);
        let pushes = self.directions.iter().map(|(n, d)| push((n, d))).collect::<Result<Vec<_>>>()?;
        if !pushes.is_empty() {
            attribution::tell(&pushes, out);
        }
        Ok(())
    }
}

friction_core::inventory::submit! {
    PluginEntry::analyzer::<LogitLens>("logit-lens", "What the model would answer at each layer, and what a direction pushes", env!("CARGO_PKG_VERSION"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_files_of_directions_are_identified() {
        let lens = |directions: &str| {
            let options = format!(r#"{{"sites": ["resid_post.1"], "directions": {directions}}}"#);
            let context = r#"{"base": BASE, "seed": 0, "model": {"source": "path:x"}, "backend": {}, "grade": null}"#
                .replace("BASE", &format!("{:?}", env!("CARGO_MANIFEST_DIR")));
            let (options, cx) = (serde_json::from_str(&options).unwrap(), serde_json::from_str(&context).unwrap());
            Lens { options, directions: vec![], cx }
        };
        let of = |file: &str| lens(&format!(r#"[{{"file": "{file}", "direction": "a"}}]"#));
        let print = |file: &str| of(file).fingerprint().unwrap().unwrap();
        assert_eq!(print("Cargo.toml").len(), 64);
        assert_eq!(print("Cargo.toml"), print("src/../Cargo.toml"));
        assert_ne!(print("Cargo.toml"), print("src/lib.rs"));
        assert!(of("nowhere").fingerprint().is_err());
        assert_eq!(lens("[]").fingerprint().unwrap(), None);
        // Random directions are drawn where there are directions to compare with.
        assert_eq!(of("Cargo.toml").settled()["random"], 1000);
        assert!(lens("[]").settled().is_empty());
    }
}
