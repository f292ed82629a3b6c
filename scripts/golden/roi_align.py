"""Golden vectors of RoIAlign and its gradient from torchvision, for crates/longtail-ops/tests/golden.rs.

python scripts/golden/roi_align.py > crates/longtail-ops/tests/golden/roi_align.json
Needs: pip install torch torchvision. Made with torch 2.15 and torchvision 0.29.
"""

import json

import torch
from torchvision.ops import roi_align

generator = torch.Generator().manual_seed(0)
cases = []
for aligned in (False, True):
    for output, sampling in ((7, 2), (3, 1), (2, 4)):
        features = torch.rand(2, 3, 9, 11, generator=generator, dtype=torch.float64)
        features.requires_grad_()
        corner = torch.rand(6, 2, generator=generator, dtype=torch.float64) * 30 - 4
        extent = torch.rand(6, 2, generator=generator, dtype=torch.float64) * 40
        image = torch.tensor([0, 1, 0, 1, 1, 0], dtype=torch.float64)[:, None]
        regions = torch.cat([image, corner, corner + extent], 1)
        # One region without extent, one that lies outside.
        regions[4, 3:] = regions[4, 1:3]
        regions[5, 1:] = torch.tensor([60.0, 60.0, 80.0, 70.0])
        pooled = roi_align(features, regions, output, spatial_scale=0.25, sampling_ratio=sampling, aligned=aligned)
        weights = torch.rand(pooled.shape, generator=generator, dtype=torch.float64)
        (pooled * weights).sum().backward()
        cases.append(
            {
                "aligned": aligned,
                "output": output,
                "sampling": sampling,
                "features": features.detach().flatten().tolist(),
                "regions": regions.tolist(),
                "pooled": pooled.detach().flatten().tolist(),
                "weights": weights.flatten().tolist(),
                "gradient": features.grad.flatten().tolist(),
            }
        )


def rounded(value):
    if isinstance(value, list):
        return [rounded(v) for v in value]
    return round(value, 7) if isinstance(value, float) else value


print(json.dumps([{key: rounded(value) for key, value in case.items()} for case in cases], separators=(",", ":")))
