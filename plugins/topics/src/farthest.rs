//! Greedy farthest points by cosine distance (Gonzalez 1985): begin at one, and add the point whose smallest distance to
//! those chosen is largest. Memory grows with the number of points, not with that of their pairs.

/// The points that were chosen.
#[derive(Debug, PartialEq)]
pub(crate) struct Chosen {
    /// Their indices, in the order in which they were added.
    pub order: Vec<usize>,
    /// Of each after the first, the smallest distance to those before it. No distance is larger than the one before it.
    pub distances: Vec<f64>,
    /// The point that would have come next and its distance, if it was left out because it is too close.
    pub too_close: Option<(usize, f64)>,
}

/// Statistics of the distances of all pairs of points.
#[derive(Debug, PartialEq)]
pub(crate) struct Pairs {
    pub count: usize,
    pub min: f64,
    pub max: f64,
    pub mean: f64,
    /// The population's: the square root of the mean squared deviation.
    pub sd: f64,
}

/// Points as unit vectors.
pub(crate) struct Points(Vec<Vec<f64>>);

impl Points {
    /// `None` if a point has no direction: its length is 0 or not finite.
    pub fn new(vectors: &[Vec<f32>]) -> Option<Self> {
        let unit = |v: &Vec<f32>| {
            let length = v.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
            (length > 0.0 && length.is_finite()).then(|| v.iter().map(|x| f64::from(*x) / length).collect())
        };
        vectors.iter().map(unit).collect::<Option<_>>().map(Self)
    }

    /// The cosine distance of two points: 1 − cos of the angle between them, from 0 to 2.
    pub fn distance(&self, a: usize, b: usize) -> f64 {
        // Of equal texts the rounding may leave less than 0.
        (1.0 - self.0[a].iter().zip(&self.0[b]).map(|(x, y)| x * y).sum::<f64>()).max(0.0)
    }

    /// Chooses up to `most` points, beginning at `start`, and stops before a distance below `least`. Of points at equal
    /// distances the first is taken.
    pub fn farthest(&self, start: usize, most: usize, least: f64) -> Chosen {
        let mut out = Chosen { order: vec![start], distances: vec![], too_close: None };
        // The smallest distance of each point to those chosen; none for the chosen themselves.
        let mut nearest: Vec<Option<f64>> = vec![Some(f64::INFINITY); self.0.len()];
        let mut last = start;
        while out.order.len() < most {
            nearest[last] = None;
            for (i, near) in nearest.iter_mut().enumerate() {
                *near = near.map(|d| d.min(self.distance(last, i)));
            }
            let mut next: Option<(usize, f64)> = None;
            for (i, distance) in nearest.iter().enumerate().filter_map(|(i, d)| d.map(|d| (i, d))) {
                if next.is_none_or(|(_, best)| distance > best) {
                    next = Some((i, distance));
                }
            }
            let Some((i, distance)) = next else { break };
            if distance < least {
                out.too_close = next;
                break;
            }
            out.order.push(i);
            out.distances.push(distance);
            last = i;
        }
        out
    }

    /// Statistics of all pairs of some points; `None` if there is no pair.
    pub fn pairs(&self, points: &[usize]) -> Option<Pairs> {
        let of = |k: usize| points[k + 1..].iter().map(move |j| self.distance(points[k], *j));
        let pairs = || (0..points.len()).flat_map(of);
        let count = pairs().count();
        if count == 0 {
            return None;
        }
        let mean = pairs().sum::<f64>() / count as f64;
        let variance = pairs().map(|d| (d - mean).powi(2)).sum::<f64>() / count as f64;
        let (min, max) = pairs().fold((f64::INFINITY, f64::NEG_INFINITY), |(lo, hi), d| (lo.min(d), hi.max(d)));
        Some(Pairs { count, min, max, mean, sd: variance.sqrt() })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use serde_json::Value;

    pub fn floats(v: &Value) -> Vec<f64> {
        v.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
    }

    /// Compares with a case of `farthest.json` or `minilm.json`.
    pub fn compare(points: &Points, case: &Value, within: f64) {
        let number = |key: &str| case[key].as_u64().unwrap() as usize;
        let got = points.farthest(number("start"), number("most"), case["min_distance"].as_f64().unwrap());
        let order: Vec<usize> = floats(&case["order"]).iter().map(|x| *x as usize).collect();
        assert_eq!(got.order, order, "{case}");
        let distances = floats(&case["distances"]);
        assert_eq!(got.distances.len(), distances.len());
        for (g, w) in got.distances.iter().zip(&distances) {
            assert!((g - w).abs() < within, "{g} {w}: {case}");
        }
        match (points.pairs(&got.order), &case["pairs"]) {
            (None, Value::Null) => {}
            (Some(p), want) => {
                for (key, got) in [("min", p.min), ("max", p.max), ("mean", p.mean), ("sd", p.sd)] {
                    let want = want[key].as_f64().unwrap();
                    assert!((got - want).abs() < within, "{key}: {got} {want}: {case}");
                }
            }
            (None, want) => panic!("no pairs, but {want}"),
        }
    }

    /// `tests/data/embeddings.py` finds the farthest points by brute force and their statistics by numpy.
    #[test]
    fn it_is_what_brute_force_finds() {
        let data: Value = serde_json::from_str(include_str!("../tests/data/farthest.json")).unwrap();
        let cases = data["cases"].as_array().unwrap();
        let (mut stopped, mut whole) = (0, 0);
        for case in cases {
            let rows = case["points"].as_array().unwrap();
            let vectors: Vec<Vec<f32>> = rows.iter().map(|r| floats(r).iter().map(|x| *x as f32).collect()).collect();
            let points = Points::new(&vectors).unwrap();
            compare(&points, case, 1e-6);
            let found = case["order"].as_array().unwrap().len();
            stopped += usize::from(found < vectors.len().min(case["most"].as_u64().unwrap() as usize));
            whole += usize::from(found == vectors.len());
        }
        assert!(cases.len() == 40 && stopped > 5 && whole > 5, "{stopped} {whole}");
    }

    #[test]
    fn what_is_too_close_is_told() {
        // At 0°, 90° and 60°: cosines 0, 1/2 and √3/2.
        let vectors = [vec![2.0, 0.0], vec![0.0, 1.0], vec![1.0, 3f32.sqrt()]];
        let points = Points::new(&vectors).unwrap();
        let chosen = points.farthest(0, 3, 0.3);
        assert_eq!(chosen.order, [0, 1]);
        let (at, distance) = chosen.too_close.unwrap();
        assert!(at == 2 && (distance - (1.0 - 0.75f64.sqrt())).abs() < 1e-6, "{distance}");
        assert_eq!(points.farthest(0, 3, 0.1).order, [0, 1, 2]);
        assert_eq!(points.farthest(2, 1, 0.0), Chosen { order: vec![2], distances: vec![], too_close: None });
        assert!(points.pairs(&[1]).is_none());
        assert!(Points::new(&[vec![0.0, 0.0]]).is_none() && Points::new(&[vec![f32::NAN]]).is_none());
    }
}
