"""``deployer resume``: gives the parties of a paused release their pods back."""

from __future__ import annotations

from deployer.cluster.installed import locate
from deployer.cluster.pod_status import is_paused
from deployer.cluster.target import (
    ContextOption,
    NameOption,
    NamespaceOption,
    PartyOption,
    ValuesOption,
)
from deployer.commands import new_app
from deployer.commands.pause import owners

app = new_app()


@app.command()
def resume(
    values: ValuesOption = None,
    name: NameOption = "",
    namespace: NamespaceOption = "",
    context: ContextOption = None,
    party: PartyOption = None,
) -> None:
    """Give a paused release its pods back, which go on with what is on their volumes.

    Example: deployer resume --name scoring
    """
    for place, owner in owners(locate(values, name, namespace, context, party)):
        if is_paused(owner):
            place.cluster.scale(place.name, place.namespace, 1)
            print(f"{place.party:<7} resumed", flush=True)
        else:
            print(f"{place.party:<7} was not paused")
