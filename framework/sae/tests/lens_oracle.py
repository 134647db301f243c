"""Writes data/sae_lens.json: what SAELens computes of folders in the formats of its versions 3 to 6.
  pip install sae-lens==6.54.12
  for v in 3.22.2 4.4.5 5.11.0: pip install --no-deps --target OLD-$v sae-lens==$v
  python lens_oracle.py OLD-3.22.2 OLD-4.4.5 OLD-5.11.0
Every version that loads a case must give the same numbers; `by` lists them. With --read FOLDER [HOOK MODEL] it
loads a folder that friction wrote, as version 6 does, and says what SAELens sees."""
import contextlib, json, os, pathlib, subprocess, sys, tempfile, warnings
import numpy as np

D, N, O, ROWS = 6, 16, 5, 4
M = (1 << 64) - 1
def splitmix(seed):
    while True:
        seed = (seed + 0x9E3779B97F4A7C15) & M
        z = seed
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & M
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & M
        yield ((z ^ (z >> 31)) >> 11) / 2**53 * 2 - 1
u = splitmix(78)
draw = lambda *shape: np.array([np.float32(next(u)) for _ in range(int(np.prod(shape)))], dtype=np.float32).reshape(shape)
p = dict(W_enc=draw(D, N), b_enc=draw(N), W_dec=draw(N, D), b_dec=draw(D), threshold=np.abs(draw(N)), b_gate=draw(N), r_mag=draw(N),
         b_mag=draw(N), W_dec_out=draw(N, O), b_dec_out=draw(O), W_skip=draw(O, D), scaling_factor=np.abs(draw(N)), x=draw(ROWS, D))

SAE = ["W_enc", "b_enc", "W_dec", "b_dec"]
GATED = ["W_enc", "W_dec", "b_dec", "b_gate", "r_mag", "b_mag"]
OUT = ["W_enc", "b_enc", "W_dec_out", "b_dec_out"]
old = dict(d_in=D, d_sae=N, dtype="float32", device="cpu", model_name="gpt2-small", hook_name="blocks.1.hook_resid_pre", hook_layer=1,
           hook_head_index=None, prepend_bos=True, dataset_path="", dataset_trust_remote_code=True, context_size=128, sae_lens_training_version=None)
new = dict(d_in=D, d_sae=N, dtype="float32", device="cpu", metadata=dict(sae_lens_version="6.54.12", hook_name="blocks.1.hook_resid_pre", model_name="gpt2-small"))
topk = dict(activation_fn_str="topk", activation_fn_kwargs={"k": 3})
renamed = {k: v for k, v in old.items() if k not in ("hook_name", "hook_head_index", "hook_layer")} | dict(hook_point="blocks.1.hook_resid_pre", hook_point_head_index=None, hook_point_layer=1)
out = new | dict(d_out=O, apply_b_dec_to_input=False, metadata=dict(sae_lens_version="6.54.12", hook_name="blocks.1.hook_mlp_in", hf_hook_name="model.layers.1.pre_feedforward_layernorm.output", hook_name_out="blocks.1.hook_mlp_out"))
CASES = {
    "3: nothing said": (old, SAE),
    "3: names of version 2": (renamed | dict(normalize_activations=False, activation_fn="relu"), SAE),
    "3: b_dec stays": (old | dict(apply_b_dec_to_input=False, activation_fn_str="relu", architecture="standard"), SAE),
    "3: topk": (old | topk | dict(architecture="standard", apply_b_dec_to_input=False), SAE),
    "3: topk by its older name": (old | dict(activation_fn="topk", activation_fn_kwargs={"k": 3}), SAE),
    "3: topk, layer_norm": (old | topk | dict(normalize_activations="layer_norm"), SAE),
    "3: jumprelu": (old | dict(architecture="jumprelu", activation_fn_str="relu"), SAE + ["threshold"]),
    "3: gated": (old | dict(architecture="gated", activation_fn_str="relu"), GATED),
    "3: layer_norm": (old | dict(normalize_activations="layer_norm"), SAE),
    "3: constant_norm_rescale": (old | dict(normalize_activations="constant_norm_rescale", apply_b_dec_to_input=False), SAE),
    "3: finetuned": (old | dict(finetuning_scaling_factor=True), SAE + ["scaling_factor"]),
    "6: standard": (new | dict(architecture="standard"), SAE),
    "6: b_dec stays": (new | dict(architecture="standard", apply_b_dec_to_input=False), SAE),
    "6: topk": (new | dict(architecture="topk", k=3), SAE),
    "6: topk, rescaled": (new | dict(architecture="topk", k=3, rescale_acts_by_decoder_norm=True), SAE),
    "6: topk, rescaled, layer_norm": (new | dict(architecture="topk", k=3, rescale_acts_by_decoder_norm=True, normalize_activations="layer_norm"), SAE),
    "6: jumprelu": (new | dict(architecture="jumprelu"), SAE + ["threshold"]),
    "6: jumprelu, constant_norm_rescale": (new | dict(architecture="jumprelu", normalize_activations="constant_norm_rescale"), SAE + ["threshold"]),
    "6: gated": (new | dict(architecture="gated", apply_b_dec_to_input=False), GATED),
    "6: average": (new | dict(architecture="standard", normalize_activations="expected_average_only_in"), SAE, 0.375),
    "6: average, topk, rescaled": (new | dict(architecture="topk", k=3, rescale_acts_by_decoder_norm=True, normalize_activations="expected_average_only_in"), SAE, 0.375),
    "6: average, jumprelu": (new | dict(architecture="jumprelu", apply_b_dec_to_input=False, normalize_activations="expected_average_only_in"), SAE + ["threshold"], 0.375),
    "6: transcoder": (out | dict(architecture="transcoder"), OUT),
    "6: skip_transcoder": (out | dict(architecture="skip_transcoder"), OUT + ["W_skip"]),
    "6: jumprelu_transcoder": (out | dict(architecture="jumprelu_transcoder"), OUT + ["threshold"]),
    "6: jumprelu_skip_transcoder": (out | dict(architecture="jumprelu_skip_transcoder"), OUT + ["threshold", "W_skip"]),
}

def run():
    """What the version on the path makes of every case that it loads."""
    import torch, sae_lens
    from sae_lens import SAE as Sae
    from safetensors.numpy import save_file
    six, made = sae_lens.__version__.startswith("6"), {}
    for name, (config, tensors, *scale) in CASES.items():
        if not six and not name.startswith("3"):
            continue
        folder = pathlib.Path(tempfile.mkdtemp())
        (folder / "cfg.json").write_text(json.dumps(config))
        save_file({t.removesuffix("_out"): p[t] for t in tensors}, str(folder / "sae_weights.safetensors"))
        try:
            sae = (Sae.load_from_disk if six else Sae.load_from_pretrained)(str(folder))
        except Exception as e:
            print(f"{sae_lens.__version__} does not load {name}: {type(e).__name__} {e}", file=sys.stderr)
            continue
        for factor in scale:
            sae.fold_activation_norm_scaling_factor(factor)
        with torch.no_grad():
            x = torch.tensor(p["x"])
            made[name] = {"activations": sae.encode(x).ravel().tolist(), "decoded": sae(x).ravel().tolist()}
    print(json.dumps({"version": sae_lens.__version__, "made": made}))

def read(folder, *want):
    from sae_lens import SAE as Sae
    import torch
    sae = Sae.load_from_disk(folder)
    m = sae.cfg.metadata
    print(json.dumps({"class": type(sae).__name__, "hook_name": m.hook_name, "model_name": m.model_name, "version": m.sae_lens_version,
                      "context_size": m.context_size, "prepend_bos": m.prepend_bos, "reshape": sae.cfg.reshape_activations}))
    assert not want or [m.hook_name, m.model_name] == list(want), want
    x = torch.randn(3, sae.cfg.d_in)
    if sae.cfg.reshape_activations == "hook_z":
        x = x.reshape(3, 2, -1)
    assert sae(x).shape == x.shape and torch.isfinite(sae(x)).all()
    # What was written with it: activations and reconstructions of its own rows.
    own = pathlib.Path(folder) / "rows.json"
    if own.exists():
        rows = json.loads(own.read_text())
        x = torch.tensor(rows["x"]).reshape(-1, sae.cfg.d_in)
        sae.turn_off_forward_pass_hook_z_reshaping()
        for key, got in [("activations", sae.encode(x)), ("decoded", sae(x))]:
            off = (got.ravel() - torch.tensor(rows[key])).abs().max().item()
            print(f"{key}: off by {off:.1e}")
            assert off < 1e-5

if sys.argv[1:2] == ["--run"]:
    with warnings.catch_warnings(), contextlib.suppress(SystemExit):
        warnings.simplefilter("ignore")
        run()
elif sys.argv[1:2] == ["--read"]:
    read(*sys.argv[2:])
else:
    found = {}
    for path in [*sys.argv[1:], None]:
        env = os.environ | ({"PYTHONPATH": str(pathlib.Path(path).resolve())} if path else {})
        answer = json.loads(subprocess.run([sys.executable, __file__, "--run"], env=env, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[-1])
        for name, made in answer["made"].items():
            first = found.setdefault(name, made | {"by": []})
            first["by"].append(answer["version"])
            assert all(np.allclose(first[k], made[k], atol=1e-6) for k in made), (name, answer["version"])
    cases = []
    for name, (config, tensors, *scale) in CASES.items():
        numbers = {k: [float(f"{v:.7g}") for v in found[name][k]] for k in ("activations", "decoded")}
        cases.append({"name": name, "by": found[name]["by"], "config": config, "tensors": tensors, "scale": scale[0] if scale else None, **numbers})
    lines = ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases)
    (pathlib.Path(__file__).parent / "data/sae_lens.json").write_text(f"[\n{lines}\n]\n")
