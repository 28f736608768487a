"""How inner loops are compiled by numba: types in advance, cached, without the interpreter's lock.

numba counts who holds an array, atomically, wherever a function may return. Between functions that call one another every few
dozen nanoseconds that is a fifth of the time, so only those that make arrays (`making`) count; all others are handed theirs. And
a call hands over eight words for each array, so what is short is put into its caller's code (`small`).
"""

from __future__ import annotations

from functools import partial

from numba import njit

making_entry = partial(njit, cache=True, error_model="numpy", nogil=True)
"""A function that Python calls and that makes arrays."""
entry = partial(making_entry, _nrt=False)
"""One that Python calls and that makes none."""
making = partial(making_entry, no_cpython_wrapper=True, no_cfunc_wrapper=True)
"""One that only compiled ones call and that makes arrays."""
kernel = partial(making, _nrt=False)
"""One that only compiled ones call and that makes none."""
small = partial(kernel, forceinline=True)
"""The same, of a few lines."""
