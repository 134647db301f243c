"""How bf16.json was made: how far transformers' own bf16 is from its float32, in relative error of all cases' logits
and block outputs (torch on CPU, eager attention).

usage: bf16.py FIXTURES/gemma3
"""
import json, sys
from pathlib import Path
import torch
import transformers
from safetensors.torch import load_file
from transformers import Gemma3ForCausalLM

fixtures = Path(sys.argv[1])
out = {"transformers": transformers.__version__, "torch": torch.__version__}
for name in ["tiny-1b", "tiny-4b", "tiny-27b"]:
    model = Gemma3ForCausalLM.from_pretrained(fixtures / name, dtype=torch.bfloat16, attn_implementation="eager").eval()
    blocks = []
    for layer in model.model.layers:
        layer.register_forward_hook(lambda m, i, o: blocks.append((o[0] if isinstance(o, tuple) else o).detach()))
    want = load_file(fixtures / name / "expected.safetensors")
    sums = {"logits": [0.0, 0.0], "resid_post": [0.0, 0.0]}
    for i, case in enumerate(json.loads((fixtures / name / "expected.json").read_text())["cases"]):
        blocks.clear()
        with torch.no_grad():
            logits = model(torch.tensor([case["prompt"]]), use_cache=False).logits[0]
        got = {"logits": logits, "resid_post": torch.stack([b.reshape(len(case["prompt"]), -1) for b in blocks])}
        for what, (off, size) in sums.items():
            w = want[f"{what}.{i}"].double()
            sums[what] = [off + (got[what].double().reshape(w.shape) - w).pow(2).sum().item(), size + w.pow(2).sum().item()]
    out[name] = {what: (off / size) ** 0.5 for what, (off, size) in sums.items()}
(Path(__file__).parent / "bf16.json").write_text(json.dumps(out, indent=1) + "\n")
