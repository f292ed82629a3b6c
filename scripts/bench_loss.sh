#!/bin/sh
# Seconds of the loss kernels here and in PyTorch, one after the other on the same machine, and their ratios.
# Needs python3 with torch (PYTHON names another interpreter).
set -eu
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cargo bench --quiet --workspace --bench loss > "$work/ours.json"
"${PYTHON:-python3}" scripts/bench_loss.py > "$work/torch.json"
"${PYTHON:-python3}" - "$work/ours.json" "$work/torch.json" <<'PYTHON'
import json
import sys

ours, torch = (json.load(open(path)) for path in sys.argv[1:])
peak, stream = ours["gemm_gflops"], ours["stream_gbytes"]
print(f"PyTorch {torch['torch']}, {torch['threads']} threads; ours {ours['threads']} threads")
print(f"roofline: matrix product {peak:.0f} GFLOP/s, stream {stream:.1f} GB/s")
print("\nloss and gradient from logits: milliseconds, and PyTorch's time over ours")
for case, times in ours.items():
    if "x" not in case or "linear" in case:
        continue
    rows, columns = (int(n) for n in case.split()[0].split("x"))
    # Logits read once, gradient written once.
    limit = 8 * rows * columns / stream / 1e9
    for name, mine in times.items():
        theirs = torch[case][name]
        print(f"{case:20} {name:24} {1e3 * mine:8.3f} {1e3 * theirs:9.3f} {theirs / mine:6.1f}x  {mine / limit:5.1f} x stream limit")
print("\nlinear layer, loss and all gradients, converged head")
for case, mine in ours.items():
    if "linear" not in case:
        continue
    theirs = torch[case]
    rows, columns = (int(n) for n in case.split()[0].split("x"))
    limit = 2 * rows * columns * 1024 / peak / 1e9
    print(
        f"{case:20} {1e3 * mine['fused']:8.2f} PyTorch {1e3 * theirs['total']:8.2f} {theirs['total'] / mine['fused']:5.2f}x; "
        f"over one forward product: ours {mine['fused'] / mine['forward_product']:.2f}, "
        f"PyTorch's {mine['fused'] / theirs['forward_product']:.2f}, peak {mine['fused'] / limit:.2f}; "
        f"kept {mine['kept']}, extra memory {100 * mine['extra_memory_share']:.1f} % of N·K·4"
    )
PYTHON
