"""The deployer's command on a cluster in memory."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from deployer import cli
from deployer.cluster import target
from tests.deployer.memory import MemoryCluster
from tests.deployer.release import Ran, Release

Deployer = Callable[..., Ran]


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> MemoryCluster:
    """The cluster of every context."""
    cluster = MemoryCluster()
    monkeypatch.setattr(target, "Cluster", lambda context: cluster)
    return cluster


@pytest.fixture
def release(memory: MemoryCluster) -> Release:
    """The demo, as ``helm install fraud`` makes it: no pod yet."""
    return Release(memory)


@pytest.fixture
def deployer(
    memory: MemoryCluster, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Deployer:
    """Runs the command with these words, as a user does, and never takes a traceback."""

    def run(*words: object) -> Ran:
        capsys.readouterr()
        monkeypatch.setattr("sys.argv", ["deployer", *map(str, words)])
        monkeypatch.setenv("NO_COLOR", "1")
        with pytest.raises(SystemExit) as leaving:
            cli.main()
        said = capsys.readouterr()
        assert "Traceback" not in said.err and "internal error" not in said.err, said.err
        return Ran(int(leaving.value.code or 0), said.out, said.err)

    return run


@pytest.fixture
def deployer_data(deployer: Deployer, tables_read_here: None) -> Deployer:
    """Runs ``deployer data``, which reads tables as it does in a process of its own."""
    return partial(deployer, "data")
