#!/bin/sh
# Seconds of a training step here and in PyTorch, one after the other on the same machine, and their ratios.
# Needs python3 with torch and torchvision (PYTHON names another interpreter).
set -eu
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cargo build --release --quiet --workspace --example bench_step
target/release/examples/bench_step > "$work/ours.json"
"${PYTHON:-python3}" scripts/bench_step.py > "$work/torch.json"
"${PYTHON:-python3}" - "$work/ours.json" "$work/torch.json" <<'PYTHON'
import json
import sys

ours, torch = (json.load(open(path)) for path in sys.argv[1:])
print(f"PyTorch {torch['torch']}, {torch['threads']} threads; ours {ours['threads']} threads")
for case in ("resnet50", "demo-step"):
    a, b = ours[case]["median"], torch[case]["median"]
    print(f"{case:10} ours {a:.3f} s  PyTorch {b:.3f} s  ratio {a / b:.2f}")
PYTHON
