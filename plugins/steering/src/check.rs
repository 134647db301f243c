//! Checks the options of `steer` against each other.
use crate::options::{Op, Ranges, Sites, Steer, Unit};
use friction_core::error::{Faults, twice};
use friction_core::{Error, Result, Site};

impl Steer {
    /// Checks options against each other; nothing is opened.
    pub(crate) fn check(&self) -> Result<()> {
        let mut faults = Faults::default();
        let doses = self.doses();
        let wrong = |d: &f32| self.by_strength() && *d == 0.0 || !d.is_finite();
        faults.when(
            doses.is_empty() || doses.iter().any(wrong),
            "doses",
            "`doses` must list numbers other than 0; the untouched control is always there",
        );
        if let Some(d) = twice(&doses) {
            faults.when(true, "doses", format!("`doses` lists {d} twice"));
        }
        self.check_controls(&doses, &mut faults);
        if self.turns.is_some_and(|(first, last)| first == 0 || last < first) {
            faults.when(true, "turns", "`turns` is [first, last], from 1");
        }
        let norm = self.unit == Some(Unit::Norm) && self.clamp.is_none();
        let idle = "`unit = \"norm\"` does nothing with `remove` and `clamp`: their dose is a share of the projection, or an activation";
        faults.when(norm && matches!(self.op(), Op::Remove | Op::Clamp), "unit", idle);
        match (&self.file, &self.direction, &self.sae, self.feature) {
            (Some(_), Some(names), None, None) => self.check_directions(names.all(), &mut faults),
            (None, None, Some(sae), Some(_)) => {
                faults.take(sae.validate().map_err(|e| e.under("sae")));
                let norm = "an autoencoder does not say the norm of the activations: use `unit = \"vector\"`";
                faults.when(self.unit == Some(Unit::Norm) && self.op() != Op::Clamp, "unit", norm);
                let idle = "`unit` does nothing: the range of a feature is one of its activation";
                faults.when(self.unit.is_some() && self.clamp.is_some(), "unit", idle);
                let shuffled = "`shuffled` does nothing: an autoencoder has no directions of shuffled labels";
                faults.when(self.shuffled.is_some_and(|n| n > 0), "shuffled", shuffled);
                let one = "an autoencoder is applied at one site";
                faults.when(self.site.as_ref().is_some_and(|s| s.all().len() != 1), "site", one);
                self.check_ranges(1, &mut faults);
            }
            _ => faults
                .add(Error::config("give `file` and `direction`, or `sae` and `feature`, and nothing of the other")),
        }
        faults.when(self.random > 1000, "random", "`random` is at most 1000 directions");
        if self.neutral.as_ref().is_some_and(|n| n.reply.trim().is_empty()) {
            faults.when(true, "neutral.reply", "`neutral` needs a `reply` that is not empty");
        }
        faults.end()
    }

    fn check_controls(&self, doses: &[f32], faults: &mut Faults) {
        let Some(controls) = &self.control_doses else { return };
        if let Some(d) = controls.iter().find(|d| !doses.contains(d)) {
            let what = format!("`control_doses` names {d}, which is none of `doses`: nothing could be compared there");
            faults.when(true, "control_doses", what);
        }
        if let Some(d) = twice(controls) {
            faults.when(true, "control_doses", format!("`control_doses` lists {d} twice"));
        }
        let idle = "`control_doses` does nothing: with `random = 0` and no shuffled labels there is no control";
        let none = self.random == 0 && (self.shuffled == Some(0) || self.sae.is_some());
        faults.when(none, "control_doses", idle);
    }

    fn check_directions(&self, names: &[String], faults: &mut Faults) {
        faults.when(names.is_empty(), "direction", "`direction` must name at least one direction");
        if let Some(name) = twice(names) {
            faults.when(true, "direction", format!("`direction` lists {name:?} twice"));
        }
        let sites = self.site.as_ref().map_or(&[][..], Sites::all);
        faults.when(self.site.is_some() && sites.is_empty(), "site", "`site` must name at least one site");
        if let Some(site) = twice(sites) {
            faults.when(true, "site", format!("`site` lists `{site}` twice"));
        }
        let each = "each of several directions is applied at the site in its name: leave `site` out";
        faults.when(!sites.is_empty() && names.len() > 1, "site", each);
        let nameless = |n: &&String| n.split('/').next().is_none_or(|s| s.parse::<Site>().is_err());
        if let Some(name) = names.iter().find(nameless).filter(|_| sites.is_empty()) {
            let what = format!("`direction` = {name:?} names no site before its `/`: set `site`");
            faults.when(true, "direction", what);
        }
        let clamp =
            "`clamp` sets a feature of an autoencoder: give `sae` and `feature`, or a range: `clamp = { max = 4.0 }`";
        faults.when(self.op == Some(Op::Clamp) && self.clamp.is_none(), "op", clamp);
        let idle = "`if_active` does nothing without a feature: give `sae` and `feature`";
        faults.when(self.if_active, "if_active", idle);
        self.check_ranges(names.len().max(sites.len()), faults);
    }

    /// Checks the ranges of `places` directions or sites.
    fn check_ranges(&self, places: usize, faults: &mut Faults) {
        let Some(ranges) = &self.clamp else { return };
        let other = "`clamp` gives a range, so `op` can only be \"clamp\": leave one of them out";
        faults.when(self.op.is_some_and(|op| op != Op::Clamp), "op", other);
        if let Ranges::Each(each) = ranges
            && each.len() != places
        {
            let what = format!("`clamp` lists {} ranges for {places} directions or sites", each.len());
            faults.when(true, "clamp", what);
        }
        for range in ranges.listed() {
            let bounds = [range.min, range.max];
            let none = "a range has `min`, `max` or both";
            faults.when(bounds == [None, None], "clamp", none);
            faults.when(bounds.iter().flatten().any(|b| !b.is_finite()), "clamp", "the bounds of a range are finite");
            if let [Some(min), Some(max)] = bounds
                && min > max
            {
                faults.when(true, "clamp", format!("a range from {min} to {max} is empty"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn told(text: &str) -> String {
        let options: Steer = toml::from_str(text).unwrap();
        options.check().map_or_else(|e| e.to_string(), |()| "fits".into())
    }

    #[test]
    fn ranges_and_lists_are_checked_against_each_other() {
        let one = "file = \"x\"\ndirection = \"resid_post.1/d\"\n";
        let two = "file = \"x\"\ndirection = [\"resid_post.1/d\", \"resid_post.2/d\"]\n";
        let sae = "sae = { source = \"path:x\" }\nfeature = 3\n";
        for (base, more, want) in [
            (one, "clamp = { max = 4.0 }", "fits"),
            (one, "clamp = { min = -1.0, max = 4.0 }\nunit = \"norm\"\ndoses = [0.5, 1.0]", "fits"),
            (one, "clamp = { max = 4.0 }\nop = \"clamp\"", "fits"),
            (one, "clamp = [{ max = 4.0 }, { max = 5.0 }]\nsite = [\"resid_post.1\", \"resid_post.2\"]", "fits"),
            (two, "clamp = [{ max = 4.0 }, { min = 5.0 }]", "fits"),
            (two, "doses = [1.0]", "fits"),
            (sae, "clamp = { max = 4.0 }\nif_active = true", "fits"),
            (sae, "op = \"clamp\"\ndoses = [0.0]", "fits"),
            (one, "", "`doses` must list numbers"),
            (one, "clamp = {}", "`min`, `max` or both"),
            (one, "clamp = { max = inf }", "finite"),
            (one, "clamp = { min = 2.0, max = 1.0 }", "from 2 to 1 is empty"),
            (one, "clamp = { max = 1.0 }\ndoses = [0.0]", "`doses` must list numbers"),
            (one, "clamp = { max = 1.0 }\nop = \"add\"", "can only be \"clamp\""),
            (one, "clamp = [{ max = 1.0 }, { max = 2.0 }]", "lists 2 ranges for 1"),
            (one, "op = \"clamp\"\ndoses = [1.0]", "or a range"),
            (one, "doses = [1.0]\nif_active = true", "`if_active` does nothing"),
            (one, "doses = [1.0]\nsite = []", "at least one site"),
            (two, "doses = [1.0]\nsite = \"resid_post.1\"", "leave `site` out"),
            (two, "clamp = [{ max = 1.0 }]", "lists 1 ranges for 2"),
            (sae, "doses = [1.0]\nsite = [\"resid_post.1\", \"resid_post.2\"]", "at one site"),
            (sae, "clamp = { max = 1.0 }\nunit = \"vector\"", "`unit` does nothing"),
        ] {
            let got = told(&format!("{base}{more}"));
            assert!(got.contains(want), "{base}{more}: {got}");
        }
        let list = "file = \"x\"\ndirection = [\"resid_post.1/d\", \"resid_post.1/d\", \"mine\"]\ndoses = [1.0]";
        assert!(told(list).contains("twice") && told(list).contains("\"mine\" names no site"), "{}", told(list));
    }
}
