#!/bin/sh
# Runs every command of docs/tutorial/own-photographs.md, in order, in an empty folder, on a small drawn set in place of
# photographs. The recipe is the tutorial's own with fewer iterations and smaller images.
#
#   scripts/check_tutorial.sh [PROGRAM]       # PROGRAM: a built `longtail`; default target/debug/longtail
set -eu
cd "$(dirname "$0")/.."
program=$(realpath "${1:-${CARGO_TARGET_DIR:-target}/debug/longtail}")
page=$(realpath docs/tutorial/own-photographs.md)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/bin" "$work/folder"
ln -s "$program" "$work/bin/longtail"
PATH="$work/bin:$PATH"
cd "$work/folder"

# What a reader brings along.
longtail emoji export photographs --classes 6 --images 240 --validation-images 6 --image-size 64
longtail data convert photographs/lvis_train.json annotations.json --to coco
cp photographs/train/000001.png photographs/one.jpg
# One box that reaches out of its image, so that there is something to repair.
sed -i 's/"bbox": *\[[0-9.]*/"bbox":[-5/' annotations.json

# Blocks of one language, one after the other.
blocks() {
    awk -v fence="\`\`\`$1" '$0 == "```" { inside = 0 } inside { print } $0 == fence { inside = 1 }' "$page"
}
blocks toml | sed -e 's/iterations = 1200/iterations = 12/' -e 's/warmup_iterations = 200/warmup_iterations = 2/' \
    -e 's/short = 256, max = 384/short = 64, max = 96/' -e 's/batch_size = 8/batch_size = 2/' > recipe.toml
blocks sh > commands.sh
test "$(grep -c '^longtail ' commands.sh)" -ge 10
sh -eux commands.sh

for made in runs/first/report.html predictions/one.png bank/sweep/best.safetensors predictions-repaired/one.png; do
    test -s "$made" || { echo "the tutorial did not make $made"; exit 1; }
done
echo "every command of the tutorial ran"
