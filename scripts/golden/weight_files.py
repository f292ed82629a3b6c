"""Files of weights in every format that is read, with the values that torch and numpy find in them.

    python scripts/golden/weight_files.py      # writes crates/longtail-weights/tests/fixtures

Made with torch 2.15.0 and numpy 2.4. The malicious files would create `executed` in the working folder.
"""

import collections
import json
import os
import pathlib
import pickle

import numpy as np
import torch
from safetensors.torch import save_file

OUT = pathlib.Path(__file__).parents[2] / "crates/longtail-weights/tests/fixtures"


class Malicious:
    def __reduce__(self):
        return os.system, ("touch executed",)


class Hook:
    """A harmless class of somebody's project."""


def weights():
    generator = torch.Generator().manual_seed(5)
    normal = lambda *shape: torch.randn(*shape, generator=generator)
    base = normal(4, 6)
    return collections.OrderedDict(
        [
            ("conv.weight", normal(3, 2, 3, 3)),
            ("conv.bias", normal(3)),
            ("transposed", base.t()),
            ("row", base[1]),
            ("half", normal(5).half()),
            ("brain", normal(5).bfloat16()),
            ("double", normal(3).double()),
            ("num_batches_tracked", torch.tensor(7)),
            ("bytes", torch.tensor([0, 1, 255], dtype=torch.uint8)),
            ("negative", torch.tensor([-3, 2], dtype=torch.int32)),
            ("flags", torch.tensor([True, False])),
            ("empty", torch.zeros(0, 3)),
            ("parameter", torch.nn.Parameter(normal(2, 2))),
        ]
    )


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    tensors = weights()
    expected = {
        name: {"shape": list(t.shape), "values": t.detach().double().flatten().tolist()}
        for name, t in tensors.items()
    }
    (OUT / "expected.json").write_text(json.dumps(expected))

    torch.save(tensors, OUT / "zip.pth")
    torch.save(tensors, OUT / "legacy.pth", _use_new_zipfile_serialization=False)
    save_file({n: t.detach().contiguous() for n, t in tensors.items()}, OUT / "plain.safetensors")

    # What a training toolbox leaves behind: names after parallel training, classes, the optimizer's state.
    checkpoint = {
        "meta": {"CLASSES": ("cat", "dog"), "epoch": 12, "config": "model = dict()\n" * 40},
        "state_dict": collections.OrderedDict(("module." + n, t) for n, t in tensors.items()),
        "optimizer": {
            "state": {0: {"step": 3, "momentum_buffer": torch.ones(2)}},
            "param_groups": [{"lr": 0.02, "params": [0]}],
        },
    }
    torch.save(checkpoint, OUT / "checkpoint.pth")

    arrays = {n: t.detach().float().numpy() for n, t in tensors.items()}
    arrays["fortran"] = np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3))
    for protocol in (2, 4):
        with open(OUT / f"numpy{protocol}.pkl", "wb") as file:
            pickle.dump({"model": arrays, "__author__": "somebody", "scale": np.float32(0.5)}, file, protocol)

    torch.save({"state_dict": tensors, "hook": Malicious()}, OUT / "malicious.pth")
    torch.save({"state_dict": tensors, "hook": Malicious()}, OUT / "malicious_legacy.pth",
               _use_new_zipfile_serialization=False)
    with open(OUT / "malicious.pkl", "wb") as file:
        pickle.dump({"model": arrays, "hook": Malicious()}, file)
    torch.save({"state_dict": tensors, "hook": Hook()}, OUT / "class.pth")


main()
