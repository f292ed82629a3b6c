"""Writes an annotation file of the size of LVIS v1 train: 100,170 images, 1.27 million boxes with polygons, 1.2 GB.

    python3 scripts/make_large_lvis.py large.json [--images 100170] [--seed 0]

Classes have the box counts of LVIS v1 (crates/longtail-emoji/data), fields and their order are those of its file, and
polygons have the length that gives its size. The same arguments give the same bytes. Needs Python 3 alone, and about
a minute; the file appears when it is whole.
"""

import argparse
import csv
import json
import math
import os
import pathlib
import random

HERE = pathlib.Path(__file__).resolve().parent
COUNTS = HERE.parent / "crates/longtail-emoji/data/lvis_v1_train_counts.csv"
IMAGES = 100_170
SIZES = [(640, 480), (640, 427), (480, 640), (640, 640), (500, 375), (612, 612)]
# Points of a polygon: many are small, some are long, as outlines are.
POINTS = [8, 14, 20, 30, 42, 58, 80, 100, 120]


def below(generator, limit):
    """An integer in 0..limit from `random()` alone, whose sequence Python guarantees."""
    return int(generator.random() * limit)


def outlines(generator):
    """Strings of polygons around boxes, by place: the text is what takes time."""
    made = []
    for points in POINTS:
        for _ in range(24):
            phase = generator.random()
            radii = [0.35 + 0.15 * math.sin(7 * phase + 5 * k) for k in range(points)]
            angles = [2 * math.pi * k / points for k in range(points)]
            made.append([(0.5 + r * math.cos(a), 0.5 + r * math.sin(a)) for r, a in zip(radii, angles)])
    return made


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=pathlib.Path)
    parser.add_argument("--images", type=int, default=IMAGES, help="boxes shrink with it")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    generator = random.Random(arguments.seed)
    with COUNTS.open(newline="") as file:
        classes = [(row["name"], int(row["images"]), int(row["instances"])) for row in csv.DictReader(file)]
    classes.sort()
    boxes = [place + 1 for place, (_, _, instances) in enumerate(classes) for _ in range(instances)]
    for last in range(len(boxes) - 1, 0, -1):
        other = below(generator, last + 1)
        boxes[last], boxes[other] = boxes[other], boxes[last]
    boxes = boxes[: round(len(boxes) * arguments.images / IMAGES)]
    sizes = [SIZES[below(generator, len(SIZES))] for _ in range(arguments.images)]
    ids = [9 + 5 * place + below(generator, 5) for place in range(arguments.images)]
    # Boxes come image by image in random order, as in LVIS.
    of_box = sorted(range(len(boxes)), key=lambda _: generator.random())
    shapes = outlines(generator)
    number = [f"{value / 100:.2f}".rstrip("0").rstrip(".") for value in range(64_100)]

    partial = arguments.file.with_name(arguments.file.name + ".partial")
    with partial.open("w", encoding="ascii", buffering=1 << 22) as out:
        out.write('{"info": {"description": "made up, of the size of LVIS v1 train", "version": "v1.0"}, "annotations": [')
        for entry, place in enumerate(of_box):
            image = below(generator, arguments.images)
            width, height = sizes[image]
            w = 600 + below(generator, width * 50)
            h = 600 + below(generator, height * 50)
            x, y = below(generator, width * 100 - w), below(generator, height * 100 - h)
            shape = shapes[below(generator, len(shapes))]
            polygon = ", ".join([f"{number[int(x + w * a)]}, {number[int(y + h * b)]}" for a, b in shape])
            out.write(
                f'{", " if entry else ""}{{"area": {w * h / 20_000:.2f}, "id": {entry + 1}, "segmentation": [[{polygon}]], '
                f'"image_id": {ids[image]}, "bbox": [{number[x]}, {number[y]}, {number[w]}, {number[h]}], "category_id": {boxes[place]}}}'
            )
        out.write('], "images": [')
        for place, (id_, (width, height)) in enumerate(zip(ids, sizes)):
            some = sorted({1 + below(generator, len(classes)) for _ in range(12)})
            record = {
                "date_captured": "2013-11-18 05:10:08", "neg_category_ids": some[2:], "id": id_, "license": 1 + below(generator, 8),
                "height": height, "width": width, "flickr_url": f"http://farm9.staticflickr.com/8{id_:03}/{id_}_z.jpg",
                "coco_url": f"http://images.cocodataset.org/train2017/{id_:012}.jpg", "not_exhaustive_category_ids": some[:1],
            }  # fmt: skip
            out.write((", " if place else "") + json.dumps(record))
        out.write('], "licenses": [], "categories": ')
        groups = ((10, "r"), (100, "c"), (math.inf, "f"))
        out.write(json.dumps([
            {
                "image_count": images, "synonyms": [name], "def": f"what is called {name}", "id": place + 1,
                "synset": f"{name}.n.01", "name": name, "frequency": next(g for limit, g in groups if images <= limit),
                "instance_count": instances,
            }
            for place, (name, images, instances) in enumerate(classes)
        ]))  # fmt: skip
        out.write("}\n")
        out.flush()
        os.fsync(out.fileno())
    partial.rename(arguments.file)
    print(f"{arguments.file}: {arguments.images} images, {len(boxes)} boxes, {arguments.file.stat().st_size / 1e9:.2f} GB")


if __name__ == "__main__":
    main()
