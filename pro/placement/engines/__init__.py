"""Engines improve a placement. They read rows and terms and know no rule.

Each `improve` returns an answer that is feasible and no worse than the start, so engines chain: greedy, then local search,
then CP-SAT on the whole or, where moments are many, tangents (cuts). numba, SciPy and OR-Tools are imported when an engine first runs.
"""

from pro.placement.engines.cuts import Cuts as Cuts
from pro.placement.engines.exact import Exact as Exact
from pro.placement.engines.few import Few as Few
from pro.placement.engines.greedy import Greedy as Greedy
from pro.placement.engines.local import Local as Local
from pro.placement.engines.warm import warm as warm
