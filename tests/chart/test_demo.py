"""The demo makes keys and tables that the parties accept, and touches nobody else's."""

from __future__ import annotations

import base64
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from deployer.cluster.client import Object
from deployer.cluster.target import Place, place_of
from deployer.commands import demo
from deployer.commands.data import split
from deployer.manifests.render import Facts
from deployer.manifests.values import Values
from party.agreement.job import PARTIES, Job
from party.identity import load_keys
from party.process.errors import InputError
from party.table import load
from tests.chart.rendering import by_deployer, values
from tests.deployer.memory import MemoryCluster

RELEASE = {
    "alice": {"namespace": "bank"},
    "bob": {"namespace": "police"},
    "server": {"namespace": "third"},
}


class Release(MemoryCluster):
    """A cluster in which the demo is installed, less its Secrets."""

    def __init__(self) -> None:
        super().__init__()
        self.chosen: Values = values(RELEASE)
        for number, one in enumerate(by_deployer(RELEASE)):
            metadata = one["metadata"] | {"uid": str(number)}
            key = one["kind"], metadata["namespace"], metadata["name"]
            self.objects[key] = one | {"metadata": metadata}

    @property
    def places(self) -> list[Place]:
        facts = Facts(self.chosen)
        return [place_of(party, self) for party in facts.parties]

    @property
    def job(self) -> Job:
        return self.chosen.job

    def fill(self) -> list[str]:
        return demo.fill(self.places, self.job)

    def secret(self, place: Place, name: str) -> Object:
        return self.objects["Secret", place.namespace, name]

    def mount(self, place: Place, names: list[str], directory: Path) -> Path:
        """Secrets as files, as a pod has them."""
        directory.mkdir(parents=True)
        for name in names:
            for file, content in self.secret(place, name)["data"].items():
                (directory / file).write_bytes(base64.b64decode(content))
                (directory / file).chmod(0o600)
        return directory


split_once = cache(split)


@pytest.fixture
def release(monkeypatch: pytest.MonkeyPatch) -> Release:
    monkeypatch.setattr(demo, "split", split_once)
    return Release()


def test_every_party_accepts_its_keys_and_its_table(release: Release, tmp_path: Path) -> None:
    made = release.fill()
    for place in release.places:
        keys = release.mount(place, [place.keys_secret], tmp_path / place.party / "keys")
        load_keys(keys, release.job.name, place.party)
        if place.table_secrets:
            names = [name for name in place.table_secrets if name in made]
            table = release.mount(place, names, tmp_path / place.party / "table")
            load(table, release.job, place.party)


def test_what_it_makes_goes_with_its_partys_config_map(release: Release) -> None:
    release.fill()
    for place in release.places:
        (owner,) = release.secret(place, place.keys_secret)["metadata"]["ownerReferences"]
        config = release.objects["ConfigMap", place.namespace, place.name]
        assert owner["kind"] == "ConfigMap" and owner["name"] == place.name
        assert owner["uid"] == config["metadata"]["uid"]


def test_the_authoritys_key_is_nowhere(release: Release) -> None:
    release.fill()
    files = {file for secret in release.secrets().values() for file in secret}
    own = {"ca.crt", "tls.crt", "tls.key", "checkpoint.key"}
    assert files == {*own, "manifest.json", "part-000"}


def test_a_second_time_nothing_changes(release: Release) -> None:
    release.fill()
    before = deepcopy(release.objects)
    assert release.fill() == []
    assert release.objects == before


def test_what_is_there_already_is_left_alone(release: Release) -> None:
    release.fill()
    own = {key: one for key, one in release.objects.items() if key[0] == "Secret"}
    for one in own.values():
        del one["metadata"]["labels"][demo.MADE_HERE]
    before = deepcopy(release.objects)
    assert release.fill() == []
    assert release.objects == before


@pytest.mark.parametrize("changes", range(5))
def test_an_attempt_that_broke_off_is_made_good(
    release: Release, changes: int, tmp_path: Path
) -> None:
    release.fail_after = changes
    with pytest.raises(InputError):
        release.fill()
    release.fail_after = None
    release.fill()
    authorities = {
        release.secret(place, place.keys_secret)["data"]["ca.crt"] for place in release.places
    }
    assert len(authorities) == 1
    for place in release.places:
        keys = release.mount(place, [place.keys_secret], tmp_path / place.party)
        load_keys(keys, release.job.name, place.party)


def test_keys_of_some_parties_are_not_completed_with_another_authoritys(release: Release) -> None:
    alice = release.places[0]
    theirs: dict[str, Any] = {
        "kind": "Secret",
        "metadata": {"name": alice.keys_secret, "namespace": alice.namespace},
        "data": {},
    }
    release.objects["Secret", alice.namespace, alice.keys_secret] = theirs
    with pytest.raises(InputError, match="some are not"):
        release.fill()
    assert release.secrets() == {alice.keys_secret: {}}


def test_it_gives_its_rights_back(release: Release) -> None:
    release.fill()
    demo.give_back(release.places)
    assert not [key for key in release.objects if key[0] == "RoleBinding"]
    demo.give_back(release.places)  # as when it is applied again


def test_rights_that_stay_are_said_and_the_work_is_done(
    release: Release, capsys: pytest.CaptureFixture[str]
) -> None:
    release.forbidden.add(("delete", "rolebindings", "police"))
    demo.give_back(release.places)
    assert "the rights in namespace police stay" in capsys.readouterr().out
    assert [key[1] for key in release.objects if key[0] == "RoleBinding"] == ["police"]


def test_its_rights_are_those_that_it_uses(release: Release) -> None:
    """Each read, creation and deletion is one that a Role of the release allows."""
    used: set[tuple[str, str, str, str]] = set()

    def watched(verb: str, call: Any) -> Any:
        def with_note(*arguments: Any) -> Any:
            if verb == "get":
                _, kind, name, namespace = arguments
            else:
                kind, metadata = arguments[0]["kind"], arguments[0]["metadata"]
                name, namespace = metadata["name"], metadata["namespace"]
            used.add((verb, kind.lower() + "s", namespace, name))
            return call(*arguments)

        return with_note

    release.fail_after = 2
    for verb, method in (("get", "read"), ("create", "create"), ("delete", "delete")):
        setattr(release, method, watched(verb, getattr(release, method)))
    with pytest.raises(InputError):
        release.fill()
    release.fail_after = None
    release.fill()
    demo.give_back(release.places)

    roles = [one for key, one in release.objects.items() if key[0] == "Role"]
    assert len(roles) == len(PARTIES)
    for verb, resource, namespace, name in used:
        assert any(
            role["metadata"]["namespace"] == namespace
            and verb in rule["verbs"]
            and resource in rule["resources"]
            and name in rule.get("resourceNames", [name])
            for role in roles
            for rule in role["rules"]
        ), (verb, resource, namespace, name)
    assert {verb for verb, *_ in used} == {"get", "create", "delete"}
    # Creating, which cannot be limited to names, is the one thing that is not.
    for role in roles:
        for rule in role["rules"]:
            assert rule.get("resourceNames") or rule["verbs"] == ["create"]
