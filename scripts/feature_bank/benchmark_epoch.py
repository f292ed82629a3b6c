"""One epoch of dense sigmoid cross-entropy over a feature bank in PyTorch, on the CPU: the rival of `longtail head train`.

Usage: python scripts/feature_bank/benchmark_epoch.py BANK [rois of a step]
Needs torch, numpy, safetensors. Prints one JSON object: seconds and peak memory.
"""

import json
import resource
import sys
import time

import torch
from safetensors import safe_open

folder, step = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 8192
header = json.load(open(f"{folder}/bank.json"))
columns = len(header["classes"]) + 1
torch.manual_seed(0)
weight = torch.zeros(columns, header["width"], requires_grad=True)
bias = torch.full((columns,), -4.0, requires_grad=True)
optimizer = torch.optim.SGD([weight, bias], lr=0.02, momentum=0.9, weight_decay=1e-4)
rows = steps = 0
began = time.perf_counter()
for shard in header["shards"]:
    with safe_open(f"{folder}/{shard['file']}", "pt") as file:
        features, labels = file.get_tensor("features"), file.get_tensor("labels").long()
    order = torch.randperm(len(labels))
    for start in range(0, len(labels), step):
        chosen = order[start : start + step]
        logits = torch.nn.functional.linear(features[chosen].float(), weight, bias)
        target = torch.zeros_like(logits)
        target[torch.arange(len(chosen)), labels[chosen]] = 1
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, target, reduction="sum") / len(chosen)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_([weight, bias], 35)
        optimizer.step()
        rows, steps = rows + len(chosen), steps + 1
seconds = time.perf_counter() - began
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"torch": torch.__version__, "threads": torch.get_num_threads(), "rows": rows, "steps": steps,
                  "seconds": seconds, "peak_mib": peak, "loss": loss.item()}))
