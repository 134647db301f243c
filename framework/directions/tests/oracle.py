"""Reads what export.rs writes with the tools' own libraries, and prints the constants of export.rs:
pip install torch gguf numpy; FRICTION_EXPORTS=DIR cargo test -p friction-directions; python oracle.py DIR
Versions then: gguf 0.19.0, torch 2.15.0."""
import hashlib, math, pathlib, sys
import gguf, numpy as np, torch

folder = pathlib.Path(sys.argv[1])
want = np.array([math.sin(np.float32(np.float32(i) * np.float32(0.37))) for i in range(40)], dtype=np.float32)
reader = gguf.GGUFReader(folder / "control.gguf")
text = lambda key: bytes(reader.get_field(key).parts[-1]).decode()
assert text("general.architecture") == "controlvector" and text("controlvector.model_hint") == "gemma3"
assert reader.get_field("controlvector.layer_count").parts[-1][0] == 2
got = {t.name: t.data for t in reader.tensors}
# The test gives layers 0, 3 and 9; llama.cpp refuses direction.0.
assert set(got) == {"direction.3", "direction.9"}
assert np.allclose(got["direction.3"], want, atol=1e-6) and (got["direction.9"] == -got["direction.3"]).all()
steered = torch.load(folder / "steered.pt", weights_only=True)
assert list(steered) == ["layers.9"]
s = steered["layers.9"]
assert s["action"] == "add" and s["steering_coefficient"] == 1.5 and s["bias"] is None and s["head_index"] is None
assert (s["steering_vector"].numpy() == got["direction.3"]).all()
def fnv(b):
    h = 0xcbf29ce484222325
    for x in b:
        h = ((h ^ x) * 0x100000001b3) & (2**64 - 1)
    return h
for name in ["control.gguf", "steered.pt"]:
    b = (folder / name).read_bytes()
    print(name, len(b), fnv(b))
