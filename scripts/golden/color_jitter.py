"""Colour changes by torchvision's functions on floats; writes crates/longtail-data/tests/fixtures/color_jitter.json.

python scripts/golden/color_jitter.py   (torch, torchvision)
"""

import json
import pathlib

import torch
from torchvision.transforms.v2 import functional as F

WIDTH, HEIGHT = 12, 9
torch.manual_seed(0)
pixels = torch.randint(0, 256, (HEIGHT, WIDTH, 3), dtype=torch.uint8)
# Greys and the corners of the colour cube, where hue is undefined or a channel is on an edge.
pixels[0, :8] = torch.tensor([[r, g, b] for r in (0, 255) for g in (0, 255) for b in (0, 255)], dtype=torch.uint8)
pixels[1, :4] = torch.tensor([[128] * 3, [1, 1, 2], [77, 77, 12], [12, 77, 77]], dtype=torch.uint8)
adjust = {
    "brightness": F.adjust_brightness,
    "contrast": F.adjust_contrast,
    "saturation": F.adjust_saturation,
    "hue": F.adjust_hue,
}
cases = []
for changes in [
    [("brightness", 0.6)], [("brightness", 1.4)], [("contrast", 0.5)], [("contrast", 1.5)],
    [("saturation", 0.0)], [("saturation", 1.7)], [("hue", 0.1)], [("hue", -0.25)], [("hue", 0.5)],
    [("brightness", 1.2), ("contrast", 0.8), ("saturation", 1.3), ("hue", 0.03)],
    [("hue", -0.07), ("saturation", 0.7), ("contrast", 1.3), ("brightness", 0.9)],
]:
    image = pixels.permute(2, 0, 1).float() / 255
    for name, amount in changes:
        image = adjust[name](image, amount)
    expected = (image * 255).round().to(torch.uint8).permute(1, 2, 0).flatten().tolist()
    cases.append({"changes": changes, "expected": expected})
target = pathlib.Path(__file__).parents[2] / "crates/longtail-data/tests/fixtures/color_jitter.json"
golden = {"width": WIDTH, "height": HEIGHT, "pixels": pixels.flatten().tolist(), "cases": cases}
target.write_text(json.dumps(golden, separators=(",", ":")) + "\n")
