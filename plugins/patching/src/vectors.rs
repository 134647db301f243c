//! Axes of a set of differences, and the component of a vector in their span.
use friction_core::seed::unit;

/// Most iterations of [`axes`].
const ROUNDS: usize = 300;
/// [`axes`] ends when no component of an axis moves by more than this.
const STILL: f64 = 1e-10;

/// The scalar product.
pub fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

/// The Euclidean norm.
pub fn norm(a: &[f64]) -> f64 {
    dot(a, a).sqrt()
}

/// Makes the vectors orthonormal in their order (modified Gram–Schmidt, twice). What depends on those before it is left
/// out.
fn orthonormal(vectors: Vec<Vec<f64>>) -> Vec<Vec<f64>> {
    let mut out: Vec<Vec<f64>> = vec![];
    for mut v in vectors {
        let before = norm(&v);
        for _ in 0..2 {
            for u in &out {
                let along = dot(&v, u);
                v.iter_mut().zip(u).for_each(|(x, y)| *x -= along * y);
            }
        }
        let after = norm(&v);
        if after > 1e-9 * before && after > 0.0 {
            v.iter_mut().for_each(|x| *x /= after);
            out.push(v);
        }
    }
    out
}

/// The first `k` principal axes of rows, not centred: their right singular vectors with the largest singular values, by
/// orthogonal iteration (Golub and Van Loan 2013, §8.2.4). Fewer where the rows span fewer dimensions.
pub fn axes(rows: &[Vec<f32>], k: usize, seed: u64) -> Vec<Vec<f64>> {
    let Some(width) = rows.first().map(Vec::len) else { return vec![] };
    let draw =
        |j: usize, i: usize| unit(&[&seed.to_le_bytes(), &(j as u64).to_le_bytes(), &(i as u64).to_le_bytes()]) - 0.5;
    // Twice as many axes are followed: the first k then settle sooner.
    let most = (2 * k).min(width).min(rows.len());
    let mut held = orthonormal((0..most).map(|j| (0..width).map(|i| draw(j, i)).collect()).collect());
    for _ in 0..ROUNDS {
        let mut next = vec![vec![0.0; width]; held.len()];
        for row in rows {
            for (q, z) in held.iter().zip(&mut next) {
                let along: f64 = q.iter().zip(row).map(|(a, b)| a * f64::from(*b)).sum();
                z.iter_mut().zip(row).for_each(|(z, x)| *z += along * f64::from(*x));
            }
        }
        let next = orthonormal(next);
        let apart = |(a, b): (&Vec<f64>, &Vec<f64>)| {
            let sign = dot(a, b).signum();
            a.iter().zip(b).map(|(x, y)| (x - sign * y).abs()).fold(0.0, f64::max)
        };
        let moved = next.iter().zip(&held).take(k).map(apart).fold(0.0, f64::max);
        let same = next.len() == held.len();
        held = next;
        if same && moved < STILL {
            break;
        }
    }
    held.truncate(k);
    held
}

/// The component of `v`, `[width]`, in the span of orthonormal axes.
pub fn within(axes: &[Vec<f64>], v: &[f64]) -> Vec<f64> {
    let mut out = vec![0.0; v.len()];
    for axis in axes {
        let along = dot(axis, v);
        out.iter_mut().zip(axis).for_each(|(o, a)| *o += along * a);
    }
    out
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// numpy 2: `np.linalg.svd(rows, full_matrices=False)[2][:2]`.
    #[test]
    fn axes_are_right_singular_vectors() {
        let rows: Vec<Vec<f32>> = vec![
            vec![3.0, 1.0, 0.5, -1.0],
            vec![2.5, 0.0, 1.5, 0.0],
            vec![-1.0, 2.0, 0.0, 1.0],
            vec![4.0, 0.5, -0.5, -2.0],
            vec![0.0, 1.0, 1.0, 0.5],
        ];
        let got = axes(&rows, 2, 7);
        let want = [
            [-0.9277490117605723, -0.08700456059744788, -0.08235297332749807, 0.3534543328304898],
            [-0.03564950102761668, -0.8113550317511631, -0.4306759484513387, -0.393637336839497],
        ];
        for (got, want) in got.iter().zip(&want) {
            let sign = dot(got, want).signum();
            assert!(got.iter().zip(want).all(|(g, w)| (sign * g - w).abs() < 1e-6), "{got:?} {want:?}");
        }
        assert_eq!(got.len(), 2);
        // A vector is its component in the span and the rest, which is orthogonal to all axes.
        let v = [1.0, -2.0, 3.0, 0.5];
        let inside = within(&got, &v);
        let rest: Vec<f64> = v.iter().zip(&inside).map(|(a, b)| a - b).collect();
        assert!(got.iter().all(|a| dot(a, &rest).abs() < 1e-12) && norm(&inside) > 0.1);
    }

    #[test]
    fn rows_of_one_direction_have_one_axis() {
        let rows: Vec<Vec<f32>> = (1..6).map(|i| vec![3.0 * i as f32, 0.0, 4.0 * i as f32]).collect();
        let got = axes(&rows, 2, 1);
        assert_eq!(got.len(), 1);
        assert!((got[0][0].abs() - 0.6).abs() < 1e-9 && (got[0][2].abs() - 0.8).abs() < 1e-9, "{got:?}");
        assert!(axes(&[vec![0.0; 3], vec![0.0; 3]], 2, 1).is_empty() && axes(&[], 2, 1).is_empty());
    }
}
