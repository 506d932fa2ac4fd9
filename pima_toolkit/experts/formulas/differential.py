"""Systems of differential equations as compiled curves: their formulas as generated functions, and the steps over them.

The right-hand sides, initial states, events and output are programs as every formula is, printed into one generated
module with a curve that hands them to the integrator (``radau``).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numba import float64, njit

from .codegen import CURVE, HEADER, function_source, generated, statements
from .program import Program
from .radau import integrator


@dataclass(frozen=True)
class System:
    """The programs of a system of n differential equations, over the inputs t and p, the states and then P parameters.

    Args:
        slopes: Right-hand sides, n outputs and their derivatives, as ``with_jacobian`` adds them.
        initial: Initial states, n outputs and their derivatives.
        events: Times of kinks and jumps, any number of outputs and their derivatives.
        output: The curve, one output and its derivatives.
        states: n.
        parameters: P.
        start: Where the initial states hold.
        tolerance: Error of a step, relative to the size of each state.
        sizes: Of each state, where it has not been larger.
    """

    slopes: Program
    initial: Program
    events: Program
    output: Program
    states: int
    parameters: int
    start: float
    tolerance: float
    sizes: tuple[float, ...]


_FUNCTIONS = ("slopes", "initial", "events", "output")


def system_source(system: System, *, cache: bool = True) -> str:
    """Source of a module with a function over one point, of signature ``radau.POINT``, for each program of a system.

    Args:
        system: The programs.
        cache: Let numba keep the machine code beside the file.
    """
    text = HEADER + "\n\nfrom numba import cfunc\n"
    width = system.states + system.parameters
    for name in _FUNCTIONS:
        program = getattr(system, name)
        count = len(program.outputs) // (1 + width)
        cells = [f"jacobian[{i}, {j}]" for i in range(count) for j in range(width)]
        once, each = statements(program, [*(f"value[{i}]" for i in range(count)), *cells])
        text += function_source(name, ["n, k = 1, 0", *once, *each], cache, "cfunc")
    return text


@functools.lru_cache(maxsize=128)
def compile_system(system: System) -> tuple[Callable[..., None], Callable[..., float]]:
    """The compiled curve of a system with its sensitivities, and the function that traces its states.

    Args:
        system: The programs.

    Returns:
        A numba function of signature ``codegen.CURVE``, and one that takes also states (T, n) to write into, and gives
        the time at which the integration failed, NaN where it did not.

    Raises:
        ExpertError: If no folder at all can be written.
    """
    module = generated(functools.partial(system_source, system))
    slopes, initial, events, output = (getattr(module, name) for name in _FUNCTIONS)
    integrate, n = integrator(), system.states
    counts = n, len(system.events.outputs) // (1 + n + system.parameters)
    sizes, start, tolerance = np.array(system.sizes), system.start, system.tolerance

    # Everything is called by its address: these two are compiled in each process, in a moment.
    @njit(float64(float64[::1], float64[::1], float64[::1], float64[:, ::1], float64[:, ::1]))
    def both(t, theta, value, jacobian, states):  # noqa: ANN001, ANN202 - compiled
        return integrate(
            slopes, initial, events, output, counts, sizes.copy(), start, tolerance, t, theta, value, jacobian, states
        )

    @njit(CURVE.signature)
    def curve(t, theta, value, jacobian):  # noqa: ANN001, ANN202 - compiled
        both(t, theta, value, jacobian, np.empty((0, n)))

    return curve, both
