"""Writes data/suites.json: what the code of each suite computes of files in its format.
  git clone dictionary_learning (60ec6bf) and sparsify (9d3b136); pip install --no-deps sae-lens==6.54.12
  python suites_oracle.py DICTIONARY_LEARNING SPARSIFY SAE_LENS data/suites.json
Classes of dictionary_learning and sparsify are their own; files of Gemma Scope, Qwen-Scope and Goodfire are loaded and
computed by SAELens. Made with PyTorch 1.13 (Debian 12) and NumPy 1.24. Packages that these import and do not need here
(transformer_lens, transformers, accelerate, huggingface_hub) are replaced by empty ones."""
import json, pathlib, sys, tempfile, types
import numpy as np, torch

D, N, WIDE, ROWS, K = 4, 12, 1024, 3, 3
M = (1 << 64) - 1
def splitmix(seed):
    while True:
        seed = (seed + 0x9E3779B97F4A7C15) & M
        z = seed
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & M
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & M
        yield ((z ^ (z >> 31)) >> 11) / 2**53 * 2 - 1
u = splitmix(79)
def draw(*shape):
    return torch.tensor([np.float32(next(u)) for _ in range(int(np.prod(shape)))], dtype=torch.float32).reshape(shape)
p = dict(W_enc=draw(D, N), b_enc=draw(N), W_dec=draw(N, D), b_dec=draw(D), threshold=draw(N).abs(), b_gate=draw(N), r_mag=draw(N), x=draw(ROWS, D))
wide = dict(W_enc=draw(D, WIDE), b_enc=draw(WIDE), W_dec=draw(WIDE, D), b_dec=p["b_dec"])
x = p["x"]
cases = []

def case(name, activations, decoded):
    on = [[[int(i), float(row[i])] for i in row.nonzero().flatten()] for row in activations.detach()]
    cases.append(dict(name=name, on=on, decoded=[float(v) for v in decoded.detach().flatten()]))

def module(name, **members):
    m = sys.modules[name] = types.ModuleType(name)
    m.__dict__.update(members)
    return m
def package(name, folder, **members):
    module(name, __path__=[str(folder)], **members)

learning, sparse, lens = map(pathlib.Path, sys.argv[1:4])
package("dictionary_learning", learning / "dictionary_learning")
package("dictionary_learning.trainers", learning / "dictionary_learning/trainers")
from dictionary_learning.dictionary import AutoEncoder, AutoEncoderNew, GatedAutoEncoder, JumpReluAutoEncoder
from dictionary_learning.trainers.batch_top_k import BatchTopKSAE
from dictionary_learning.trainers.matryoshka_batch_top_k import MatryoshkaBatchTopKSAE
from dictionary_learning.trainers.top_k import AutoEncoderTopK
one = torch.tensor(0.25)
layers = {"encoder.weight": p["W_enc"].T, "encoder.bias": p["b_enc"], "decoder.weight": p["W_dec"].T}
matrices = {n: p[n] for n in ("W_enc", "b_enc", "W_dec", "b_dec")}
gated = {"encoder.weight": p["W_enc"].T, "decoder.weight": p["W_dec"].T, "decoder_bias": p["b_dec"], "r_mag": p["r_mag"], "gate_bias": p["b_gate"], "mag_bias": p["b_enc"]}
k = torch.tensor(K, dtype=torch.int)
for ae, state in [
    (AutoEncoder(D, N), layers | {"bias": p["b_dec"]}),
    (AutoEncoderNew(D, N), layers | {"decoder.bias": p["b_dec"]}),
    (AutoEncoderTopK(D, N, K), layers | {"b_dec": p["b_dec"], "k": k, "threshold": one}),
    (BatchTopKSAE(D, N, K), layers | {"b_dec": p["b_dec"], "k": k, "threshold": one}),
    (MatryoshkaBatchTopKSAE(D, N, K, [4, 8]), matrices | {"k": k, "threshold": one, "group_sizes": torch.tensor([4, 8])}),
    (JumpReluAutoEncoder(D, N), matrices | {"threshold": p["threshold"]}),
    (GatedAutoEncoder(D, N), gated),
]:
    ae.load_state_dict(state)
    a = ae.encode(x)
    case(f"dictionary_learning {type(ae).__name__}", a, ae.decode(a))

module("accelerate"), module("accelerate.utils", send_to_device=None), module("transformers", PreTrainedModel=object, PreTrainedTokenizerBase=object)
package("huggingface_hub", "", snapshot_download=None, hf_hub_download=None, hf_hub_url=None)
module("huggingface_hub.utils", EntryNotFoundError=FileNotFoundError, build_hf_headers=None)
package("sparsify", sparse / "sparsify")
torch.cuda.is_bf16_supported = lambda: False
torch.autocast = lambda *_, **__: lambda f: f  # of `forward`, which is not called
from sparsify.config import SparseCoderConfig
from sparsify.sparse_coder import SparseCoder
coder = SparseCoder(D, SparseCoderConfig(num_latents=N, k=K))
coder.load_state_dict({"encoder.weight": p["W_enc"].T, "encoder.bias": p["b_enc"], "W_dec": p["W_dec"], "b_dec": p["b_dec"]})
e = coder.encode(x)
case("sparsify", torch.zeros(ROWS, N).scatter(1, e.top_indices, e.top_acts), torch.zeros(ROWS, N).scatter(1, e.top_indices, e.top_acts) @ coder.W_dec + coder.b_dec)

class Hook(torch.nn.Identity):
    pass
module("transformer_lens")
module("transformer_lens.hook_points", HookPoint=Hook)
class Root(torch.nn.Module):
    def setup(self): pass
module("transformer_lens.HookedTransformer", HookedRootModule=Root)
import logging
package("sae_lens", lens, __version__="6.54.12", logger=logging.getLogger("sae_lens"))
package("sae_lens.saes", lens / "saes")
import sae_lens.saes.sae, sae_lens.saes.topk_sae as topk, sae_lens.saes.jumprelu_sae as jumprelu, sae_lens.saes.standard_sae as standard
import sae_lens.loading.pretrained_sae_loaders as loaders
classes = {"topk": (topk.TopKSAE, topk.TopKSAEConfig), "jumprelu": (jumprelu.JumpReLUSAE, jumprelu.JumpReLUSAEConfig), "standard": (standard.StandardSAE, standard.StandardSAEConfig)}
loaders.get_sae_class = sys.modules["sae_lens.saes.sae"].get_sae_class = lambda name: classes[name]
folder = pathlib.Path(tempfile.mkdtemp())
loaders.hf_hub_download = lambda repo_id, filename, subfolder=None, force_download=False: str(folder / pathlib.Path(filename).name)
def by_lens(name, load, repository, inside, size):
    config, state, _ = load(repository, inside, "cpu", False, size)
    config = loaders.handle_config_defaulting(config)
    sae, settings = classes[config["architecture"]]
    sae = sae(settings.from_dict(config))
    sae.load_state_dict(state)
    a = sae.encode(x)
    case(name, a.to_dense() if a.is_sparse else a, sae.decode(a))
small = {"d_in": D, "d_sae": N}
np.savez(folder / "params.npz", **{n: p[n].numpy() for n in ("W_enc", "W_dec", "b_enc", "b_dec", "threshold")})
by_lens("gemma_scope", loaders.gemma_2_sae_huggingface_loader, "google/gemma-scope-2b-pt-res", "layer_20/width_16k/average_l0_71", small)
torch.save({"W_enc": wide["W_enc"].T.contiguous(), "W_dec": wide["W_dec"].T.contiguous(), "b_enc": wide["b_enc"], "b_dec": wide["b_dec"]}, folder / "layer12.sae.pt")
by_lens("qwen_scope", loaders.qwen_scope_sae_huggingface_loader, "Qwen/SAE-Res-Qwen3-1.7B-Base-W1K-L0_3", "layer12.sae.pt", {"d_in": D, "d_sae": WIDE})
form = {f"{side}_linear.{what}": v for side, what, v in [("encoder", "weight", p["W_enc"].T), ("encoder", "bias", p["b_enc"]), ("decoder", "weight", p["W_dec"].T), ("decoder", "bias", p["b_dec"])]}
torch.save(form, folder / "Llama-3.1-8B-Instruct-SAE-l19.pth")
by_lens("goodfire", loaders.get_goodfire_huggingface_loader, "Goodfire/Llama-3.1-8B-Instruct-SAE-l19", "Llama-3.1-8B-Instruct-SAE-l19.pth", small)
torch.save(layers | {"decoder.bias": p["b_dec"]}, folder / "DeepSeek-R1-Distill-Llama-8B-SAE-l19.pt")
by_lens("deepseek", loaders.deepseek_r1_sae_huggingface_loader, "qresearch/DeepSeek-R1-Distill-Llama-8B-SAE-l19", "DeepSeek-R1-Distill-Llama-8B-SAE-l19.pt", small | {"dtype": "float32"})
pathlib.Path(sys.argv[4]).write_text("[\n" + ",\n".join(json.dumps(c) for c in cases) + "\n]\n")
