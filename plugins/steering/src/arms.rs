//! Arms by name: `direction@-2`, `random-07@-2`, `shuffled-1@-2`. The hook writes the names, the analyzer
//! reads them from the run.
use std::str::FromStr;

/// What an arm steers along.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// The direction itself.
    Direction,
    /// A random direction of the same length, orthogonal to it.
    Random(usize),
    /// A direction learnt from shuffled labels, brought to the same length.
    Shuffled(usize),
}

/// One arm.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct ArmName {
    /// Along what.
    pub kind: Kind,
    /// How much, in the hook's unit.
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
        assert!("other".parse::<ArmName>().is_err());
        assert!("random-x@1".parse::<ArmName>().is_err());
    }
}
