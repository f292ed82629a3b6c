#!/bin/sh
# Builds the Python package's wheel in an environment of its own, installs it with numpy, pycocotools and lvis,
# and runs its tests. What was skipped, and why, is printed at the end. Needs Python 3.10 or newer, a Rust
# toolchain and both registries.
#
#   scripts/check_python.sh            the wheel's tests
#   scripts/check_python.sh --torch    and those with PyTorch, torchvision, torchmetrics, ultralytics and
#                                      transformers, which are several gigabytes
#
# PYTHON names another interpreter; PROFILE=release builds as releases are built, and then the wheel's size is
# checked.
set -eu
cd "$(dirname "$0")/.."
package=bindings/python
profile=${PROFILE:-dev}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"${PYTHON:-python3}" -m venv "$work/env"
python=$work/env/bin/python
install="$python -m pip install --quiet --disable-pip-version-check --only-binary :all:"
# mypy and ruff are for the sources; the rest is what users have.
$install maturin numpy pytest pycocotools lvis==0.5.3 mypy ruff pandas polars
if [ "${1:-}" = --torch ]; then
    $install torch torchvision torchmetrics ultralytics transformers scipy
fi

"$work/env/bin/ruff" format --check --quiet "$package"
"$work/env/bin/ruff" check --quiet "$package"
PATH=$work/env/bin:$PATH maturin build --quiet --locked --manifest-path "$package/Cargo.toml" --profile "$profile" \
    --interpreter "$python" --out "$work/wheels"
$install --no-index --no-deps "$work"/wheels/longtail-*.whl
if [ "$profile" = release ]; then
    size=$(wc -c < "$(ls "$work"/wheels/longtail-*.whl)")
    echo "wheel: $size bytes"
    test "$size" -le 8388608
fi
"$python" -m pytest --quiet -rs "$package/tests"
