"""Random histories of one region, for Hypothesis: a model, and one class of rules for each party."""

from __future__ import annotations

from support.region_history.claim_rules import ClaimRules
from support.region_history.operator_rules import OperatorRules
from support.region_history.producer_rules import ProducerRules
from support.region_history.settle_rules import SettleRules
from support.region_history.tick_rules import TickRules


class History(ProducerRules, ClaimRules, SettleRules, TickRules, OperatorRules):
    """One region's history: several workers, beats and operators, on a clock that jumps both ways."""
