"""How precision.json was made: how far transformers' own bf16 and f16 are from its float32, in relative error of all cases'
logits and block outputs (torch on CPU, eager attention).

usage: precision.py FIXTURES     (pip install torch transformers)
"""
import json, sys
from pathlib import Path
import torch
import transformers
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

fixtures = Path(sys.argv[1])
folders = [fixtures / "gemma3" / name for name in ["tiny-1b", "tiny-4b", "tiny-27b"]]
folders += sorted(p.parent for p in (fixtures / "families").glob("*/expected.json"))
out = {"transformers": transformers.__version__, "torch": torch.__version__}
for word, dtype in {"bf16": torch.bfloat16, "f16": torch.float16}.items():
    out[word] = {}
    for folder in folders:
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, attn_implementation="eager").eval()
        blocks = []
        for layer in model.model.layers:
            layer.register_forward_hook(lambda m, i, o: blocks.append((o[0] if isinstance(o, tuple) else o).detach()))
        want = load_file(folder / "expected.safetensors")
        sums = {"logits": [0.0, 0.0], "resid_post": [0.0, 0.0]}
        for i, case in enumerate(json.loads((folder / "expected.json").read_text())["cases"]):
            blocks.clear()
            with torch.no_grad():
                logits = model(torch.tensor([case["prompt"]]), use_cache=False).logits[0]
            got = {"logits": logits, "resid_post": torch.stack([b.reshape(len(case["prompt"]), -1) for b in blocks])}
            for what, (off, size) in sums.items():
                w = want[f"{what}.{i}"].double()
                d = (got[what].double().reshape(w.shape) - w).pow(2).sum().item()
                sums[what] = [off + d, size + w.pow(2).sum().item()]
        out[word][folder.name] = {what: (off / size) ** 0.5 for what, (off, size) in sums.items()}
(Path(__file__).parent / "precision.json").write_text(json.dumps(out, indent=1) + "\n")
