//! Axes: a name with its unit, a range, and ticks with labels that do not collide.
use crate::text::{clean, fit, parts, width, wrap};

/// Most ticks of an axis of numbers.
const MOST: f64 = 9.0;
/// Pixels to the em of tick labels.
pub(crate) const SIZE: f64 = 13.0;
/// Pixels from line to line of a tick label.
pub(crate) const LINE: i32 = 16;
/// Most pixels of a label that reads upwards.
const LONGEST: f64 = 150.0;

/// One axis.
#[derive(Debug, Clone)]
pub struct Axis {
    pub(crate) label: String,
    pub(crate) low: f64,
    pub(crate) high: f64,
    pub(crate) ticks: Vec<(f64, String)>,
}

/// Tick labels below a plot, laid out.
pub(crate) struct Row {
    /// Of each tick that has a label: where, and its lines.
    pub labels: Vec<(f64, Vec<String>)>,
    /// Whether they read upwards.
    pub turned: bool,
    /// Pixels from top to bottom.
    pub height: i32,
}

impl Axis {
    /// An axis of numbers over `values`, of which those that are not finite are passed over. It goes from tick to tick;
    /// ticks are 1, 2 or 5 times a power of ten apart. `label` names the quantity and its unit.
    pub fn numbers(label: &str, values: impl IntoIterator<Item = f64>) -> Self {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for v in values.into_iter().filter(|v| v.is_finite()) {
            (low, high) = (low.min(v), high.max(v));
        }
        if low > high {
            (low, high) = (0.0, 1.0);
        }
        // One value is given room that the numbers can still tell apart.
        if high - low <= 1e-9 * low.abs().max(high.abs()) {
            let room = low.abs().max(high.abs()).max(1.0) * 0.05;
            (low, high) = (low - room, high + room);
        }
        let rough = (high - low) / (MOST - 1.0);
        let power = 10f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0].into_iter().map(|f| f * power).find(|s| *s >= rough).unwrap_or(10.0 * power);
        // What lies a rounding error beyond a tick does not need another.
        let (first, last) = ((low / step + 1e-9).floor(), (high / step - 1e-9).ceil());
        let digits = (-step.log10() - 1e-9).ceil().max(0.0) as usize;
        let largest = low.abs().max(high.abs());
        // Of very large and very small numbers, as many digits as tell the ticks apart.
        let figures = (largest / step).log10().ceil().clamp(0.0, 15.0) as usize;
        let told =
            |v: f64| if largest >= 1e6 || digits > 4 { format!("{v:.figures$e}") } else { format!("{v:.digits$}") };
        let ticks = (0..=(last - first) as u32).map(|i| {
            let i = first + f64::from(i);
            // No negative zero.
            let v = if i == 0.0 { 0.0 } else { i * step };
            (v, told(v))
        });
        // A tick may lie a rounding error inside the values.
        let (low, high) = (low.min(first * step), high.max(last * step));
        Self { label: clean(label), low, high, ticks: ticks.collect() }
    }

    /// An axis of whole numbers from `first` to `last`, with half a unit of room at both ends.
    pub fn whole(label: &str, first: u32, last: u32) -> Self {
        let span = last.saturating_sub(first);
        let step = [1, 2, 5, 10, 20, 50].into_iter().find(|s| span / s < 20).unwrap_or(span / 20 + 1);
        let ticks = (first..=last.max(first)).filter(|v| v % step == 0);
        Self {
            label: clean(label),
            low: f64::from(first) - 0.5,
            high: f64::from(last.max(first)) + 0.5,
            ticks: ticks.map(|v| (f64::from(v), v.to_string())).collect(),
        }
    }

    /// An axis of names: name `i` stands at `i`.
    pub fn names<S: AsRef<str>>(label: &str, names: &[S]) -> Self {
        Self {
            label: clean(label),
            low: -0.5,
            high: names.len().max(1) as f64 - 0.5,
            ticks: names.iter().enumerate().map(|(i, n)| (i as f64, clean(n.as_ref()))).collect(),
        }
    }

    /// Pixels of the widest label.
    pub(crate) fn widest(&self) -> i32 {
        self.ticks.iter().map(|(_, l)| width(l, SIZE).ceil() as i32).max().unwrap_or(0)
    }

    /// Lays labels out below a plot in which ticks one unit apart stand `unit` pixels apart: on up to three lines, else
    /// reading upwards; where there is no room for all, each second, third, … is left out.
    pub(crate) fn row(&self, unit: f64) -> Row {
        let apart = self.ticks.windows(2).map(|w| (w[1].0 - w[0].0) * unit).fold(f64::INFINITY, f64::min);
        let slot = if apart.is_finite() { apart } else { (self.high - self.low) * unit };
        let lines: Vec<Vec<String>> = self.ticks.iter().map(|(_, l)| wrap(l, SIZE, slot - 6.0)).collect();
        let most = lines.iter().map(Vec::len).max().unwrap_or(0);
        let number = self.ticks.iter().all(|(_, l)| l.parse::<f64>().is_ok());
        // Numbers stay whole, names may break at their joints.
        let joints = |l: &str| l.split(' ').flat_map(parts).all(|p| width(p, SIZE) <= slot - 6.0);
        if most <= 1 || most <= 3 && !number && self.ticks.iter().all(|(_, l)| joints(l)) {
            let labels = self.ticks.iter().map(|t| t.0).zip(lines).collect();
            return Row { labels, turned: false, height: LINE * most as i32 };
        }
        let need = if number { f64::from(self.widest()) + 6.0 } else { f64::from(LINE) };
        let each = (need / slot).ceil().max(1.0) as usize;
        let kept = self.ticks.iter().step_by(each);
        if number {
            let labels = kept.map(|(at, l)| (*at, vec![l.clone()])).collect();
            return Row { labels, turned: false, height: LINE };
        }
        let labels: Vec<(f64, Vec<String>)> = kept.map(|(at, l)| (*at, fit(l, SIZE, LONGEST, 1))).collect();
        let longest = labels.iter().flat_map(|(_, l)| l).map(|l| width(l, SIZE).ceil() as i32).max();
        Row { labels, turned: true, height: longest.unwrap_or(0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().map(|(_, l)| l.as_str()).collect()
    }

    #[test]
    fn ticks_are_round_and_hold_the_values() {
        let of = |values: &[f64]| Axis::numbers("x", values.iter().copied());
        assert_eq!(labels(&of(&[0.0, 100.0])), ["0", "20", "40", "60", "80", "100"]);
        assert_eq!(labels(&of(&[0.43, 1.0])), ["0.4", "0.5", "0.6", "0.7", "0.8", "0.9", "1.0"]);
        assert_eq!(labels(&of(&[-0.5, 1.0])).len(), 9);
        assert_eq!(labels(&of(&[-8.0, 4.0])), ["-8", "-6", "-4", "-2", "0", "2", "4"]);
        for values in [
            vec![0.5],
            vec![],
            vec![f64::NAN, 1e-12],
            vec![-3e9, 7e9],
            vec![99.99, 100.01],
            vec![1e300],
            vec![1e-9, 3e-9],
        ] {
            let axis = of(&values);
            assert!((2..=10).contains(&axis.ticks.len()), "{axis:?}");
            assert!(values.iter().filter(|v| v.is_finite()).all(|v| axis.low <= *v && *v <= axis.high), "{axis:?}");
            assert!(axis.widest() < 160, "{axis:?}");
            let mut distinct = labels(&axis);
            distinct.dedup();
            assert_eq!(distinct.len(), axis.ticks.len(), "{axis:?}");
        }
    }

    #[test]
    fn turns_are_whole_numbers() {
        assert_eq!(labels(&Axis::whole("turn", 1, 4)), ["1", "2", "3", "4"]);
        assert_eq!(Axis::whole("turn", 1, 15).ticks.len(), 15);
        for last in [1, 30, 99, 100, 5000] {
            let axis = Axis::whole("turn", 1, last);
            assert!((1..=21).contains(&axis.ticks.len()), "{last}: {axis:?}");
        }
    }

    #[test]
    fn labels_do_not_collide() {
        let sites = |n: usize| (0..n).map(|i| format!("resid_post.{i}")).collect::<Vec<_>>();
        let row = Axis::names("site", &sites(6)).row(120.0);
        assert!(!row.turned && row.labels.len() == 6);
        let row = Axis::names("site", &sites(26)).row(26.0);
        assert!(row.turned && row.labels.len() == 26 && row.height <= 150);
        let row = Axis::names("site", &sites(200)).row(3.5);
        assert!(row.turned && row.labels.len() * 16 <= 720, "{} labels", row.labels.len());
        let numbers: Vec<String> = (0..100).map(|i| i.to_string()).collect();
        let row = Axis::names("layer", &numbers).row(7.0);
        assert!(!row.turned && row.labels.len() <= 34, "{} labels", row.labels.len());
    }
}
