"""Makes oracle.json: an autoencoder and a transcoder in Gemma Scope 2's format, in float64 NumPy and through
SAELens' own loader. Parameters come from SplitMix64, which release.rs has too. Run by hand:
pip install sae-lens numpy safetensors; python oracle.py > oracle.json"""
import json, sys, tempfile, pathlib
import numpy as np

D, N, ROWS = 8, 24, 6
M = (1 << 64) - 1
def splitmix(seed):
    while True:
        seed = (seed + 0x9E3779B97F4A7C15) & M
        z = seed
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & M
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & M
        yield ((z ^ (z >> 31)) >> 11) / 2**53 * 2 - 1
u = splitmix(77)
draw = lambda *shape: np.array([np.float32(next(u)) for _ in range(int(np.prod(shape)))], dtype=np.float32).reshape(shape)
p = dict(w_enc=draw(D, N), b_enc=draw(N), threshold=np.abs(draw(N)), w_dec=draw(N, D), b_dec=draw(D), affine_skip_connection=draw(D, D))
x = draw(ROWS, D)

f = {k: v.astype(np.float64) for k, v in p.items()}
x64 = x.astype(np.float64)
pre = x64 @ f["w_enc"] + f["b_enc"]
a = np.where(pre > f["threshold"], np.maximum(pre, 0), 0)
out = {"activations": a.ravel().tolist(), "decoded": (a @ f["w_dec"] + f["b_dec"]).ravel().tolist()}
out["decoded_skip"] = (a @ f["w_dec"] + f["b_dec"] + x64 @ f["affine_skip_connection"]).ravel().tolist()
if len(sys.argv) < 2 or sys.argv[1] != "--numpy":
    import torch
    import sae_lens
    from sae_lens.loading import pretrained_sae_loaders as loaders
    from sae_lens.registry import get_sae_class
    from safetensors.numpy import save_file

    root = pathlib.Path(tempfile.mkdtemp())
    def local(repo_id=None, filename=None, subfolder="", **_):
        return str(root / subfolder / filename)
    loaders.hf_hub_download = local
    loaders.get_safetensors_tensor_shapes = lambda repo, file: {k: list(v.shape) for k, v in p.items()}
    for kind, hook_in, hook_out, skip in [("resid_post", "output", "output", False),
            ("transcoder", "pre_feedforward_layernorm.output", "post_feedforward_layernorm.output", True)]:
        folder = f"{kind}/layer_17_width_16k_l0_medium" + ("_affine" if skip else "")
        (root / folder).mkdir(parents=True)
        config = {"hf_hook_point_in": f"model.layers.17.{hook_in}", "hf_hook_point_out": f"model.layers.17.{hook_out}", "width": N,
                  "model_name": "google/gemma-3-4b-it", "architecture": "jump_relu", "l0": 60, "affine_connection": skip, "type": "sae"}
        (root / folder / "config.json").write_text(json.dumps(config))
        save_file({k: v for k, v in p.items() if skip or k != "affine_skip_connection"}, str(root / folder / "params.safetensors"))
        cfg, state, _ = loaders.gemma_3_sae_huggingface_loader("google/gemma-scope-2-4b-it", folder)
        cls, config_cls = get_sae_class(cfg["architecture"])
        sae = cls.from_dict(cfg)
        sae.load_state_dict(state)
        with torch.no_grad():
            xt = torch.tensor(x)
            enc = sae.encode(xt)
            dec = sae(xt)
        out[f"sae_lens_{kind}"] = {"activations": enc.ravel().tolist(), "decoded": dec.ravel().tolist(), "class": cls.__name__}
    out["sae_lens"] = sae_lens.__version__
print(json.dumps(out))
