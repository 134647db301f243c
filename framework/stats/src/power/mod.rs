//! How many groups a study of right and wrong answers needs: power by simulation, and a closed form beside it.
//!
//! **What is simulated.** A reply is right (1) or wrong (0). Reply r of condition c to the item of turn t has a latent
//! ability √a·U + √(b − a)·V + √(1 − b)·W, where U is drawn once for each item of a group and is shared by all
//! conditions, V once for each condition of it, and W for each reply; all are standard normal. The reply is right where
//! the ability lies below the quantile Φ⁻¹(p) of its accuracy p, which is that of condition and turn
//! ([`Design::accuracy`]). So accuracies are exact, and two conditions' replies to one item correlate by a Gaussian
//! copula (Emrich and Piedmonte 1991, Am. Stat. 45:302). Its parameter a is chosen such that the correlation **of the
//! outcomes** (phi of two binary variables) is [`Design::correlation`] where both accuracies are [`Design::base`]; b is
//! chosen so from [`Design::sample_correlation`], for two samples of one condition. Items of different turns and groups
//! are independent.
//!
//! **What is tested.** A group's value is the contrast of its cells: mean or least-squares slope on the turn, averaged
//! over pairs of conditions. It is tested by sign flips, one sign for each group, as [`sign_flips`](crate::sign_flips)
//! does, at [`Design::alpha`] two-sided. The decision is that of all 2ⁿ sign patterns. Without pairing
//! ([`Design::paired`]), each conversation asks items of its own, and the values of its conversations are compared by
//! Student's two-sample t with the pooled variance.
mod decide;
mod design;
mod draw;
mod joint;
mod search;
mod variance;

pub use design::{Cell, Design, Measure};
pub use search::{Curve, LEAST, MOST, Needed, Point, curve};

#[cfg(test)]
mod tests;
