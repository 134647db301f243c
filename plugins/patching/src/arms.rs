//! What a fork puts in place of the recipient's activations, and the names of the readings that hold what it measured.
use friction_core::Site;
use std::fmt;
use std::str::FromStr;

/// What stands in place of the recipient's activations at a site.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Arm {
    /// Its own, as they are: changes nothing.
    Own,
    /// The partner's: the same item and turn in the other condition.
    Partner,
    /// Those of a conversation that differs in nothing that matters: another wording, or another sample.
    Placebo,
    /// Its own, moved by the mean difference between the conditions in all other groups.
    State,
    /// Its own, moved as far as `state`, along differences of the other groups with random signs.
    Control(usize),
    /// Its own, with the partner's component in the subspace of discovery groups.
    Subspace,
    /// The partner's, with its own component in that subspace.
    Complement,
    /// The partner's embeddings, which are its own: changes nothing.
    TestEmbed,
    /// The partner's output of the last block: gives the partner's answer.
    TestLast,
}

impl fmt::Display for Arm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Arm::Own => "self",
            Arm::Partner => "partner",
            Arm::Placebo => "placebo",
            Arm::State => "state",
            Arm::Control(k) => return write!(f, "control-{k:02}"),
            Arm::Subspace => "subspace",
            Arm::Complement => "complement",
            Arm::TestEmbed => "test-embed",
            Arm::TestLast => "test-last",
        })
    }
}

impl FromStr for Arm {
    type Err = ();
    fn from_str(s: &str) -> Result<Self, ()> {
        Ok(match s {
            "self" => Arm::Own,
            "partner" => Arm::Partner,
            "placebo" => Arm::Placebo,
            "state" => Arm::State,
            "subspace" => Arm::Subspace,
            "complement" => Arm::Complement,
            "test-embed" => Arm::TestEmbed,
            "test-last" => Arm::TestLast,
            _ => Arm::Control(s.strip_prefix("control-").and_then(|k| k.parse().ok()).ok_or(())?),
        })
    }
}

/// Name of the reading of an arm at a site: `partner_resid_post-9`.
pub fn reading(arm: Arm, site: Site) -> String {
    format!("{arm}_{}", site.to_string().replace('.', "-"))
}

/// The arm and the site of a reading; `None` for other readings.
pub fn of_reading(name: &str) -> Option<(Arm, Site)> {
    let (arm, site) = name.split_once('_')?;
    let site = site.rsplit_once('-').map_or_else(|| site.to_string(), |(stem, layer)| format!("{stem}.{layer}"));
    Some((arm.parse().ok()?, site.parse().ok()?))
}

/// Name of the reading that holds how far the recipient's own activations are from those that the other run stored.
pub const DRIFT: &str = "drift";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back() {
        let all = [Arm::Own, Arm::Partner, Arm::Placebo, Arm::State, Arm::Control(7), Arm::Control(104)];
        let more = [Arm::Subspace, Arm::Complement, Arm::TestEmbed, Arm::TestLast];
        for arm in all.into_iter().chain(more) {
            for site in [Site::Embed, Site::ResidPost(3), Site::AttnOut(11), Site::MlpOut(0)] {
                let name = reading(arm, site);
                assert!(friction_core::program::is_name(&name), "{name}");
                assert_eq!(of_reading(&name), Some((arm, site)), "{name}");
            }
        }
        assert_eq!(reading(Arm::Control(7), Site::ResidPost(3)), "control-07_resid_post-3");
        for other in [DRIFT, "partner", "partner_", "partner_resid_post", "ghost_resid_post-3", "control-x_embed"] {
            assert_eq!(of_reading(other), None, "{other}");
        }
    }
}
