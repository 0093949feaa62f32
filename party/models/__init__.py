"""What can be trained: one folder a model.

A model has its parameters in the job, its demands on the label, its programs over shares, its
result and its plaintext reference. It knows nothing of how secrets are shared. Nothing outside
this package names a model, but ``registry``.
"""

from party.models.interface import Block, LabelRule, Layout, Model, Opened, ProgramBuilder, Value
from party.models.registry import ModelName, ModelParameters, model_of, parameters_of

__all__ = [
    "Block",
    "LabelRule",
    "Layout",
    "Model",
    "ModelName",
    "ModelParameters",
    "Opened",
    "ProgramBuilder",
    "Value",
    "model_of",
    "parameters_of",
]
