#!/bin/sh
# Overfits 16 photographs from random weights and demands AP50 >= 0.8 on them: the proof that pixels, targets, losses
# and decoding fit together.
#
#   scripts/overfit_16.sh ANNOTATIONS.json IMAGE_FOLDER [RUN_FOLDER]
#
# ANNOTATIONS.json is COCO or LVIS layout. Needs python3 for choosing the images.
set -eu
annotations=$(realpath "$1")
images=$(realpath "$2")
run=$(realpath -m "${3:-runs/overfit-16/$(date +%s)}")
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 - "$annotations" "$work/16.json" <<'PYTHON'
import json
import sys

data = json.load(open(sys.argv[1]))
boxes = [a for a in data["annotations"] if not a.get("iscrowd")]
# Objects that are a few pixels wide at this size cannot be told apart; take images whose objects are not.
sizes = {i["id"]: i["width"] * i["height"] for i in data["images"]}
smallest = {}
for a in boxes:
    share = a["bbox"][2] * a["bbox"][3] / sizes[a["image_id"]]
    smallest[a["image_id"]] = min(share, smallest.get(a["image_id"], 1.0))
chosen = sorted(smallest, key=lambda i: (-smallest[i], i))[:16]
data["images"] = [i for i in data["images"] if i["id"] in chosen]
data["annotations"] = [a for a in boxes if a["image_id"] in chosen]
present = {a["category_id"] for a in data["annotations"]}
data["categories"] = [c for c in data["categories"] if c["id"] in present]
for i in data["images"]:
    for key in ("neg_category_ids", "not_exhaustive_category_ids"):
        if key in i:
            i[key] = [c for c in i[key] if c in present]
json.dump(data, open(sys.argv[2], "w"))
print(f"{len(chosen)} images, {len(data['annotations'])} boxes, {len(present)} classes")
PYTHON
cargo run --release --quiet -- train configs/small.toml --out "$run" \
    --set "data.train_annotations=$work/16.json" --set "data.train_images=$images" \
    --set "data.validation_annotations=$work/16.json" \
    --set transform.horizontal_flip=0.0 --set stages.0.length.iterations=600 --set stages.1.length.iterations=1
cargo run --release --quiet -- report "$run" --format json > "$work/table.json"
python3 - "$work/table.json" <<'PYTHON'
import json
import sys

value = json.load(open(sys.argv[1]))[0]["metrics"]["AP50"]
print(f"AP50 on the 16 images: {value:.3f}")
sys.exit(value < 0.8)
PYTHON
