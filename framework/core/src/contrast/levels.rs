//! Levels of a factor that have an order.

/// The scores of ordered levels, on which a trend is a slope: the levels' names as numbers if all of them are numbers and
/// no two are equal; otherwise 0, 1, 2, … in their order.
///
/// ```
/// use friction_core::contrast::scores;
/// let of = |names: &[&str]| scores(&names.iter().map(|n| n.to_string()).collect::<Vec<_>>());
/// assert_eq!(of(&["rude", "plain", "polite"]), [0.0, 1.0, 2.0]);
/// assert_eq!(of(&["0", "5", "20"]), [0.0, 5.0, 20.0]);
/// assert_eq!(of(&["1", "1.0"]), [0.0, 1.0]);
/// ```
pub fn scores(levels: &[String]) -> Vec<f64> {
    numbers(levels).unwrap_or_else(|| (0..levels.len()).map(|i| i as f64).collect())
}

/// The level with which others are compared: the one that is wanted, if it is there; else of two levels the first in the
/// alphabet, and of more the first.
///
/// ```
/// use friction_core::contrast::reference;
/// let levels = ["whole", "cut"].map(String::from);
/// assert_eq!(reference(&levels, None), Some("cut"));
/// assert_eq!(reference(&levels, Some("whole")), Some("whole"));
/// ```
pub fn reference<'a>(levels: &'a [String], wanted: Option<&str>) -> Option<&'a str> {
    let first = if levels.len() == 2 { levels.iter().min() } else { levels.first() };
    levels.iter().find(|l| Some(l.as_str()) == wanted).or(first).map(String::as_str)
}

/// Whether the scores of levels are the numbers that they are called by, so that a trend is a slope per unit of these, and
/// not per step from one level to the next.
pub fn by_numbers(levels: &[String]) -> bool {
    !levels.is_empty() && numbers(levels).is_some()
}

fn numbers(levels: &[String]) -> Option<Vec<f64>> {
    let number = |l: &String| l.parse::<f64>().ok().filter(|v| v.is_finite());
    let numbers: Option<Vec<f64>> = levels.iter().map(number).collect();
    numbers.filter(|all| all.iter().enumerate().all(|(i, v)| !all[..i].contains(v)))
}
