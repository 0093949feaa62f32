"""Sends seeds in the place of what grows from them.

Where a party draws a seed, grows a random tensor from it and sends that tensor on, it may as well
send the 32 bytes: the receiver grows the same tensor and learns nothing more by it. Most of what
Pond's third server deals is of this kind.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

from party.plan.graph import Operation


def send_seeds(operations: tuple[Operation, ...]) -> tuple[Operation, ...]:
    """The operations, with a tensor that crosses and grows from a seed of its own grown twice.

    A seed of its own is one that nothing else reads. The new operation stands right after the one
    that it repeats, with the receiver as its party.
    """
    by_name = {operation.name: operation for operation in operations}
    readers: dict[str, list[Operation]] = defaultdict(list)
    for operation in operations:
        for name in operation.inputs:
            readers[name].append(operation)

    renamed: dict[tuple[str, int], str] = {}
    result: list[Operation] = []
    for operation in operations:
        inputs = operation.inputs
        if operation.party is not None:
            inputs = tuple(renamed.get((name, operation.party), name) for name in inputs)
        result.append(replace(operation, inputs=inputs))
        if operation.kind != "KitUniform":
            continue
        seed = by_name[operation.inputs[1]]
        alone = seed.kind == "KitSeed" and readers[seed.name] == [operation]
        if not alone or seed.bytes >= operation.bytes:
            continue
        elsewhere = {reader.party for reader in readers[operation.name]} - {operation.party, None}
        for party in sorted(p for p in elsewhere if p is not None):
            name = f"{operation.name}@{party}"
            renamed[operation.name, party] = name
            result.append(replace(operation, name=name, party=party))
    return tuple(_without_unread(result, by_name))


def _without_unread(operations: list[Operation], kept: dict[str, Operation]) -> list[Operation]:
    """Without the tensors that only their receiver read."""
    read = {name for operation in operations for name in operation.inputs}
    grown = {o.name.rpartition("@")[0] for o in operations if o.name not in kept}
    return [o for o in operations if o.name in read or o.name not in grown]
