"""Which parties a command is about, and in which cluster each of them is."""

from __future__ import annotations

from pathlib import Path

import pytest

from deployer.cluster import target
from deployer.cluster.target import find
from party.process.errors import InputError
from tests.deployer.memory import MemoryCluster


@pytest.fixture(autouse=True)
def _no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target, "Cluster", named)


def named(context: str | None) -> MemoryCluster:
    """A cluster that is called as its context; each in the namespace before a slash in it."""
    namespace = (context or "").rpartition("/")[0]
    return MemoryCluster(str(context), namespace or "default")


@pytest.fixture
def values(tmp_path: Path) -> Path:
    file = tmp_path / "values.yaml"
    file.write_text(
        "demo: {enabled: false}\nnamespace: shared\nalice: {namespace: bank}\n"
        "server: {enabled: false, address: 'helper.example:7000'}\n"
    )
    return file


def clusters(files: list[Path] | None, *contexts: str) -> dict[str, object]:
    return {place.party: place.cluster.name for place in find(files, contexts=contexts).places}


def test_all_parties_are_in_the_current_context_unless_told_otherwise() -> None:
    assert clusters(None) == dict.fromkeys(("alice", "bob", "server"), "None")
    assert clusters(None, "one") == dict.fromkeys(("alice", "bob", "server"), "one")


def test_each_party_can_have_a_context_of_its_own() -> None:
    mixed = clusters(None, "one", "bob=police")
    assert mixed == {"alice": "one", "bob": "police", "server": "one"}


def test_a_context_with_an_equals_sign_is_one_if_no_party_stands_before_it() -> None:
    assert set(clusters(None, "user=me").values()) == {"user=me"}


def test_a_party_without_a_context_beside_others_with_one_is_not_guessed(values: Path) -> None:
    with pytest.raises(InputError, match="no context for bob"):
        clusters([values], "alice=bank")


def test_without_a_namespace_it_is_the_contexts(values: Path) -> None:
    """As kubectl and helm take it; what the values or the option say comes first."""
    assert find(None, contexts=["team/one"]).namespace == "team"
    assert find(None, contexts=["team/one"], namespace="other").namespace == "other"
    assert find([values], contexts=["team/one"]).namespace == "shared"
    with pytest.raises(InputError, match="different namespaces: default, team"):
        find(None, contexts=["team/one", "bob=two"])


def test_names_and_namespaces_are_those_of_the_manifests(values: Path) -> None:
    found = find([values])
    assert [place.party for place in found.places] == ["alice", "bob"]
    assert found.elsewhere == {"server": "helper.example:7000"}
    alice, bob = found.places
    assert (alice.namespace, bob.namespace) == ("bank", "shared")
    assert alice.pod == "fraud-alice-0" and alice.claim == "state-fraud-alice-0"
    assert alice.keys_secret == "fraud-alice-keys"
    assert alice.table_secrets[:2] == ("fraud-alice-table-0", "fraud-alice-table-1")


def test_a_release_of_another_name_is_found_by_it(values: Path) -> None:
    found = find([values], name="demo", namespace="elsewhere")
    assert [place.pod for place in found.places] == ["demo-alice-0", "demo-bob-0"]
    assert [place.namespace for place in found.places] == ["bank", "elsewhere"]


def test_a_party_that_is_elsewhere_or_unknown_is_refused_with_where_it_is(values: Path) -> None:
    found = find([values])
    with pytest.raises(InputError, match=r"helper.example:7000"):
        found.place("server")
    for party in ("server", "carol"):
        with pytest.raises(InputError):
            find([values], only=[party])
