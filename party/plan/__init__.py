"""The plan: a job's programs as lists of operations, each placed on a party; cuts and digest.

``party.compiler`` makes it with TensorFlow and tf-encrypted, in a process of its own. Everything
here and after here needs neither: a plan is plain data.
"""

from party.plan.cut import Cut, Message, PartyProgram, cut
from party.plan.graph import Opening, Operation, Plan, Private, Program, Share, Shared, Slot
from party.plan.parameters import PlanParameters
from party.plan.runs import runs, sharing

__all__ = [
    "Cut",
    "Message",
    "Opening",
    "Operation",
    "PartyProgram",
    "Plan",
    "PlanParameters",
    "Private",
    "Program",
    "Share",
    "Shared",
    "Slot",
    "cut",
    "runs",
    "sharing",
]
