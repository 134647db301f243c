"""How the table in src/weights/blocks/tests.rs was made: gguf-py's dequantisation of the same random bytes.

usage: blocks.py     (pip install gguf==0.19.0 numpy)
"""
import numpy as np
from gguf import GGMLQuantizationType as T
from gguf.quants import dequantize

# The variant of BlockType, gguf-py's type, bytes and numbers of a block, where its f16 scales are.
TYPES = [
    ("Q4_0", "Q4_0", 18, 32, [0]), ("Q4_1", "Q4_1", 20, 32, [0, 2]), ("Q5_0", "Q5_0", 22, 32, [0]),
    ("Q5_1", "Q5_1", 24, 32, [0, 2]), ("Q8_0", "Q8_0", 34, 32, [0]), ("Q2K", "Q2_K", 84, 256, [80, 82]),
    ("Q3K", "Q3_K", 110, 256, [108]), ("Q4K", "Q4_K", 144, 256, [0, 2]), ("Q5K", "Q5_K", 176, 256, [0, 2]),
    ("Q6K", "Q6_K", 210, 256, [208]), ("Iq4Nl", "IQ4_NL", 18, 32, [0]), ("Iq4Xs", "IQ4_XS", 136, 256, [0]),
]
BLOCKS = 64


def blocks(size, scales):
    """Random blocks. Scales are below 2, so that none is infinite."""
    draw, out = 1, bytearray()
    for _ in range(BLOCKS * size):
        draw = (draw * 6364136223846793005 + 1442695040888963407) % 2**64
        out.append(draw >> 56)
    for block in range(BLOCKS):
        for at in scales:
            out[block * size + at + 1] &= 0xBF
    return bytes(out)


for variant, name, size, count, scales in TYPES:
    raw = np.frombuffer(blocks(size, scales), np.uint8).reshape(BLOCKS, size)
    y = dequantize(raw, T[name]).astype(np.float32).reshape(-1)
    assert y.size == BLOCKS * count and np.isfinite(y).all()
    hash = 0xCBF29CE484222325
    for bits in y.view(np.uint32):
        hash = ((hash ^ int(bits)) * 0x100000001B3) % 2**64
    few = ", ".join(np.format_float_positional(v, trim="0", unique=True) for v in y[: 17 * 6 : 17])
    print(f"    (BlockType::{variant}, &{scales}, [{few}], 0x{hash:016X}),")
