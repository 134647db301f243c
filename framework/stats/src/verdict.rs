//! What a test that was fixed before the run says of its claim.

/// Of an estimate, its interval, its p and a smallest effect of interest, all fixed beforehand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Says {
    /// The effect is there, in the direction that was named, and at least as large as the smallest of interest.
    Reached,
    /// The effect is smaller than the smallest of interest, or goes the other way.
    NotReached,
    /// The data allow neither.
    CannotBeTold,
}

impl std::fmt::Display for Says {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Says::Reached => "reached",
            Says::NotReached => "not reached",
            Says::CannotBeTold => "cannot be told",
        })
    }
}
