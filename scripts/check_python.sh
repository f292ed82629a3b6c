#!/bin/sh
# Builds the Python package in an environment of its own: the source distribution, from that the wheel, from
# that the installed package. Runs its tests with numpy, pycocotools and lvis. What was skipped, and why, is
# printed at the end. Needs Python 3.10 or newer, a package index, a Rust toolchain and the crate registry.
#
#   scripts/check_python.sh            the wheel's tests
#   scripts/check_python.sh --torch    and those with PyTorch, torchvision, torchmetrics, ultralytics and
#                                      transformers, which are several gigabytes
#
# PYTHON names another interpreter. PROFILE=release builds as releases are built; then the wheel's size and
# the time of its import are checked too.
set -eu
cd "$(dirname "$0")/.."
package=$PWD/bindings/python
profile=${PROFILE:-dev}
# So that what was built for one wheel serves the next.
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$package/target}"

fail() { echo "check_python.sh: $1" >&2; exit 1; }

python=${PYTHON:-python3}
command -v "$python" > /dev/null ||
    fail "there is no $python; install Python 3.10 or newer, or name one in PYTHON"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
    fail "$("$python" --version) is too old; name Python 3.10 or newer in PYTHON"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$python" -m venv "$work/env" || fail "$python cannot make environments; install its module venv"
python=$work/env/bin/python

install() {
    "$python" -m pip install --quiet --disable-pip-version-check --only-binary :all: "$@" ||
        fail "cannot install $*; is the package index at hand? PIP_INDEX_URL names another"
}
# mypy and ruff are for the sources; the rest is what users have.
install 'maturin>=1.16,<2' numpy pytest pycocotools lvis==0.5.3 mypy ruff pandas polars
if [ "${1:-}" = --torch ]; then
    install torch torchvision torchmetrics ultralytics transformers scipy
fi

"$work/env/bin/ruff" format --check --quiet "$package"
"$work/env/bin/ruff" check --quiet "$package"
# The wheel comes from the unpacked source distribution, as an installation from an index would make it.
PATH=$work/env/bin:$PATH maturin build --quiet --locked --sdist --manifest-path "$package/Cargo.toml" \
    --profile "$profile" --interpreter "$python" --out "$work/wheels" > "$work/log" 2>&1 ||
    { cat "$work/log"; fail 'the package does not build'; }
install --no-index --no-deps "$work"/wheels/longtail-*.whl
"$python" - "$work"/wheels/longtail-*.whl <<'PYTHON'
import sys, zipfile
path = sys.argv[1]
names = {entry.filename for entry in zipfile.ZipFile(path).infolist()}
assert "-abi3-" in path, f"{path} is for one version of Python"
needed = ("longtail/py.typed", "longtail/_core.pyi", "longtail/_core.abi3.so")
assert all(name in names for name in needed), f"{path} lacks one of {needed}"
assert any(name.endswith("licenses/LICENSE-MIT") for name in names), f"{path} lacks its licences"
PYTHON
"$python" -m pytest --quiet -rs "$package/tests"
if [ "$profile" = release ]; then
    size=$(wc -c < "$(ls "$work"/wheels/longtail-*.whl)")
    echo "wheel: $size bytes"
    test "$size" -le 8388608 || fail 'the wheel is above 8 MiB'
    cd "$work"
    # The best of ten: what it takes, not what else the machine does.
    "$python" - <<'PYTHON'
import subprocess, sys
script = "import time, numpy; t = time.perf_counter(); import longtail; print(time.perf_counter() - t)"
took = min(float(subprocess.check_output([sys.executable, "-c", script])) for _ in range(10))
print(f"import longtail: {1000 * took:.1f} ms beyond numpy")
assert took <= 0.08, "importing takes more than 80 ms"
PYTHON
fi
