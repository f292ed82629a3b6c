"""One epoch of stage 2 through the detector against one from the bank, and the extraction that the bank costs first.

Usage: python scripts/feature_bank/benchmark_stage2.py LONGTAIL RUN [--loss acsl] [--epochs 3]
RUN is a finished run of two stages, such as `longtail demo`; its recipe's batches are used on both sides. Times of a step are
those that the runs log, evaluation left out; the bank's are also given with the whole process. Needs no package.
"""

import argparse
import json
import pathlib
import subprocess
import tempfile
import time
import tomllib


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("longtail")
    parser.add_argument("run", type=pathlib.Path)
    parser.add_argument("--loss", default="acsl")
    parser.add_argument("--epochs", type=int, default=3)
    arguments = parser.parse_args()
    recipe = tomllib.loads((arguments.run / "config.toml").read_text())
    images = json.loads((arguments.run / "results.json").read_text())["train_images"]
    last = len(recipe["stages"]) - 1
    batch = recipe["stages"][last]["batch_size"]
    steps = -(-images // batch)
    folder = tempfile.TemporaryDirectory()
    work = pathlib.Path(folder.name)

    def call(*parts):
        began = time.perf_counter()
        subprocess.run([arguments.longtail, *map(str, parts)], check=True, capture_output=True, text=True)
        return time.perf_counter() - began

    one = '[{ name = "one", loss = { kind = "%s" } }]' % arguments.loss
    call("sweep", arguments.run / "config.toml", "--seeds", recipe["seed"], "--from", arguments.run, "--out", work / "sweep",
         "--set", f"stages.{last}.classifiers={one}", "--set", f"stages.{last}.length={{ iterations = {steps} }}",
         "--set", "log_every=1")
    log = (work / "sweep" / f"seed-{recipe['seed']}" / "metrics.jsonl").read_text().splitlines()
    entries = [entry for entry in map(json.loads, log) if entry["kind"] == "step" and entry["stage_index"] == last]
    through = sum(entry["seconds"]["total"] for entry in entries)
    bank = work / "bank"
    extraction = call("features", "extract", arguments.run, "--out", bank, "--holdout", 0)
    whole = {}
    for epochs in (1, 1 + arguments.epochs):
        head = work / f"head-{epochs}.safetensors"
        whole[epochs] = call("head", "train", bank, "--loss", arguments.loss, "--epochs", epochs, "--batch-size", batch,
                             "--out", head)
    epoch = (whole[1 + arguments.epochs] - whole[1]) / arguments.epochs
    saved = through - epoch
    header = json.loads((bank / "bank.json").read_text())
    print(json.dumps({
        "images": images, "steps": len(entries), "rois of a step": batch * header["sampling"]["per_image"],
        "rois kept": sum(shard["rows"] for shard in header["shards"]), "bytes": sum(s["bytes"] for s in header["shards"]),
        "epoch through the detector, s": through, "extraction with validation proposals, s": extraction,
        "epoch from the bank, s": epoch, "first epoch from the bank as a process, s": whole[1],
        "ratio": through / epoch, "break-even, epochs": extraction / saved,
    }, indent=1))


if __name__ == "__main__":
    main()
