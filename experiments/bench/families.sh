#!/usr/bin/env bash
# friction beside transformers on one GPU, for a shape of three families. Arguments are the shapes and their batch sizes.
#   FRICTION=target/release/friction experiments/bench/families.sh
set -euo pipefail
friction="${FRICTION:-friction}"
out="${OUT:-$(mktemp -d)}"
[ $# -gt 0 ] || set -- gemma-3-4b:1,64 llama-3.1-8b:1,64 qwen3-4b:1,64
for pair in "$@"; do
  shape="${pair%%:*}"
  "$friction" --json bench --backend cuda --dtype bf16 --plain --model "random:$shape" --context 512 \
    --batch "${pair##*:}" > "$out/$shape.json"
  python3 "$(dirname "$0")/peers.py" "$out/$shape.json"
done
