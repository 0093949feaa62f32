"""ABY3's products: each seat multiplies what it holds, and no message is needed."""

from __future__ import annotations

from typing import Any

from party.protocols.dealing import ALICE, BOB, SERVER, Dealing, Product, SharedTable, Sum, times


class ReplicatedDealing(Dealing):
    """A vector is the sum of three parts; seat i holds parts i and i + 1."""

    def spread(self, value: Sum) -> list[list[Any]]:
        return self.replicated(value)

    def summed(self, vector: list[list[Any]]) -> Sum:
        with self.at(ALICE):
            own = vector[ALICE][0] + vector[ALICE][1]
        return own, vector[BOB][1], None

    def for_tables_of(self, vector: list[list[Any]], holder: int) -> list[list[Any]]:
        return vector

    def product(self, table: SharedTable, vector: list[list[Any]], by: Product = times) -> Sum:
        """``X v`` for ``X = E + U``: the holder has X and two parts of v, the others E and U and
        both of them the third part."""
        holder, other = table.holder, table.other
        lacking = 1 if holder == ALICE else 0  # of the other's two parts and of the server's: which
        shares: list[Any] = [None, None, None]
        with self.at(holder):
            shares[holder] = by(table.matrix, vector[holder][0] + vector[holder][1])
        with self.at(other):
            shares[other] = by(table.masked, vector[other][lacking])
        with self.at(SERVER):
            shares[SERVER] = by(table.mask, vector[SERVER][1 - lacking])
        return shares[0], shares[1], shares[2]
