//! Seeds that depend only on names and indices, so that shards and resumed runs draw the same numbers.

/// Mixes parts into one seed: SplitMix64's finaliser over an FNV-1a hash of the parts and their lengths. The value is
/// part of the stored format: it must never change for the same parts.
pub fn derive(parts: &[&[u8]]) -> u64 {
    let mut h: u64 = 0xcbf2_9ce4_8422_2325;
    for part in parts {
        for b in part.iter().chain((part.len() as u64).to_le_bytes().iter()) {
            h = (h ^ u64::from(*b)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
    h = (h ^ (h >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    h = (h ^ (h >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    h ^ (h >> 31)
}

/// A number in [0, 1) from the upper 53 bits of [`derive()`].
pub fn unit(parts: &[&[u8]]) -> f64 {
    (derive(parts) >> 11) as f64 / (1u64 << 53) as f64
}

/// A permutation of `0..n` (Fisher–Yates shuffle with numbers of [`derive()`]).
pub fn permutation(n: usize, seed: u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..n).collect();
    for i in (1..n).rev() {
        let r = derive(&[&seed.to_le_bytes(), &(i as u64).to_le_bytes()]);
        order.swap(i, (r % (i as u64 + 1)) as usize);
    }
    order
}
