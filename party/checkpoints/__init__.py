"""What a party has done so far, in memory and on its own disk, so that a fault does not undo it.

A ``Point`` is a place in the course of the programs with the party's own shares there. ``Store``
keeps points on the disk, each file encrypted and authenticated (``sealing``) with a key that lies
among the party's keys and never beside the files. ``KeptModels`` are a party's parts of models that
stay on shares, sealed in the same way.
"""

from party.checkpoints.kept import KeptModel, KeptModels
from party.checkpoints.point import Point, newest, pruned
from party.checkpoints.sealing import DamagedError, seal, unseal
from party.checkpoints.store import AlignedRows, Store, begun, remove

__all__ = [
    "AlignedRows",
    "DamagedError",
    "KeptModel",
    "KeptModels",
    "Point",
    "Store",
    "begun",
    "newest",
    "pruned",
    "remove",
    "seal",
    "unseal",
]
