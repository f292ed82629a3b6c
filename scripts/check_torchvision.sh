#!/bin/sh
# Holds a full-size Faster R-CNN R50-FPN against torchvision: random weights imported from a .pth and predicted with, then
# exported and loaded back into torchvision. A photograph may be given. Needs: pip install torch torchvision safetensors.
#   scripts/check_torchvision.sh [PHOTO]
set -eu
cd "$(dirname "$0")/.."
cargo build --release --quiet -p longtail-cli
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" scripts/check_torchvision.py target/release/longtail "$folder" "$@"
