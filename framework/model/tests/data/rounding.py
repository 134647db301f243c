"""How the losses in quantised.rs were made: gguf-py's own Q8_0 and Q4_0 rounding of the real 270M's matrices, and what it
does to transformers' logits (float32, torch on CPU).

usage: rounding.py FOLDER_OF_THE_GGUF     (pip install torch transformers gguf accelerate sentencepiece protobuf)
"""
import sys
import torch
from gguf import GGMLQuantizationType as Kind
from gguf.quants import dequantize, quantize
from transformers import AutoModelForCausalLM, AutoTokenizer

TEXT = ("The harbour was quiet that morning. Two boats had come in before dawn, and the men who had rowed them sat on "
        "the wall with their backs to the wind, talking about the price of")
source = dict(pretrained_model_name_or_path=sys.argv[1], gguf_file="gemma-3-270m-q4_k_m.gguf")
model = AutoModelForCausalLM.from_pretrained(**source, dtype=torch.float32).eval()
ids = AutoTokenizer.from_pretrained(**source)(TEXT, return_tensors="pt").input_ids  # BOS first


@torch.no_grad()
def log_probs():
    return torch.log_softmax(model(ids).logits[0].double(), -1)


whole = log_probs()
matrices = {n: p.detach().clone() for n, p in model.named_parameters() if p.dim() == 2}
for kind in [Kind.Q8_0, Kind.Q4_0]:
    for name, p in model.named_parameters():
        if name in matrices:
            p.data = torch.from_numpy(dequantize(quantize(matrices[name].numpy(), kind), kind).copy())
    rounded = log_probs()
    kl = (whole.exp() * (whole - rounded)).sum(-1).mean()
    agree = (whole.argmax(-1) == rounded.argmax(-1)).double().mean()
    print(f"{kind.name}: KL {kl:.5f}, top-1 agreement {agree:.3f} over {ids.shape[1]} tokens")
