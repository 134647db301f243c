"""Measures transformers on the same shape and machine as `friction bench`, and prints both.

    friction bench --json --backend cuda --dtype bf16 --model random:gemma-3-1b --context 512 --batch 1,64 > 1b.json
    python3 peers.py 1b.json

The weights are random, in the published shape (of any family) and in the dtype that the file names. For each batch size
it measures eager decoding with a growing cache, compiled decoding with a static cache, and prefill of the whole context.
It also measures the original study's method: no cache, one conversation, hooks on four layers. It prints milliseconds,
tokens per second, and friction's speed as a multiple. It needs torch, transformers and a GPU. `families.sh` runs both for
three families.
"""

import argparse
import json
import statistics
import time

import torch
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.cache_utils import DynamicCache, StaticCache

def clock(work):
    """Seconds of one call, including the work that it starts on the GPU."""
    torch.cuda.synchronize()
    began = time.perf_counter()
    work()
    torch.cuda.synchronize()
    return time.perf_counter() - began


def median(work, times):
    return statistics.median(clock(work) for _ in range(times))


class Peer:
    def __init__(self, config, dtype):
        config = AutoConfig.for_model(**config)
        torch.manual_seed(0)
        with torch.device("cuda"):
            self.model = AutoModelForCausalLM.from_config(config, dtype=dtype).eval()
        self.vocab, self.dtype = config.vocab_size, dtype

    def ids(self, batch, length):
        return torch.randint(1, self.vocab, (batch, length), device="cuda")

    def prefill(self, batch, context):
        ids = self.ids(batch, context)
        run = lambda: self.model(ids, use_cache=True, logits_to_keep=1)
        clock(run)
        return batch * context / median(run, 3)

    def decode(self, batch, context, steps=16):
        """Median seconds of a decode step. The second of two passes counts: cuDNN makes a plan for each new length."""
        for _ in range(2):
            seconds = self.decode_once(batch, context, steps)
        return seconds

    def decode_once(self, batch, context, steps):
        cache = DynamicCache(config=self.model.config)
        self.model(self.ids(batch, context), past_key_values=cache, use_cache=True, logits_to_keep=1)
        token = self.ids(batch, 1)

        def run():
            nonlocal token
            logits = self.model(token, past_key_values=cache, use_cache=True).logits
            token = logits[:, -1:].argmax(-1)
            token.cpu()

        clock(run)
        return median(run, steps)

    def compiled(self, batch, context, steps=16):
        """Median seconds of a decode step in CUDA graphs, with a static cache.

        A cache layer with a window also counts its tokens in a Python integer. It grows with each step, so compiled
        code would record a new graph each time. Here the integer is kept constant (it only tells whether the window is
        full), and the masks are made outside of the compiled code, as `generate` does.
        """
        longest, warm = context + steps + 8, 4
        cache = StaticCache(config=self.model.config, max_cache_len=longest)
        self.model(self.ids(batch, context), past_key_values=cache, use_cache=True, logits_to_keep=1)
        windows = [layer for layer in cache.layers if layer.is_sliding]
        window = windows[0].max_cache_len if windows else longest
        full = context >= window
        assert full or context + steps + warm < window, "the window would fill while it is timed"
        step = torch.compile(self.model.forward, mode="reduce-overhead", fullgraph=False)
        token, at = self.ids(batch, 1), torch.tensor([[context]], device="cuda")
        places = torch.arange(longest, device="cuda")

        def run():
            nonlocal token
            for layer in windows:
                layer.cumulative_length_int = context
            seen = (places <= at)[None, None].expand(batch, 1, 1, -1)
            near = seen[..., :window]
            masks = {"full_attention": seen, "sliding_attention": torch.ones_like(near) if full else near}
            masks = masks if windows else seen
            torch.compiler.cudagraph_mark_step_begin()
            logits = step(token, attention_mask=masks, past_key_values=cache, position_ids=at, use_cache=True).logits
            token = logits[:, -1:].argmax(-1)
            at.add_(1)
            token.cpu()

        for _ in range(warm):
            clock(run)
        seconds = median(run, steps)
        torch.compiler.reset()
        torch.cuda.empty_cache()
        return seconds

    def original(self, context, layers=4, tokens=4):
        """Median seconds per token without a cache: the whole sequence is computed again for each token, at batch 1.

        The second of two passes counts, as in `decode`: cuDNN needs a second or more for the plan of a new length.
        """
        seen = []
        blocks = self.model.model.layers
        at = [len(blocks) * (i + 1) // (layers + 1) for i in range(layers)]
        take = lambda _, __, out: seen.append((out[0] if isinstance(out, tuple) else out)[:, -1].float().cpu())
        hooks = [blocks[i].register_forward_hook(take) for i in at]
        prompt = ids = self.ids(1, context)

        def run():
            nonlocal ids
            logits = self.model(ids, use_cache=False).logits
            ids = torch.cat([ids, logits[:, -1:].argmax(-1)], 1)

        for _ in range(2):
            ids = prompt
            seconds = median(run, tokens)
        for hook in hooks:
            hook.remove()
        return seconds


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("bench", help="what `friction bench --json` printed")
    args.add_argument("--no-compile", action="store_true", help="leave out torch.compile")
    args.add_argument("--original-context", type=int, default=2048)
    args = args.parse_args()
    with open(args.bench) as file:
        ours = json.load(file)
    if not ours["config"]:
        raise SystemExit(f"{ours['model']} is no published shape (`random:…`), so its configuration is not in the file")
    dtype = {"bf16": torch.bfloat16, "f16": torch.float16, "f32": torch.float32}[ours["dtype"]]
    torch.set_grad_enabled(False)
    peer, context = Peer(ours["config"], dtype), ours["context"]
    print(f"{torch.cuda.get_device_name()}; {ours['model']} in {ours['dtype']}, {context} tokens of context")
    print(f"{'batch':>6} {'':>16} {'transformers':>14} {'friction':>12} {'times':>7}")

    def line(batch, what, theirs, mine, faster):
        print(f"{batch:>6} {what:>16} {theirs:>14.2f} {mine:>12.2f} {faster:>7.2f}")

    for row in ours["rows"]:
        batch, mine = row["batch"], row["decode_ms_per_step"]
        theirs = peer.decode(batch, context) * 1e3
        line(batch, "eager ms/step", theirs, mine, theirs / mine)
        if not args.no_compile:
            theirs = peer.compiled(batch, context) * 1e3
            line(batch, "compiled ms/step", theirs, mine, theirs / mine)
        theirs, mine = peer.prefill(batch, context), row["prefill_tokens_per_second"]
        line(batch, "prefill tok/s", theirs, mine, mine / theirs)
    theirs = peer.original(args.original_context) * 1e3
    best = min(row["decode_ms_per_step"] / row["batch"] for row in ours["rows"])
    line(1, "original ms/tok", theirs, best, theirs / best)


if __name__ == "__main__":
    main()
