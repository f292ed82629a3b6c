"""Writes tests/fixtures/parquet: a Parquet table of detections as pandas and pyarrow write it, in row groups and pages.

    python parquet_fixture.py

Needs PyPI `pyarrow` (26.0.1 made the fixture). The table holds the first 200 boxes of lvis/dt_b_score_ties.json, its boxes
in single precision, with a column of text among the others.
"""

import json
import pathlib

import pyarrow
from pyarrow import parquet

FIXTURES = pathlib.Path(__file__).resolve().parent.parent / "tests/fixtures"

boxes = json.loads((FIXTURES / "lvis/dt_b_score_ties.json").read_text())[:200]
columns = {
    "score": pyarrow.array([b["score"] for b in boxes], pyarrow.float64()),
    "note": pyarrow.array([f"box {n % 7}" for n in range(len(boxes))]),
    "category_id": pyarrow.array([b["category_id"] for b in boxes], pyarrow.uint16()),
    "image_id": pyarrow.array([b["image_id"] for b in boxes], pyarrow.int64()),
}
for place, name in enumerate("xywh"):
    columns[name] = pyarrow.array([b["bbox"][place] for b in boxes], pyarrow.float32())
(FIXTURES / "parquet").mkdir(exist_ok=True)
for codec in ["snappy", "zstd", "gzip", "lz4"]:
    path = FIXTURES / f"parquet/{codec}.parquet"
    version = "1.0" if codec == "gzip" else "2.0"
    table = pyarrow.table(columns)
    parquet.write_table(table, path, compression=codec, row_group_size=90, data_page_version=version)
    print(path.name, path.stat().st_size)
