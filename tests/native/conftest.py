"""Parties joined by real TLS over socket pairs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from deployer.certs import authority as certs
from party.native import Context
from tests.harness.executors import Parties
from tests.harness.keys import contexts


@pytest.fixture(scope="session")
def authority() -> certs.Authority:
    return certs.make_authority("exchange")


@pytest.fixture(scope="session")
def tls(tmp_path_factory: pytest.TempPathFactory) -> list[Context]:
    """A context for each party."""
    return contexts(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def parties(tls: list[Context]) -> Iterator[Parties]:
    """Three parties, each connected to both others."""
    made = Parties(tls)
    yield made
    made.close()


@pytest.fixture
def keys(tmp_path: Path, authority: certs.Authority) -> Path:
    """A key directory of Alice's."""
    certs.write_files(tmp_path, certs.make_party(authority, "alice"))
    return tmp_path
