"""How multimodal.* and tokenizer-ids.json were made: transformers 5.23.0, torch (CPU, float32).

usage: oracle.py FIXTURES/gemma3 TOKENIZER_DIR MMLU_PRO.parquet
"""
import hashlib, json, sys
from pathlib import Path
import pyarrow.parquet as pq
import torch
from safetensors.torch import load_file, save_file
from transformers import Gemma3ForCausalLM, Gemma3TextConfig, PreTrainedTokenizerFast

fixtures, tokenizer_dir, mmlu = map(Path, sys.argv[1:4])
here = Path(__file__).parent

# --- the bf16 multimodal copy, upcast to float32 ---
d = fixtures / "tiny-4b-multimodal"
config = json.loads((d / "config.json").read_text())["text_config"]
base = json.loads((fixtures / "tiny-4b/config.json").read_text())
model = Gemma3ForCausalLM(Gemma3TextConfig(**{**config, "rope_parameters": base["rope_parameters"], "layer_types": base["layer_types"]}))
state = {}
for shard in sorted(d.glob("*.safetensors")):
    for k, v in load_file(shard).items():
        if k.startswith("language_model."):
            state[k.removeprefix("language_model.")] = v.float()
missing, unexpected = model.load_state_dict(state, strict=False)
assert not unexpected and all("lm_head" in m for m in missing), (missing, unexpected)
model.tie_weights()
model = model.float().eval()
model.set_attn_implementation("eager")
blocks = []
for layer in model.model.layers:
    layer.register_forward_hook(lambda m, i, o: blocks.append((o[0] if isinstance(o, tuple) else o).detach()[0]))
cases, out = [], {}
for i, c in enumerate(json.loads((fixtures / "tiny-4b/expected.json").read_text())["cases"]):
    ids = list(c["prompt"])
    with torch.no_grad():
        blocks.clear()
        logits = model(torch.tensor([ids]), use_cache=False).logits[0]
        if i == 2:
            out = {"logits": logits.contiguous(), "resid_post": torch.stack([b.reshape(len(ids), -1) for b in blocks])}
        new = []
        for _ in range(24):
            new.append(int(model(torch.tensor([ids + new]), use_cache=False).logits[0, -1].argmax()))
    cases.append({"prompt": ids, "greedy": new})
save_file(out, here / "multimodal.safetensors")
(here / "multimodal.json").write_text(json.dumps({"case": 2, "cases": cases}) + "\n")

# --- tokenizer ids on varied lines; tests/tokenizer.rs makes the same lines ---
WORDS = "the of and Gemma interrupt politeness naïve café Übung 東京 Привет مرحبا नमस्ते 안녕 x² don't it's ﬁne e\u0301 A-J (B) H₂O µm 1/2 ½ ∑ → 👍 👩‍🔬 🇩🇪".split(" ")
CODE = ["def f(x):\n    return x", "for (int i=0;i<n;++i) {", "\t\treturn &self.map[\"k\"];", "<table><tr><td>", "</b>", "<start_of_turn>", "http://a.b/c?d=e", "\\frac{a}{b}", "<unused7>", "[multimodal]"]
RANGES = [(0x20, 0x7E), (0xA0, 0x17F), (0x370, 0x3FF), (0x400, 0x4FF), (0x600, 0x6FF), (0x900, 0x97F), (0xE00, 0xE7F), (0x2000, 0x206F), (0x2200, 0x22FF), (0x3040, 0x30FF), (0x4E00, 0x9FFF), (0xAC00, 0xD7A3), (0xE000, 0xE0FF), (0x1F300, 0x1F6FF), (0x20000, 0x200FF)]
state = 1
def draw(n):
    global state
    state = (state * 6364136223846793005 + 1442695040888963407) & (2**64 - 1)
    return (state >> 33) % n
def fragment():
    kind = draw(7)
    if kind == 0: return WORDS[draw(len(WORDS))]
    if kind == 1: return "".join(chr(33 + draw(94)) for _ in range(1 + draw(6)))
    if kind == 2: return [" ", "\n", "\t"][draw(3)] * (1 + draw(9))
    if kind == 3:
        a, b = RANGES[draw(len(RANGES))]
        return "".join(chr(a + draw(b - a + 1)) for _ in range(1 + draw(6)))
    if kind == 4: return str(draw(10 ** (1 + draw(9))))
    if kind == 5: return CODE[draw(len(CODE))]
    return " " + WORDS[draw(len(WORDS))]
lines = ["".join(fragment() for _ in range(1 + draw(12))) for _ in range(10000)]
table = pq.read_table(mmlu)
lines += table["question"].to_pylist() + ["\n".join(o) for o in table["options"].to_pylist()]
tok = PreTrainedTokenizerFast(tokenizer_file=str(tokenizer_dir / "tokenizer.json"))
hashes, total = [], 0
for at in range(0, len(lines), 100):
    h = hashlib.sha256()
    for line in lines[at:at + 100]:
        ids = tok.encode(line, add_special_tokens=False)
        total += len(ids)
        h.update(" ".join(map(str, ids)).encode() + b"\n")
    hashes.append(h.hexdigest()[:16])
(here / "tokenizer-ids.json").write_text(json.dumps({"lines": len(lines), "ids": total, "sha256_of_100_lines": hashes}) + "\n")
print(len(lines), total)
