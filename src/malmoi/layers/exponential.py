"""e**x for compiled loops, so that whole loops become vector instructions; right to about 1e-7 of the result."""

import math

import numpy as np

from malmoi.jit import compiled

# Every constant is wrapped: a bare Python float would widen the loop to float64 and halve its speed.
ONE, TWO, HALF = np.float32(1), np.float32(2), np.float32(0.5)
LOG2E, LN2_HIGH, LN2_LOW = np.float32(1 / math.log(2)), np.float32(0.693359375), np.float32(math.log(2) - 0.693359375)
C2, C3, C4, C5, C6 = (np.float32(1 / math.factorial(n)) for n in range(2, 7))
LOWEST, HIGHEST = np.float32(-87), np.float32(88)
BIAS, MANTISSA_BITS = np.int32(127), np.int32(23)


@compiled(inline=True)
def exp(x):  # type: ignore[no-untyped-def]
    """e**x as 2**n * e**r with |r| <= ln(2) / 2, the power of two written into the exponent bits."""
    x = min(max(x, LOWEST), HIGHEST)
    n = np.floor(x * LOG2E + HALF)
    r = (x - n * LN2_HIGH) - n * LN2_LOW
    series = ONE + r * (ONE + r * (C2 + r * (C3 + r * (C4 + r * (C5 + r * C6)))))
    return series * np.int32((np.int32(n) + BIAS) << MANTISSA_BITS).view(np.float32)
