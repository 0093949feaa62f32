"""The plan: one training step as a list of operations, each placed on a party; its cut and digest.

``party.compiler.build`` makes it with TensorFlow and tf-encrypted, in a process of its own.
Everything here and after here needs neither: a plan is plain data.
"""

from party.plan.cut import Message, Part, Program, cut
from party.plan.graph import Operation, Plan
from party.plan.parameters import PlanParameters, StepWidth

__all__ = ["Message", "Operation", "Part", "Plan", "PlanParameters", "Program", "StepWidth", "cut"]
