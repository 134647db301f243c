//! Causal mediation by patching between paired conversations: does a site carry what one condition does to the answer?
//!
//! The hook `patch` reads each turn's prompt again on a fork, with activations of the paired conversation of another
//! condition in place of its own, and measures the log-odds of the right choice. `talks` pairs conversations. The activations
//! come from the group itself, or from a finished run of the same conversations (`donors`), which `same` and `declared`
//! compare with the study; `arms` names what a fork changes, `stored`, `state`, `vectors` and `tail` make what needs other
//! groups, and `ends` and `given` compare how prompts end and how replies were decoded. The analyzer `mediation` divides
//! what the patches change by what the condition changes (`effects`) and answers whether the site mediates the state
//! (`verdict`).
//!
//! Activation patching as an interchange intervention: Vig et al. 2020; Geiger et al. 2021.
mod arms;
mod declared;
mod donors;
mod effects;
mod ends;
mod figure;
mod given;
mod hook;
mod mediation;
mod options;
mod report;
mod same;
mod state;
mod stored;
mod tail;
mod talks;
#[cfg(test)]
mod tests;
mod units;
mod vectors;
mod verdict;
