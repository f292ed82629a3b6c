"""Heads trained from a feature bank against the same classifiers trained through the detector, at the same step budget.

Usage: python scripts/feature_bank/compare_stage2.py LONGTAIL RUN... [--views N] [--precision f16]
Each RUN is a finished `longtail demo` (another seed each). Prints a Markdown table: mean ± standard deviation over the runs of
the values, and of the differences within a run. Needs no package.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import tempfile
import tomllib

METRICS = ["AP", "AP50", "AP75", "APr", "APc", "APf", "AR@300"]


def toml(value):
    """A TOML literal of plain values."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {toml(v)}" for key, v in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return json.dumps(value)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("longtail")
    parser.add_argument("runs", nargs="+", type=pathlib.Path)
    parser.add_argument("--views", help="default: 2, plain and mirrored, where the recipe mirrors images, else 1")
    parser.add_argument("--precision", default="f16")
    parser.add_argument("--truth", default="lvis")
    arguments = parser.parse_args()
    call = lambda *a: subprocess.run([arguments.longtail, *map(str, a)], check=True, capture_output=True, text=True).stdout
    through, from_bank = {}, {}
    for run in arguments.runs:
        recipe = tomllib.loads((run / "config.toml").read_text())
        results = json.loads((run / "results.json").read_text())
        stage = recipe["stages"][-1]
        folder = tempfile.TemporaryDirectory()
        work = pathlib.Path(folder.name)
        bank = work / "bank"
        views = arguments.views or (2 if recipe["transform"]["horizontal_flip"] > 0 else 1)
        # All training images, as the run had them.
        call("features", "extract", run, "--out", bank, "--views", views, "--precision", arguments.precision,
             "--holdout", 0, "--seed", recipe["seed"])
        optimizer = {"kind": "sgd", **stage["optimizer"]}
        for classifier in stage["classifiers"]:
            name = classifier["name"]
            settings = {
                "loss": classifier["loss"], "length": stage["length"], "batch": {"images": stage["batch_size"]},
                "optimizer": optimizer, "schedule": stage["schedule"], "seed": recipe["seed"],
            }
            file = work / "head.toml"
            file.write_text("\n".join(f"{key} = {toml(value)}" for key, value in settings.items()))
            call("head", "train", bank, "--recipe", file, "--out", work / "head.safetensors")
            rows = json.loads(call("head", "eval", work / "head.safetensors", bank / "validation", "--format", "json"))
            label = results["truths"][arguments.truth]
            found = next(row["metrics"] for row in rows if row["truth"] == label)
            whole = next(c for c in results["classifiers"] if c["name"] == name and c["stage"] == stage["name"])
            through.setdefault(name, []).append(whole["reports"][arguments.truth]["metrics"])
            from_bank.setdefault(name, []).append(found)
        folder.cleanup()

    def cell(values):
        if len(values) == 1:
            return f"{values[0]:.1f}"
        return f"{statistics.mean(values):.1f} ± {statistics.stdev(values):.1f}"

    def difference(values):
        if len(values) == 1:
            return f"{values[0]:+.2f}"
        return f"{statistics.mean(values):+.2f} ± {statistics.stdev(values):.2f}"

    print("| method | | " + " | ".join(METRICS) + " |")
    print("| --- | --- |" + " ---: |" * len(METRICS))
    for name in through:
        value = lambda rows, metric: [100 * row[metric] for row in rows]
        print(f"| {name} | through the detector | " + " | ".join(cell(value(through[name], m)) for m in METRICS) + " |")
        print(f"| | from the bank | " + " | ".join(cell(value(from_bank[name], m)) for m in METRICS) + " |")
        pairs = {m: [b - a for a, b in zip(value(through[name], m), value(from_bank[name], m))] for m in METRICS}
        print(f"| | difference | " + " | ".join(difference(pairs[m]) for m in METRICS) + " |")


if __name__ == "__main__":
    main()
