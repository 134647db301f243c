//! The verdict on a claim that was fixed before the run.

/// The verdict on a claim: what the estimate, its interval and its p-value say about an effect whose direction
/// and smallest size of interest were fixed before the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Says {
    /// The effect is there, in the expected direction, and at least as large as the smallest of interest.
    Reached,
    /// The effect is smaller than the smallest of interest, or has the other direction.
    NotReached,
    /// The data are compatible with both.
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
