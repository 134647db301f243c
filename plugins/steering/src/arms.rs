//! Names of arms: `direction@-2`, `random-07@-2`, `shuffled-1@-2`. The hook writes the names and the analyzer reads
//! them from the run. If several hooks have arms, each name begins with its hook's.
use friction_core::{Error, Result, arms};
use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

/// The direction that an arm steers along.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The direction itself.
    Direction,
    /// A random direction of the same length, orthogonal to it; its number.
    Random(usize),
    /// A direction learnt from shuffled labels, scaled to the same length; its number.
    Shuffled(usize),
}

/// The parsed name of an arm.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct ArmName {
    /// The direction steered along.
    pub kind: Kind,
    /// The dose, in the hook's unit.
    pub dose: f32,
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Kind::Direction => f.write_str("direction"),
            Kind::Random(n) => write!(f, "random-{n:02}"),
            Kind::Shuffled(n) => write!(f, "shuffled-{n}"),
        }
    }
}

impl std::fmt::Display for ArmName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}@{}", self.kind, self.dose)
    }
}

/// The arms of one `steer` hook among the names of a run's arms, by their full name. Of crossed arms, only those in
/// which this hook alone acts.
///
/// # Errors
/// When several hooks have arms and none is named, or the named one has none.
pub fn of_hook<'a>(names: &BTreeSet<&'a str>, hook: Option<&str>) -> Result<BTreeMap<&'a str, ArmName>> {
    let (mut own, mut by_hook) = (BTreeMap::new(), BTreeMap::<&str, BTreeMap<&str, ArmName>>::new());
    for name in names {
        if let Ok(arm) = name.parse() {
            own.insert(*name, arm);
        } else if let Some((hook, arm)) = arms::split(name).and_then(|(hook, arm)| Some((hook, arm.parse().ok()?))) {
            by_hook.entry(hook).or_default().insert(name, arm);
        }
    }
    let listed = || by_hook.keys().map(|h| format!("`{h}`")).collect::<Vec<_>>().join(", ");
    match hook {
        // If only one hook has arms, their names do not carry the hook's.
        _ if by_hook.is_empty() => Ok(own),
        Some(hook) => by_hook.get(hook).cloned().ok_or_else(|| {
            Error::at("hook", format!("no hook `{hook}` has arms of `steer`; hooks that have: {}", listed()))
        }),
        None if by_hook.len() == 1 => Ok(by_hook.into_values().next().unwrap_or_default()),
        None => Err(Error::at("hook", format!("the hooks {} have arms: name one of them in `hook`", listed()))),
    }
}

impl FromStr for ArmName {
    type Err = ();
    fn from_str(s: &str) -> Result<Self, ()> {
        let (kind, dose) = s.split_once('@').ok_or(())?;
        let number = |n: &str| n.parse().map_err(|_| ());
        let kind = match kind.split_once('-') {
            None if kind == "direction" => Kind::Direction,
            Some(("random", n)) => Kind::Random(number(n)?),
            Some(("shuffled", n)) => Kind::Shuffled(number(n)?),
            _ => return Err(()),
        };
        Ok(Self { kind, dose: dose.parse().map_err(|_| ())? })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    #[test]
    fn names_round_trip() {
        for kind in [Kind::Direction, Kind::Random(7), Kind::Shuffled(1)] {
            let name = ArmName { kind, dose: -0.5 };
            assert_eq!(name.to_string().parse::<ArmName>().unwrap(), name);
        }
        assert!("a:direction@2".parse::<ArmName>().is_err());
        assert!("other".parse::<ArmName>().is_err());
        assert!("random-x@1".parse::<ArmName>().is_err());
    }

    #[test]
    fn arms_of_one_hook_are_found_among_those_of_several() {
        let set = |names: &[&'static str]| names.iter().copied().collect::<BTreeSet<&'static str>>();
        let doses = |names: &BTreeSet<&'static str>, hook| {
            of_hook(names, hook)
                .map(|found| found.values().map(|a| a.dose).collect::<Vec<_>>())
                .map_err(|e| e.to_string())
        };
        let one = set(&["", "direction@4", "random-00@4", "strong"]);
        assert_eq!(of_hook(&one, None).unwrap().keys().copied().collect::<Vec<_>>(), ["direction@4", "random-00@4"]);
        assert_eq!(doses(&one, Some("a")), Ok(vec![4.0, 4.0]));
        let two = set(&["", "a:direction@4", "b:direction@8", "a:direction@4 + b:direction@8"]);
        assert_eq!((doses(&two, Some("a")), doses(&two, Some("b"))), (Ok(vec![4.0]), Ok(vec![8.0])));
        assert!(doses(&two, None).unwrap_err().contains("`a`, `b`"));
        assert!(doses(&two, Some("c")).unwrap_err().contains("no hook `c`"));
        assert_eq!(doses(&set(&["", "a:direction@4", "b:strong"]), None), Ok(vec![4.0]));
    }
}
