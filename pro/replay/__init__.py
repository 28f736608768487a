"""History + policies -> verdict.

In: a store that knows what happened after an instant, and what was recommended at it. Out: what the recommendation would have
been good for, counted on real samples. Never: lets a decision see what came after it.
"""

from pro.replay.hindsight import Hindsight as Hindsight
from pro.replay.hindsight import hindsight as hindsight
