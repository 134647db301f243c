//! The closed form: the variance of a group's value, and from it groups and the smallest effect by the normal
//! approximation. The simulation is the answer; this begins it, and serves where there is no time for one.
use super::design::{Cell, Design};
use super::joint::{both, latent, quantile};
use super::search::LEAST;
use crate::Error;

/// Halvings of the interval in which the smallest effect lies.
const HALVINGS: usize = 40;
/// Accuracies of the smallest effect stay this far from 0 and 1.
const FLOOR: f64 = 0.01;

impl Design {
    /// Standard deviation of a group's value, in the effect's unit, exact for the model of the [module](super). Without
    /// pairing, that of the difference of two means over a group's conversations.
    ///
    /// # Errors
    /// As [`Design::check`].
    pub fn sd(&self, effect: f64) -> Result<f64, Error> {
        self.check(effect)?;
        let (weights, scale) = self.weights();
        let across = if self.paired { latent(self.correlation, self.base) } else { 0.0 };
        let within = latent(self.sample_correlation, self.base);
        let kinds = self.kinds();
        let samples = self.samples as f64;
        let mut sum = 0.0;
        for (t, w) in (self.turns.0..=self.turns.1).zip(&weights) {
            let p: Vec<f64> = kinds.iter().map(|k| self.accuracy(&k.cell, t, effect)).collect();
            let covariance = |i: usize, j: usize, r: f64| both(quantile(p[i]), quantile(p[j]), r) - p[i] * p[j];
            let mut turn = 0.0;
            for (i, k) in kinds.iter().enumerate() {
                let more = if self.samples > 1 { (samples - 1.0) * covariance(i, i, within) } else { 0.0 };
                turn += k.count * (p[i] * (1.0 - p[i]) + more) / samples;
                if across > 0.0 {
                    turn += (k.sign * k.sign - k.count) * covariance(i, i, across);
                    let others = kinds.iter().enumerate().skip(i + 1);
                    turn += others.map(|(j, o)| 2.0 * k.sign * o.sign * covariance(i, j, across)).sum::<f64>();
                }
            }
            sum += (*w as f64).powi(2) * turn;
        }
        Ok(100.0 * sum.max(0.0).sqrt() / (scale * self.moved() as f64))
    }

    /// Cells with equal accuracies together.
    fn kinds(&self) -> Vec<Kind> {
        let mut out: Vec<Kind> = vec![];
        for c in &self.cells {
            let sign = if c.added { 1.0 } else { -1.0 };
            match out.iter_mut().find(|k| k.cell.moved == c.moved && k.cell.drift == c.drift) {
                Some(k) => (k.count, k.sign) = (k.count + 1.0, k.sign + sign),
                None => out.push(Kind { cell: *c, count: 1.0, sign }),
            }
        }
        out
    }

    /// What the t distribution takes beyond the normal one, in groups: z²/2 of a mean, z²/4 conversations a level of a
    /// difference of two (Guenther 1981, Am. Stat. 35:243).
    fn beyond(&self) -> f64 {
        let z = quantile(1.0 - self.alpha / 2.0);
        if self.paired { z * z / 2.0 } else { z * z / (4.0 * self.moved() as f64) }
    }

    /// Refuses a power that no number of groups gives.
    ///
    /// # Errors
    /// If it is not above the test's size and below 1.
    pub fn reachable(&self, power: f64) -> Result<(), Error> {
        if power > self.alpha && power < 1.0 {
            return Ok(());
        }
        Err(Error::Value(format!("the power is {power}: it lies between the test's size and 1, as in 0.8")))
    }

    /// Groups that see an effect with probability `power`, by the normal approximation ((z + z)·sd/effect)² with
    /// Guenther's correction; not fewer than [`LEAST`]. Infinite for an effect of 0.
    ///
    /// # Errors
    /// As [`Design::check`] and [`Design::reachable`].
    pub fn groups(&self, effect: f64, power: f64) -> Result<f64, Error> {
        self.reachable(power)?;
        let z = quantile(1.0 - self.alpha / 2.0) + quantile(power);
        let n = (z * self.sd(effect)? / effect).powi(2) + self.beyond();
        Ok(if effect == 0.0 { f64::INFINITY } else { n.max(LEAST as f64) })
    }

    /// The smallest effect that `groups` see with probability `power`, by the same approximation. `None` with fewer than
    /// [`LEAST`] groups, and where no effect is large enough that leaves accuracies between 1 and 99 %.
    ///
    /// # Errors
    /// As [`Design::check`].
    pub fn smallest(&self, groups: usize, power: f64) -> Result<Option<f64>, Error> {
        self.check(0.0)?;
        let most = self.largest(FLOOR);
        if groups < LEAST || most <= 0.0 || self.groups(most, power)? > groups as f64 {
            return Ok(None);
        }
        let (mut low, mut high) = (0.0, most);
        for _ in 0..HALVINGS {
            let middle = (low + high) / 2.0;
            if self.groups(middle, power)? > groups as f64 { low = middle } else { high = middle }
        }
        Ok(Some(high))
    }
}

/// Cells with equal accuracies: how many, and the sum of their signs.
struct Kind {
    cell: Cell,
    count: f64,
    sign: f64,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::Measure;
    use super::*;

    #[test]
    fn without_correlation_it_is_the_textbook_formula() {
        // A level contrast of one pair over 4 turns: variance (p(1 − p) + q(1 − q)) / 4 with p = 0.32 and q = 0.22.
        let mut d = Design { correlation: 0.0, ..Design::pairs(1, Measure::Mean, (1, 4)) };
        let want = 100.0 * ((0.32f64 * 0.68 + 0.22 * 0.78) / 4.0).sqrt();
        assert!((d.sd(10.0).unwrap() - want).abs() < 1e-9);
        // Without pairing it is the same, and with a correlation too.
        d = Design { paired: false, correlation: 0.5, ..d };
        assert!((d.sd(10.0).unwrap() - want).abs() < 1e-9);
    }

    #[test]
    fn a_correlation_takes_its_share() {
        // At equal accuracies the variance of a difference is 2p(1 − p)(1 − phi).
        for phi in [0.0, 0.2, 0.5, 0.8] {
            let d = Design { correlation: phi, sample_correlation: phi, ..Design::pairs(1, Measure::Mean, (1, 1)) };
            let want = 100.0 * (2.0 * 0.32 * 0.68 * (1.0 - phi)).sqrt();
            assert!((d.sd(0.0).unwrap() - want).abs() < 1e-5, "{phi}");
        }
        // Samples that correlate as conditions do average out what they do not share: 2p(1 − p)(1 − phi) / k.
        let d = Design { samples: 5, ..Design::pairs(1, Measure::Mean, (1, 1)) };
        let want = 100.0 * (2.0 * 0.32 * 0.68 * 0.5 / 5.0f64).sqrt();
        assert!((d.sd(0.0).unwrap() - want).abs() < 1e-5);
        // Those that correlate more share more: p(1 − p)·2(1/5 + 4/5 · 0.98 − 0.5).
        let alike = Design { sample_correlation: 0.98, ..d };
        let want = 100.0 * (0.32 * 0.68 * 2.0 * (0.2 + 0.8 * 0.98 - 0.5f64)).sqrt();
        assert!((alike.sd(0.0).unwrap() - want).abs() < 1e-5);
    }

    #[test]
    fn groups_and_the_smallest_effect_are_each_other_s_inverse() {
        for measure in [Measure::Mean, Measure::Slope] {
            for paired in [true, false] {
                let d = Design { paired, ..Design::pairs(2, measure, (2, 14)) };
                for effect in [0.7, 1.3] {
                    let n = d.groups(effect, 0.8).unwrap();
                    let e = d.smallest(n.ceil() as usize, 0.8).unwrap().unwrap();
                    assert!(e <= effect + 1e-6 && e > 0.95 * effect, "{measure:?} {effect}: {n}, {e}");
                }
            }
        }
        let d = Design::pairs(2, Measure::Slope, (2, 14));
        assert_eq!(d.smallest(7, 0.8).unwrap(), None);
        assert!(d.groups(0.0, 0.8).unwrap().is_infinite());
        // More groups see smaller effects.
        let all: Vec<f64> = [20, 21, 40, 80, 200].iter().map(|n| d.smallest(*n, 0.8).unwrap().unwrap()).collect();
        assert!(all.windows(2).all(|w| w[1] < w[0]));
        // From 3 % nothing can fall far.
        assert_eq!(Design { base: 0.03, ..d }.smallest(8, 0.8).unwrap(), None);
    }
}
