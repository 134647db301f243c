"""How tiny-bert/, tiny.json, minilm.json, minilm.safetensors and farthest.json were made: embeddings and pooling by
sentence-transformers (torch on CPU, float32), distances and statistics by numpy, farthest points by brute force.

usage: embeddings.py MINILM     (a folder with all-MiniLM-L6-v2; pip install sentence-transformers)
"""
import json, shutil, sys, tempfile
from pathlib import Path
import numpy as np
import sentence_transformers
import torch
from safetensors.numpy import save_file
from sentence_transformers import SentenceTransformer
from transformers import BertConfig, BertModel

here = Path(__file__).parent
made_by = {"sentence_transformers": sentence_transformers.__version__, "torch": torch.__version__}


def write(name, value):
    (here / name).write_text(json.dumps(value, indent=1, ensure_ascii=True) + "\n")


# A BERT of 2 layers with random weights, large enough for GELU and its approximation to differ. It has a vocab.txt alone.
VOCAB = """[PAD] [UNK] [CLS] [SEP] [MASK] law art a b ##c ##s math history of the , . é e i ##i ##e ##art 数 学 ##math ! 5 ##5
philosophy""".split()
tiny = here / "tiny-bert"
shutil.rmtree(tiny, ignore_errors=True)
(tiny / "1_Pooling").mkdir(parents=True)
torch.manual_seed(7)
shape = dict(vocab_size=len(VOCAB), hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=12,
             max_position_embeddings=16, initializer_range=0.5, layer_norm_eps=1e-6, dtype="float32")
bert = BertModel(BertConfig(**shape), add_pooling_layer=False)
for name, p in bert.named_parameters():
    if "bias" in name or "LayerNorm" in name:
        p.data += 0.3 * torch.randn_like(p)
bert.save_pretrained(tiny)
(tiny / "vocab.txt").write_text("\n".join(VOCAB) + "\n")
config = {k: v for k, v in json.loads((tiny / "config.json").read_text()).items() if k in shape or k == "hidden_act"}
config = {"architectures": ["BertModel"], "model_type": "bert", **config, "type_vocab_size": 2}
of = "sentence_transformers.models."
modules = [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")]
modules = [{"idx": i, "name": str(i), "path": path, "type": of + kind} for i, (path, kind) in enumerate(modules)]
pooling = {"word_embedding_dimension": 8, "pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True,
           "pooling_mode_max_tokens": False, "pooling_mode_mean_sqrt_len_tokens": False}
for name, value in {"config.json": config, "modules.json": modules, "1_Pooling/config.json": pooling,
                    "sentence_bert_config.json": {"max_seq_length": 12, "do_lower_case": False},
                    "tokenizer_config.json": {"do_lower_case": True, "model_max_length": 16, "tokenizer_class": "BertTokenizer"},
                    }.items():
    (tiny / name).write_text(json.dumps(value, indent=1) + "\n")

texts = ["law", "Art of the Math", "the history of art, of law, of math, of philosophy, of the 数学!", "", "Lawart é e\u0301 555 zzz"]
cases = []
for act, normalize, most in [("gelu", True, 12), ("gelu", False, 5), ("gelu_new", True, 12), ("relu", False, None)]:
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder) / "model"
        shutil.copytree(tiny, folder)
        (folder / "config.json").write_text(json.dumps({**config, "hidden_act": act}))
        (folder / "modules.json").write_text(json.dumps(modules if normalize else modules[:2]))
        (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": most} if most else {}))
        model = SentenceTransformer(str(folder), device="cpu")
        ids = [model.tokenizer(t, truncation=True, max_length=model.max_seq_length)["input_ids"] for t in texts]
        embeddings = model.encode(texts).astype(float).tolist()
        cases.append({"hidden_act": act, "normalize": normalize, "max_seq_length": most, "ids": ids, "embeddings": embeddings})

tiny_texts = texts

# The real model.
model = SentenceTransformer(sys.argv[1], device="cpu")
names = ["biology", "business", "chemistry", "computer science", "economics", "engineering", "health", "history", "law",
         "math", "other", "philosophy", "physics", "psychology"]
texts = [
    "Which of the following is a solution of the differential equation y'' + 4y = 0, given y(0) = 1 and y'(0) = 2?",
    "Ünïcödé — naïve façade, Москва, Ελληνικά, العربية, עברית; 数学と物理学、化学。 한국어 ½ ﬁ ℌ 😀👩‍🔬🏳️‍🌈",
    "e\u0301 A\u030a \u200bzero\u00adwidth\ttab\nline\r\n\u00a0no-break  [SEP] [MASK] ##ing \x07bell \ufffd",
    "http://example.org/" + "a" * 150 + " " + "supercalifragilisticexpialidocious" * 2,
    " ".join(f"In {1900 + i} the court held that article {i} of the code applies, and the appeal was dismissed." for i in range(60)),
    "",
]
dtype = np.float32
vectors = {"names": model.encode(names).astype(dtype), "texts": model.encode(texts).astype(dtype)}
save_file(vectors, here / "minilm.safetensors")
ids = [model.tokenizer(t, truncation=True, max_length=model.max_seq_length)["input_ids"] for t in names + texts]


def distances(vectors):
    v = vectors.astype(float)
    v = v / np.linalg.norm(v, axis=1, keepdims=True)
    return 1 - v @ v.T


def farthest(d, start, most, least):
    """Begins at start; adds the point whose smallest distance to the chosen ones is largest, while that is least or more."""
    chosen, at, gap = [start], [], np.inf
    while len(chosen) < min(most, len(d)):
        nearest = {j: min(d[j][i] for i in chosen) for j in range(len(d)) if j not in chosen}
        ranked = sorted(nearest, key=lambda j: -nearest[j])
        gap = min([gap, abs(nearest[ranked[0]] - least)] + [nearest[ranked[0]] - nearest[j] for j in ranked[1:2]])
        if nearest[ranked[0]] < least:
            break
        chosen.append(ranked[0])
        at.append(nearest[ranked[0]])
    return chosen, at, gap


def pairs(d, chosen):
    x = [d[i][j] for k, i in enumerate(chosen) for j in chosen[k + 1:]]
    return {"min": min(x), "max": max(x), "mean": float(np.mean(x)), "sd": float(np.std(x))} if x else None


# Categories by the means of their items' embeddings, by the tiny model as it is stored.
items = {"art": ["art", "the art of history", "art, art!"], "history": ["the history of law", "5 history"],
         "law": ["law", "a law of the 数学"], "math": ["math", "the math of a"], "philosophy": ["philosophy of math", "i, the art"]}
model = SentenceTransformer(str(tiny), device="cpu")
place = np.stack([model.encode(texts).astype(float).mean(0) for texts in items.values()])
d = distances(place)
order, at, gap = farthest(d, 2, 5, 0.0)
assert gap > 1e-4, gap
by_items = {"texts": items, "start": 2, "most": 5, "min_distance": 0.0, "order": order, "distances": at, "pairs": pairs(d, order)}
write("tiny.json", {**made_by, "texts": tiny_texts, "cases": cases, "items": by_items})

d = distances(vectors["names"])
chosen = []
for start, most, least in [(i, 14, 0.3) for i in range(14)] + [(8, 14, 0.55), (0, 6, 0.3)]:
    order, at, gap = farthest(d, start, most, least)
    assert gap > 1e-4, gap
    chosen.append({"start": start, "most": most, "min_distance": least, "order": order, "distances": at, "pairs": pairs(d, order)})
write("minilm.json", {**made_by, "names": names, "texts": texts, "ids": ids, "distances": d.tolist(), "chosen": chosen})

# Random points.
rng, cases = np.random.default_rng(3), []
while len(cases) < 40:
    n, width, most = int(rng.integers(1, 12)), int(rng.integers(2, 6)), int(rng.integers(1, 13))
    points = (rng.normal(size=(n, width)) * 4).round(2).astype(np.float32)
    start, least = int(rng.integers(n)), float(rng.uniform(0, 1.2))
    order, at, gap = farthest(distances(points), start, most, least)
    if gap > 1e-6:
        cases.append({"points": points.astype(float).round(2).tolist(), "start": start, "most": most, "min_distance": least,
                      "order": order, "distances": at, "pairs": pairs(distances(points), order)})
write("farthest.json", {"numpy": np.__version__, "cases": cases})
