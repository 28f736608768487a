"""One search tree for rows that are not all written down: SCIP, which asks for those that its answers break.

Rounds of a solver that begins anew with a few more tangents each time spend nearly all their work on what the round before
had already ruled out. Here the tree is kept, and tangents come as it grows (Quesada and Grossmann, Computers & Chemical
Engineering 16 (1992), 937-947): at fractions of a node to lift its bound, and at whole answers, which count only once none is missing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from pro.placement.engines.relaxed import quiet

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pro.core.arrays import Floats
    from pro.placement.engines.relaxed import Rows

    Look = Callable[[Floats, bool], Sequence[tuple[Any, Any, float]]]

SETTINGS = {
    "separating/maxrounds": 1,
    "separating/maxroundsroot": 5,
    "branching/relpscost/inititer": 10,
    "branching/relpscost/maxlookahead": 4,
    "nodeselection/bfs/stdpriority": 1_000_000,
}
"""Few rounds of cuts, since tangents come at every node anyway; little strong branching; the lowest bound first."""
SLACK = 0.05
"""Share of the time that is left for the end of the last linear program."""


@dataclass(frozen=True)
class Limits:
    """When the tree ends: `seconds` that are left, of this process (`cpu`) or of the wall, `nodes`, a relative `gap`."""

    seconds: Callable[[], float]
    nodes: int
    gap: float
    cpu: bool = False


def branch(rows: Rows, look: Look, known: Floats, first: set[int], limits: Limits) -> tuple[float, bool]:
    """A lower bound of the least cost over `rows` and all that `look` will say, and whether the tree's answer breaks any of that.

    It may, since what is solved before there is a tree is seen by nobody but in the end.

    `look(z, whole)` sees values (n,) of the variables, of a whole answer or of a node with fractions, and tells what is broken
    there: columns, values, least. `known` (n,) is an answer that breaks nothing; variables in `first`
    are decided before others.
    """
    from ortools.math_opt.python import mathopt

    model, variables = _model(rows, mathopt)

    def answer(data: Any) -> Any:
        result = mathopt.CallbackResult()
        if data.solution is not None:
            whole = data.event == mathopt.Event.MIP_SOLUTION
            for columns, values, least in look(_values(data.solution, variables), whole):
                result.add_generated_constraint(expr=_sum(mathopt, variables, columns, values), lb=least, is_lazy=whole)
        return result

    hint = mathopt.SolutionHint(variable_values=dict(zip(variables, known.tolist(), strict=True)))
    with quiet():
        found = mathopt.solve(
            model,
            mathopt.SolverType.GSCIP,
            params=_parameters(mathopt, limits),
            model_params=mathopt.ModelSolveParameters(
                solution_hints=[hint], branching_priorities={variables[i]: 1 for i in sorted(first)}
            ),
            callback_reg=mathopt.CallbackRegistration(
                events={mathopt.Event.MIP_SOLUTION, mathopt.Event.MIP_NODE}, add_cuts=True, add_lazy_constraints=True
            ),
            cb=answer,
        )
    bound = float(found.termination.objective_bounds.dual_bound)
    return bound, found.has_primal_feasible_solution() and bool(look(_values(found.variable_values(), variables), True))


def _model(rows: Rows, mathopt: Any) -> tuple[Any, list[Any]]:
    model = mathopt.Model()
    variables = [
        model.add_variable(lb=low, ub=high, is_integer=i < rows.whole)
        for i, (low, high) in enumerate(zip(rows.low.tolist(), rows.high.tolist(), strict=True))
    ]
    for columns, values, least, most in zip(rows.column, rows.value, rows.least, rows.most, strict=True):
        model.add_linear_constraint(lb=least, ub=most, expr=_sum(mathopt, variables, columns, values))
    model.minimize(_sum(mathopt, variables, range(len(variables)), rows.cost))
    return model, variables


def _sum(mathopt: Any, variables: list[Any], columns: Any, values: Any) -> Any:
    return mathopt.fast_sum([float(b) * variables[a] for a, b in zip(columns, values, strict=True) if b])


def _values(solution: Any, variables: list[Any]) -> Floats:
    import numpy as np

    return np.array([solution[x] for x in variables], np.float64)


def _parameters(mathopt: Any, limits: Limits) -> Any:
    """No heuristics: answers come from local search."""
    parameters = mathopt.SolveParameters(
        time_limit=timedelta(seconds=max(limits.seconds() * (1 - SLACK), 0.01)),
        node_limit=limits.nodes,
        relative_gap_tolerance=limits.gap,
        heuristics=mathopt.Emphasis.OFF,
        threads=1,
    )
    parameters.gscip.int_params["timing/clocktype"] = 1 if limits.cpu else 2
    parameters.gscip.int_params.update(SETTINGS)
    return parameters
