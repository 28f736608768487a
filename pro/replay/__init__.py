"""History + policies -> verdict.

In: a store that knows what happened, and policies (`backtest`) or one recommendation (`hindsight`). Out: what they would have been good
for, counted on real samples. Never: lets a decision see what came after it.
"""

from pro.replay.hindsight import Hindsight as Hindsight
from pro.replay.hindsight import hindsight as hindsight
