//! The units of a run of `patch`: a turn of a recipient, its partner's, and what each fork measured.
use crate::arms::{Arm, DRIFT, of_reading};
use crate::mediation::Mediation;
use friction_core::{Error, Factors, Outcome, Result, RunReader, Site, TurnRow, off_letters};
use std::collections::{BTreeMap, BTreeSet};

/// Log-odds beyond this many nats count as this many: there a first token is so certain that differences mean nothing.
pub const MOST: f64 = 12.0;

/// A recipient's turn.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Unit {
    /// Group index, from 0.
    pub group: u32,
    /// 0 if the recipient has another level than the reference, which its donor has; 1 if it has the reference.
    pub direction: usize,
    /// Log-odds of the untouched recipient, in nats.
    pub own: f64,
    /// Log-odds of the untouched donor.
    pub donor: f64,
    /// Log-odds of the patched recipient.
    pub patched: BTreeMap<(Arm, Site), f64>,
}

impl Unit {
    /// What the condition does: the donor's log-odds minus the recipient's, both limited to ±[`MOST`].
    pub fn total(&self) -> f64 {
        limited(self.donor) - limited(self.own)
    }

    /// What a patch does: the patched log-odds minus the recipient's own, both limited; `None` if it was not run.
    pub fn indirect(&self, arm: Arm, site: Site) -> Option<f64> {
        self.patched.get(&(arm, site)).map(|v| limited(*v) - limited(self.own))
    }
}

fn limited(odds: f64) -> f64 {
    odds.clamp(-MOST, MOST)
}

/// All units of a run.
#[derive(Debug, Clone, Default)]
pub struct Units {
    /// The units: turns of groups, with what each fork measured.
    pub units: Vec<Unit>,
    /// Sites that were patched, from the first layer to the last.
    pub sites: Vec<Site>,
    /// Number of controls of `state`.
    pub controls: usize,
    /// The other level of the factor.
    pub other: String,
    /// Largest difference between a recipient's activations and the stored ones, as a share of their norm.
    pub drift: f64,
    /// Turns that have no log-odds, or whose partner has none.
    pub without: usize,
    /// Turns of which no fork measured anything: the hook left them out, or their donor had ended.
    pub unpatched: usize,
    /// Units with log-odds beyond ±[`MOST`], each counted once. A turn is the recipient of one unit and the donor of
    /// another, so that one turn beyond it limits the effects of both.
    pub limited: usize,
    /// Why log-odds say little in these turns, if they do.
    pub off: Option<String>,
}

/// A site's place in the forward pass.
fn depth(site: &Site) -> (Option<usize>, u8) {
    let within = match site {
        Site::AttnOut(_) => 1,
        Site::MlpOut(_) => 2,
        Site::ResidPost(_) => 3,
        _ => 0,
    };
    (site.layer(), within)
}

impl Units {
    /// Collects the units of the untouched turns that the options select.
    ///
    /// # Errors
    /// If the factor has no second level, there are no forks, or partners do not ask the same items.
    pub fn of(run: &dyn RunReader, o: &Mediation) -> Result<Self> {
        let enters = |r: &&TurnRow| r.arm.is_empty() && r.turn >= o.first_turn && r.has(&o.only);
        let rows: Vec<&TurnRow> =
            run.turns().iter().filter(enters).filter(|r| r.factors.contains_key(&o.factor)).collect();
        let levels: BTreeSet<&String> = rows.iter().filter_map(|r| r.factors.get(&o.factor)).collect();
        let others: Vec<&&String> = levels.iter().filter(|l| ***l != o.reference).collect();
        let (Some(other), true) = (others.first(), levels.len() == 2) else {
            let what = format!("`{}` has the levels {levels:?}: `{}` and one other are needed", o.factor, o.reference);
            return Err(Error::at("factor", what).help("choose two levels with `where`"));
        };
        let place = |r: &TurnRow, factors: Factors| (r.group, r.sample, r.turn, factors);
        let by: BTreeMap<_, &TurnRow> = rows.iter().map(|r| (place(r, r.factors.clone()), *r)).collect();
        let prefix = format!("{}.", o.hook);
        let mut out = Self { other: (**other).clone(), off: off_letters(rows.iter().copied()), ..Self::default() };
        let (mut sites, mut controls) = (BTreeSet::new(), BTreeSet::new());
        for row in &rows {
            let back = row.factors.get(&o.factor) == Some(&o.reference);
            let mut factors = row.factors.clone();
            factors.insert(o.factor.clone(), if back { out.other.clone() } else { o.reference.clone() });
            let Some(partner) = by.get(&place(row, factors)) else {
                out.without += 1;
                continue;
            };
            if partner.item_id != row.item_id {
                return Err(Error::other(format!(
                    "turn {} of group {}: `{}` and its partner `{}` do not ask the same item",
                    row.turn, row.group, row.condition, partner.condition
                )));
            }
            let odds = [row, partner].map(|r| r.outcome(&Outcome::LogOdds));
            let [Some(own), Some(donor)] = odds else {
                out.without += 1;
                continue;
            };
            let readings = row.readings.iter().filter_map(|(name, v)| Some((name.strip_prefix(&prefix)?, *v)));
            let mut unit = Unit { group: row.group, direction: usize::from(back), own, donor, ..Unit::default() };
            for (name, v) in readings {
                if name == DRIFT {
                    out.drift = out.drift.max(v);
                } else if let Some(of) = of_reading(name) {
                    unit.patched.insert(of, v);
                }
            }
            if unit.patched.is_empty() {
                out.unpatched += 1;
                continue;
            }
            for (arm, site) in unit.patched.keys() {
                match arm {
                    Arm::Control(k) => _ = controls.insert(*k),
                    Arm::Own => _ = sites.insert(*site),
                    _ => {}
                }
            }
            let beyond = [own, donor].iter().chain(unit.patched.values()).any(|v| v.abs() > MOST);
            out.limited += usize::from(beyond);
            out.units.push(unit);
        }
        if sites.is_empty() {
            let patched = |r: &TurnRow| r.readings.keys().any(|name| name.starts_with(&prefix));
            if run.turns().iter().any(patched) {
                let what = format!("none of the turns that are read was patched by the hook `{}`", o.hook);
                let help = "set `where`, `first_turn` and `factor` as in the hook";
                return Err(Error::at("where", what).help(help));
            }
            let what = format!("no turn has readings of the hook `{}`: name the hook that patches", o.hook);
            return Err(Error::at("hook", what));
        }
        out.sites = sites.into_iter().collect();
        out.sites.sort_by_key(depth);
        out.controls = controls.len();
        Ok(out)
    }

    /// The units of a direction.
    pub fn of_direction(&self, direction: usize) -> impl Iterator<Item = &Unit> {
        self.units.iter().filter(move |u| u.direction == direction)
    }
}
