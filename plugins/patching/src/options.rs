//! Options of `patch`.
use friction_core::error::{Faults, twice};
use friction_core::schemars::{self, JsonSchema};
use friction_core::{Error, Factors, Position, Result, Site};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// Puts activations of the paired conversation in place of a conversation's own, and measures what that does to the answer.
///
/// The unit is a turn of a group: the conversation of one condition (the recipient) and that of the other (its partner, the
/// donor) about the same item. Behind each turn, the recipient's prompt is read again on forks, which leave no trace and
/// generate nothing. In each fork the activations of one site are replaced at `position`, and the log-odds of the right
/// choice, at the first token of the reply behind the condition's `prefill`, are stored. Both directions are run: either
/// condition receives from the other.
///
/// Without `run`, the donors are the paired conversations of this very run: all conversations of a group are held at once, and
/// behind each turn those that have said it give to each other. To read a prompt again on a fork behind its turn is the same
/// as to replay the conversation and read it then: its words are settled, greedy or drawn, and the fork leaves no trace in
/// them. A conversation whose partner has ended has no forks. There is no drift to measure.
///
/// With `run`, activations come from a finished run of the same conversations, whose hook `residual` stored them at `embed`,
/// at each of `sites` and at the last block's `resid_post`. This gives `state`, its controls and the subspace, which need
/// the other groups. In this run the conversations must be said again word for word: the same manifest does that (replies are
/// greedy or drawn by the same seeds), or conditions that replay the other run's transcripts. Where that cannot be, the
/// check before the run refuses it: other items or messages; another system prompt or other examples, `keep`, `history` or
/// `prefill` of a condition, a placebo's too; and, unless every reply is given, another model, precision, template, decoding
/// or seed of draws. A conversation whose reply or activations differ all the same stops the run.
///
/// Use `model.dtype = "f32"`: the test that a conversation's own activations change nothing is exact.
///
/// At each site it asks for the forks
/// - `self`: the recipient's own activations. Nothing may change, bit for bit;
/// - `partner`: the partner's;
/// - `placebo`: those of another wording or sample of the same item and condition (option `placebo`);
/// - `state`: its own, moved by the mean difference between the conditions in all other groups, at each token of `position`
///   that stands behind the user's last message: those of the chat template and a prefill, or else the last token. Other
///   groups have other items, so this carries the condition's state and not the answer;
/// - `control-00` … : as `state`, but each group's difference has a random sign; orthogonal to `state`, and as long,
///   over all its tokens together;
/// - `subspace`, `complement`: the partner's component in a subspace that was found in discovery groups, and all but it,
///   in the other groups;
///
/// of which `state` and what follows it need `run`. Once a turn it asks for `test-embed` (the partner's embeddings, which are
/// the same) and `test-last` (the partner's last block, which gives the partner's answer).
///
/// It writes the readings `<fork>_<site>`, with `-` for the dot of the site (`partner_resid_post-9`), in nats, and, with `run`,
/// `drift`, the largest difference between the conversation's own activations and those of `run`, as a share of their norm. The
/// analyzer `mediation` reads them. A turn has forks times sites of them, each of which costs about as much as one token: the
/// controls cost most.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Patch {
    /// The finished run whose activations are used: its folder, relative to the manifest, such as `../runs/first`. Default:
    /// none; the conversations of this run give to each other.
    #[serde(default)]
    pub run: Option<PathBuf>,
    /// Sites whose activations are replaced, one at a time: `resid_post.L`, `attn_out.L` or `mlp_out.L`. A `resid_post` also
    /// carries what earlier layers wrote; `attn_out` and `mlp_out` tell what one layer adds.
    #[schemars(example = ["resid_post.9", "attn_out.9"], length(min = 1))]
    pub sites: Vec<Site>,
    /// Tokens that are replaced: `prompt-end` (the token that predicts the first token of the reply), or `prompt-tail:N` (the
    /// last N tokens of the prompt). These must be the same tokens in both conversations, and of several tokens they must
    /// hold the whole question: refused at the check. Without `run`, tokens of earlier turns are not known there, and those
    /// that differ are refused at the first turn that has them. `run` must have stored this position.
    #[serde(default = "prompt_end")]
    pub position: Position,
    /// The factor whose two levels are paired, such as `completion`. Partners agree in every other factor.
    #[schemars(example = &"completion")]
    pub factor: String,
    /// Conversations that receive and give: levels of factors, such as `{ tone = "blunt" }`. Default: all that have `factor`.
    #[serde(default, rename = "where")]
    pub only: Factors,
    /// Where the placebo comes from: a factor that should not matter, such as a second set of phrases (the donor then
    /// differs in it alone), or `sample` (another sample of the same condition). Default: none. `mediation` can then not
    /// tell whether a site mediates.
    #[serde(default)]
    pub placebo: Option<String>,
    /// Number of controls of `state`; 0 leaves `state` out too. With fewer than 19, p cannot be 0.05 or less. Default: 99 with
    /// `run`, which they need.
    #[serde(default)]
    #[schemars(range(max = 999))]
    pub controls: Option<usize>,
    /// Number of dimensions of the subspace: the first principal axes, not centred, of the differences between partners in
    /// discovery groups. 0 leaves `subspace` and `complement` out. Default: 2 with `run`, which they need.
    #[serde(default)]
    #[schemars(range(max = 64))]
    pub subspace: Option<usize>,
    /// Share of the groups in which the subspace is found; the seed draws them. `subspace` and `complement` are run in the
    /// others. Default: 0.5.
    #[serde(default)]
    #[schemars(extend("exclusiveMinimum" = 0.0, "exclusiveMaximum" = 1.0))]
    pub discovery: Option<f64>,
    /// First turn that enters, from 1. The default leaves out the first turn, which precedes any treatment.
    #[serde(default = "two")]
    #[schemars(range(min = 1))]
    pub first_turn: usize,
}
fn prompt_end() -> Position {
    Position::PromptEnd
}
fn two() -> usize {
    2
}

impl Patch {
    /// Checks the values.
    pub fn check(&self) -> Result<()> {
        let mut faults = Faults::default();
        faults.when(self.sites.is_empty(), "sites", "`sites` must name at least one site");
        if let Some(s) = twice(&self.sites) {
            faults.when(true, "sites", format!("`{s}` is listed twice"));
        }
        let known = |s: &&Site| matches!(s, Site::ResidPost(_) | Site::AttnOut(_) | Site::MlpOut(_));
        if let Some(s) = self.sites.iter().find(|s| !known(s)) {
            let message = format!(
                "`{s}` is not patched: sites are `resid_post.L`, `attn_out.L` and `mlp_out.L` (`embed` is tested in any case)"
            );
            faults.when(true, "sites", message);
        }
        let fits = matches!(self.position, Position::PromptEnd | Position::PromptTail(_));
        let message = format!(
            "`{}` is not patched: earlier turns and replies differ between partners; take `prompt-end` or `prompt-tail:N`",
            self.position
        );
        faults.when(!fits, "position", message);
        faults.when(self.factor.is_empty(), "factor", "`factor` must name a factor");
        let same = self.placebo.as_ref() == Some(&self.factor);
        faults.when(same, "placebo", "`placebo` is a factor that should not matter, and not `factor` itself");
        let fixed = self.only.contains_key(&self.factor);
        faults.when(fixed, "where", "`where` fixes `factor`, whose two levels are compared: leave it out there");
        let range = "`discovery` is a share above 0 and below 1";
        faults.when(!(self.discovery() > 0.0 && self.discovery() < 1.0), "discovery", range);
        faults.when(self.controls() > 999, "controls", "`controls` is at most 999");
        faults.when(self.subspace() > 64, "subspace", "`subspace` has at most 64 dimensions");
        let idle = "there is no subspace to discover: leave `discovery` out";
        faults.when(self.run.is_some() && self.discovery.is_some() && self.subspace() == 0, "discovery", idle);
        if self.run.is_none() {
            let needs = |key: &str, what: &str| {
                Error::at(key, format!("{what} of other groups, which a finished run holds"))
                    .help(format!("set `run` to its folder, or leave `{key}` out"))
            };
            if self.controls.is_some_and(|n| n > 0) {
                faults.add(needs("controls", "`state` and its controls are made of the differences"));
            }
            if self.subspace.is_some_and(|n| n > 0) || self.discovery.is_some() {
                let key = if self.discovery.is_some() { "discovery" } else { "subspace" };
                faults.add(needs(key, "the subspace is found in the differences"));
            }
        }
        faults.when(self.first_turn == 0, "first_turn", "`first_turn` counts from 1");
        faults.end()
    }

    /// Checks that `where` names factors and levels that conversations of a place, `held`, have.
    ///
    /// # Errors
    /// Names the first that none of them has, and those that there are.
    pub fn selects<'a>(&self, all: impl Iterator<Item = &'a Factors> + Clone, held: &str) -> Result<()> {
        for (factor, level) in &self.only {
            let levels: BTreeSet<&str> = all.clone().filter_map(|f| f.get(factor)).map(String::as_str).collect();
            if levels.contains(level.as_str()) {
                continue;
            }
            let (what, word, known) = if levels.is_empty() {
                let factors = all.clone().flat_map(|f| f.keys().map(String::as_str)).collect();
                (format!("`where` names `{factor}`: no conversation of {held} has such a factor"), "factors", factors)
            } else {
                (format!("no conversation of {held} has `{factor} = {level}`"), "levels", levels)
            };
            let known = known.into_iter().map(|k| format!("`{k}`")).collect::<Vec<_>>().join(", ");
            return Err(Error::at(format!("where.{factor}"), what).help(format!("there are the {word} {known}")));
        }
        Ok(())
    }

    /// Number of controls: 0 without a finished run.
    pub fn controls(&self) -> usize {
        self.controls.unwrap_or(if self.run.is_some() { 99 } else { 0 })
    }

    /// Number of dimensions of the subspace: 0 without a finished run.
    pub fn subspace(&self) -> usize {
        self.subspace.unwrap_or(if self.run.is_some() { 2 } else { 0 })
    }

    /// Share of the groups in which the subspace is found.
    pub fn discovery(&self) -> f64 {
        self.discovery.unwrap_or(0.5)
    }

    /// Number of tokens that are replaced.
    pub fn tokens(&self) -> usize {
        if let Position::PromptTail(n) = self.position { n } else { 1 }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn told(more: &str) -> String {
        of(&format!("run = \"r\"\n{more}"))
    }

    fn of(more: &str) -> String {
        let text = format!("factor = \"completion\"\n{more}");
        let options: Patch = toml::from_str(&text).unwrap();
        crate::tests::told(options.check())
    }

    #[test]
    fn what_cannot_be_patched_is_refused() {
        assert_eq!(told("sites = [\"resid_post.1\", \"attn_out.0\", \"mlp_out.2\"]"), "");
        assert_eq!(told("sites = [\"resid_post.1\"]\nposition = \"prompt-tail:9\""), "");
        for (more, why) in [
            ("sites = []", "at least one site"),
            ("sites = [\"resid_post.1\", \"resid_post.1\"]", "twice"),
            ("sites = [\"logits\"]", "`logits` is not patched"),
            ("sites = [\"embed\"]", "tested in any case"),
            ("sites = [\"resid_post.1\"]\nposition = \"all\"", "earlier turns and replies differ"),
            ("sites = [\"resid_post.1\"]\nposition = \"reply:1\"", "not patched"),
            ("sites = [\"resid_post.1\"]\nplacebo = \"completion\"", "should not matter"),
            ("sites = [\"resid_post.1\"]\nwhere = { completion = \"complete\" }", "fixes `factor`"),
            ("sites = [\"resid_post.1\"]\ndiscovery = 1.0", "below 1"),
            ("sites = [\"resid_post.1\"]\nsubspace = 0\ndiscovery = 0.4", "no subspace"),
        ] {
            assert!(told(more).contains(why), "{more}: {}", told(more));
        }
        // What needs other groups needs a finished run.
        let batch = |more: &str| of(&format!("sites = [\"resid_post.1\"]\n{more}"));
        assert_eq!((batch(""), batch("controls = 0\nsubspace = 0")), (String::new(), String::new()));
        for (more, key) in
            [("controls = 1", "controls"), ("subspace = 2", "subspace"), ("discovery = 0.5", "discovery")]
        {
            let told = batch(more);
            assert!(told.contains("set `run`") && told.contains(&format!("leave `{key}` out")), "{more}: {told}");
        }
    }
}
