"""How the programs of both solvers keep tables and sums in the state that stays shared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from party.agreement.parties import HOLDERS
from party.models.interface import ProgramBuilder
from party.protocols.interface import Parts

if TYPE_CHECKING:
    from party.protocols.dealing import SharedTable, Sum


def name_of(what: str, party: int) -> str:
    """The name of a holder's value."""
    return f"{what}.{HOLDERS[party]}"


def parts_of_table(party: int) -> Parts:
    """A table's masked rows are the other holder's, its masks are the server's."""
    return ((), (0,), (1,)) if party == 0 else ((0,), (), (1,))


def keep_table(
    builder: ProgramBuilder, what: str, holder: int, first: int, columns: int, bits: int
) -> SharedTable:
    """Shares some columns of a holder's rows, once for all programs that follow."""
    own = builder.own(holder, first, columns, bits)
    return share_table(builder, name_of(what, holder), own, holder)


def table_of(
    builder: ProgramBuilder, what: str, holder: int, first: int, columns: int, bits: int
) -> SharedTable:
    """A holder's rows as they were shared."""
    own = builder.own(holder, first, columns, bits)
    return shared_table(builder, name_of(what, holder), own, holder)


def share_table(builder: ProgramBuilder, name: str, own: Any, holder: int) -> SharedTable:
    """Shares a holder's own matrix under a name."""
    shared = builder.dealing.share(own, holder)
    shares: list[list[Any]] = [[], [], [shared.mask]]
    shares[shared.other] = [shared.masked]
    builder.keep(name, shares)
    return shared


def shared_table(builder: ProgramBuilder, name: str, own: Any, holder: int) -> SharedTable:
    """A holder's own matrix as it was shared under a name."""
    from party.protocols.dealing import SharedTable

    held = builder.held(name)
    return SharedTable(holder, own, held[1 - holder][0], held[2][0])


def sum_of(held: list[list[Any]]) -> Sum:
    """What the seats hold of a sum, of which each has one part at most."""
    alice, bob, server = (shares[0] if shares else None for shares in held)
    return alice, bob, server


def keep_sum(builder: ProgramBuilder, name: str, value: Sum) -> None:
    """Leaves a sum as it is."""
    builder.keep(name, [[] if share is None else [share] for share in value])
