"""Sums and means of NumPy for the test in crates/longtail-eval/src/numerics.rs.

    pip install numpy==2.4.6
    python3 scripts/golden/numpy_sums.py
"""

import numpy

print("NumPy", numpy.__version__)
for count in (100, 1013, 8192, 8193, 20_000, 100_003):
    values = 1 / (numpy.arange(count) + 1.0)
    print(count, repr(float(numpy.sum(values))), repr(float(numpy.mean(values))))
