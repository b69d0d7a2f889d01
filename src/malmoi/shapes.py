"""Types of arrays that name their axes, as Float[np.ndarray, "batch vocab"]: jaxtyping's own, where something checks them.

To import jaxtyping takes a twentieth of a second, which every command would pay, and only the tests check. Whoever checks
imports it before malmoi; otherwise an annotation is the bare type of the array.
"""

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING or "jaxtyping" in sys.modules:
    from jaxtyping import Bool as Bool
    from jaxtyping import Float as Float
    from jaxtyping import Float32 as Float32
    from jaxtyping import Float64 as Float64
    from jaxtyping import Int as Int
    from jaxtyping import Int32 as Int32
    from jaxtyping import Int64 as Int64
    from jaxtyping import Integer as Integer
    from jaxtyping import Num as Num
    from jaxtyping import Shaped as Shaped
    from jaxtyping import UInt8 as UInt8
    from jaxtyping import UInt32 as UInt32
else:

    class Unchecked:
        """Stands for every such type: it forgets the axes."""

        def __class_getitem__(cls, array_and_axes: tuple[Any, str]) -> Any:
            return array_and_axes[0]

    Bool = Float = Float32 = Float64 = Int = Int32 = Int64 = Integer = Num = Shaped = UInt8 = UInt32 = Unchecked
