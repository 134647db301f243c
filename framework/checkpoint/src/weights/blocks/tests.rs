//! Every quantised type against gguf-py on random bytes.
use super::BlockType;

/// Type, where its blocks' f16 scales are, the numbers 0, 17, 34, 51, 68 and 85 of 64 random blocks, and the FNV-1a
/// hash of the bits of all. `tests/data/blocks.py` made them with gguf-py 0.19.0.
const WANT: [(BlockType, &[usize], [f32; 6], u64); 12] = [
    (
        BlockType::Q4_0,
        &[0],
        [0.00011086464, 0.00007390976, 1.1552734, 0.28881836, 0.4873047, -0.36547852],
        0x22FFBF0394E32F25,
    ),
    (
        BlockType::Q4_1,
        &[0, 2],
        [0.012571096, 0.012681961, -5.154831, -0.007369995, -0.03842163, -0.02431488],
        0xA3A36977B18C2C94,
    ),
    (
        BlockType::Q5_0,
        &[0],
        [-0.00048041344, -0.00003695488, 0.05895996, 0.04421997, -0.0013618469, -0.00017023087],
        0x231159CD8ABDCB25,
    ),
    (
        BlockType::Q5_1,
        &[0, 2],
        [0.012164593, 0.012866735, -0.0038721561, -0.0027214289, 0.7516314, 0.9394976],
        0x20BF7CBC54B0439F,
    ),
    (
        BlockType::Q8_0,
        &[0],
        [0.003362894, -0.0019216537, 7.5390625, -13.193359, -0.4248619, 0.07724762],
        0xE5AC09BA2E5C7665,
    ),
    (
        BlockType::Q2K,
        &[80, 82],
        [-0.0054473877, -0.0072631836, 0.031003952, 0.010585785, 0.018499374, -0.0072631836],
        0xE1388268049526F1,
    ),
    (
        BlockType::Q3K,
        &[108],
        [0.007324934, -0.004626274, 0.01079464, -0.007710457, -0.0, 0.01079464],
        0xB798CF18FC074DE5,
    ),
    (
        BlockType::Q4K,
        &[0, 2],
        [-0.29038525, -0.29038525, -0.64888, -0.64888, -0.80557203, -0.8118174],
        0xF651B556C54A0988,
    ),
    (
        BlockType::Q5K,
        &[0, 2],
        [-0.2867267, -0.28794622, -0.64888, -0.64888, -0.81373906, -0.81325865],
        0x3E7A7B72789E4759,
    ),
    (
        BlockType::Q6K,
        &[208],
        [-0.5430889, 0.042045593, 0.1379621, -0.14978743, -0.009635448, 0.28512168],
        0x7D58181CFB61B8D3,
    ),
    (
        BlockType::Iq4Nl,
        &[0],
        [0.0012934208, 0.00081300735, 15.307373, 3.7546387, 6.456787, -4.263916],
        0x7C772D1330598825,
    ),
    (BlockType::Iq4Xs, &[0], [-0.004065037, -0.012010336, -0.0032520294, -0.018773079, 0.0, 0.0], 0xDD8ECE64866F348F),
];

/// The same bytes as in `blocks.py`. Scales are below 2, so that none is infinite.
fn random(size: usize, scales: &[usize]) -> Vec<u8> {
    let mut draw = 1u64;
    let mut out: Vec<u8> = (0..64 * size)
        .map(|_| {
            draw = draw.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (draw >> 56) as u8
        })
        .collect();
    for block in out.chunks_exact_mut(size) {
        scales.iter().for_each(|at| block[at + 1] &= 0xBF);
    }
    out
}

#[test]
fn numbers_equal_gguf_py() {
    for (kind, scales, few, all) in WANT {
        let (count, size) = kind.block();
        let mut y = vec![0f32; 64 * count];
        for (b, y) in random(size, scales).chunks_exact(size).zip(y.chunks_exact_mut(count)) {
            kind.decode(b, y);
        }
        let some: Vec<f32> = y.iter().step_by(17).take(6).copied().collect();
        assert_eq!(some, few, "{kind:?}");
        let hash =
            y.iter().fold(0xCBF2_9CE4_8422_2325u64, |h, v| (h ^ u64::from(v.to_bits())).wrapping_mul(0x100_0000_01B3));
        assert_eq!(hash, all, "{kind:?}");
    }
}

#[test]
fn a_number_of_ggml_is_one_type() {
    let read: Vec<BlockType> = (0..64).filter_map(BlockType::from_ggml).collect();
    assert_eq!(read.len(), BlockType::NAMES.split([',', ' ']).filter(|n| !n.is_empty() && *n != "and").count());
    assert!((0..read.len()).all(|i| !read[..i].contains(&read[i])));
}
