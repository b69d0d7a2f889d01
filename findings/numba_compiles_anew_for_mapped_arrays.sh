#!/usr/bin/env bash
# A loop that numba has compiled for arrays in memory is compiled once more for an array mapped read-only; one mapped
# copy-on-write (mode "c"), which shares its pages just as well, takes the compiled loop as it is. So a program that maps its
# weights with mode "r" pays for compiling, or for a second file in numba's cache, at its first answer.
#
# Seen with numba 0.68.1 and numpy 2.4.6: signatures after each call 1, 2, 2.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check numba==0.68.1 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PYTHON'
import numba
import numpy as np

np.arange(8, dtype=np.float32).tofile("numbers")


@numba.njit
def total(numbers):
    found = np.float32(0)
    for number in numbers:
        found += number
    return found


def mapped(mode):
    return np.memmap("numbers", np.float32, mode).view(np.ndarray)


seen = []
for numbers in (np.arange(8, dtype=np.float32), mapped("r"), mapped("c")):
    assert total(numbers) == 28
    seen.append(len(total.signatures))
print(f"numba {numba.__version__}, numpy {np.__version__}: signatures after each call", seen)
print([str(one[0]) for one in total.signatures])
assert seen == [1, 2, 2], "the behaviour has changed"
PYTHON
