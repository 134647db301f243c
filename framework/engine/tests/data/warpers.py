"""How warpers.json was made: transformers 5.24.0, torch 2.15.0.

Which tokens are left when transformers limits logits by temperature, top_k and top_p, and their probabilities.
usage: warpers.py
"""
import json
from pathlib import Path
import torch, transformers
from transformers import GenerationConfig
from transformers.generation.utils import GenerationMixin

class Model(GenerationMixin):
    """Nothing of a model is used but the list of warpers that its configuration means."""
    def __init__(self):
        self.config = transformers.PretrainedConfig()

def warpers(**settings):
    config = GenerationConfig(do_sample=True, **settings)
    made = Model()._get_logits_processor(
        generation_config=config, input_ids_seq_length=1, encoder_input_ids=None, prefix_allowed_tokens_fn=None,
        logits_processor=[],
    )
    assert [type(w).__name__ for w in made] == [
        name for name, on in [
            ("TemperatureLogitsWarper", settings["temperature"] != 1.0), ("TopKLogitsWarper", settings["top_k"] > 0),
            ("TopPLogitsWarper", settings["top_p"] < 1.0),
        ] if on
    ]
    return made

torch.manual_seed(24)
rows = [torch.randn(n) * 3 for n in (5, 12, 40, 8)]
rows += [torch.tensor([2.0, 1.0, 2.0, 1.0, 0.5, 1.0]), torch.tensor([3.0, 0.0, -1.0]), torch.zeros(4)]
cases = []
for logits in rows:
    logits = torch.round(logits * 1024) / 1024
    for temperature, top_k, top_p in [
        (1.0, 0, 0.9), (0.7, 0, 0.5), (1.0, 3, 1.0), (2.0, 3, 1.0), (1.0, 3, 0.6), (0.5, 4, 0.95), (1.5, 2, 0.4),
        (1.0, 1, 1.0), (1.0, 100, 0.85), (1.0, 5, 0.999), (1.3, 10, 0.8),
    ]:
        # Which of equal tokens top_p leaves out depends on the sort.
        if top_p < 1.0 and len(set(logits.tolist())) < len(logits):
            continue
        scores = logits[None].clone()
        for warper in warpers(temperature=temperature, top_k=top_k, top_p=top_p):
            scores = warper(torch.tensor([[0]]), scores)
        p = scores[0].softmax(-1)
        kept = [i for i in range(len(logits)) if scores[0][i] > -float("inf")]
        cases.append({
            "temperature": temperature, "top_k": top_k or None, "top_p": top_p, "logits": logits.tolist(), "kept": kept,
            "probabilities": [round(p[i].item(), 7) for i in kept],
        })
doc = {"made_by": f"transformers {transformers.__version__}, torch {torch.__version__.split('+')[0]}", "cases": cases}
lines = ",\n".join(json.dumps(c) for c in cases)
text = f'{{"made_by": {json.dumps(doc["made_by"])}, "cases": [\n{lines}\n]}}\n'
(Path(__file__).parent / "warpers.json").write_text(text)
print(len(cases))
