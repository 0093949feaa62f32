"""A table on a volume is replaced as a whole or not at all, and nothing is sent twice."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deployer.cluster.target import Target
from deployer.cluster.volume import Copied, copy_table, copying_pod
from deployer.manifests.render import objects
from deployer.manifests.values import load_values
from party.process.errors import InputError, JobError, KitError
from party.table import parts, receiving
from party.table.expected import Expected
from party.table.parts import Packing
from party.table.text import Text
from tests.chart.test_objects import restricted
from tests.deployer.conftest import Deployer
from tests.deployer.memory import MemoryCluster
from tests.deployer.release import Release

EXAMPLE = Path(__file__).parents[3] / "examples/fraud"
ON_VOLUME = {"demo": {"enabled": False}, "alice": {"tableVolume": {"size": "1Gi"}}}
PART = 1000


@pytest.fixture(autouse=True, scope="module")
def small_parts() -> Iterator[None]:
    """Parts as small as these tables are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "PART_BYTES", PART)
        patch.setattr(receiving, "PART_BYTES", PART)
        yield


class Volume:
    """Alice's volume in a cluster in memory, and what it takes to copy to it."""

    def __init__(self, root: Path, cluster: MemoryCluster | None = None) -> None:
        self.root, self.cluster = root, cluster or MemoryCluster()
        self.release = Release(self.cluster, ON_VOLUME)
        self.place = self.release.place("alice")
        self.cluster.volumes[self.place.namespace, "fraud-alice-table"] = root
        values = self.release.values
        self.target = Target("fraud", "default", (self.place,), {}, values.queue, True, values)

    def copy(self, text: bytes, digest: str | None = None) -> Copied:
        packing = Packing([text], "fraud", "alice")
        return copy_table(self.target, self.place, packing, digest or sha256(text))

    def text(self) -> bytes | None:
        """What the party reads there; None where it is no table."""
        expected = Expected.of(self.release.values.job, "alice")
        try:
            return b"".join(block.text for block in Text(self.root / "table", expected))
        except InputError:
            return None

    @property
    def pods(self) -> list[str]:
        return [name for kind, _, name in self.cluster.objects if kind == "Pod"]


def sha256(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()


def table(seed: int, rows: int) -> bytes:
    """A table that hardly packs."""
    chance = random.Random(seed)
    return b"".join(f"{chance.random()},{chance.random()}\n".encode() for _ in range(rows))


@pytest.mark.slow
@settings(max_examples=25)
@given(st.integers(1, 400), st.integers(1, 400), st.integers(0, 9000))
def test_a_copy_that_is_cut_off_leaves_the_table_before_and_goes_on_later(
    before: int, after: int, at: int
) -> None:
    old, new = table(1, before), table(2, after)
    with TemporaryDirectory() as root:
        volume = Volume(Path(root))
        assert volume.copy(old).parts > 0
        volume.cluster.cut_after = at
        sent = 0
        try:
            volume.copy(new)
        except KitError:
            assert volume.text() == old
            sent = max(0, at // (PART + 200) - 3)  # headers, and what was on its way
        volume.cluster.cut_after = None
        copied = volume.copy(new)
        assert copied.parts - copied.sent >= min(sent, copied.parts - copied.sent)
        assert sent == 0 or copied.sent < copied.parts
        assert volume.text() == new
        assert volume.copy(new).parts == 0, "it is there already"
        assert {path.name for path in Path(root).iterdir()} == {"table", ".table.lock"}
        assert volume.pods == []


def test_another_table_than_was_checked_never_takes_the_place(tmp_path: Path) -> None:
    volume = Volume(tmp_path)
    volume.copy(table(1, 9))
    with pytest.raises(InputError, match="changed while it was read"):
        volume.copy(table(2, 9), digest=sha256(b"another"))
    assert volume.text() == table(1, 9) and volume.pods == []


def test_a_part_that_the_volume_lost_is_sent_again(tmp_path: Path) -> None:
    volume = Volume(tmp_path)
    volume.cluster.cut_after = 5 * PART
    with pytest.raises(KitError):
        volume.copy(table(1, 400))
    [coming] = [path for path in tmp_path.iterdir() if path.is_dir()]
    (coming / "part-001").write_bytes(b"0" * PART)
    volume.cluster.cut_after = None
    volume.copy(table(1, 400))
    assert volume.text() == table(1, 400)


def test_what_is_no_table_of_ours_is_never_replaced(tmp_path: Path) -> None:
    volume = Volume(tmp_path)
    (tmp_path / "table").mkdir()
    (tmp_path / "table" / "letters.txt").write_text("dear")
    with pytest.raises(InputError, match=r"no table in parts(.|\n)*tableVolume.path"):
        volume.copy(table(1, 9))
    assert (tmp_path / "table" / "letters.txt").read_text() == "dear" and volume.pods == []


def test_a_volume_that_cannot_be_written_to_is_told(tmp_path: Path) -> None:
    volume = Volume(tmp_path / "nothing" / "\0")
    with pytest.raises(JobError):
        volume.copy(table(1, 9))
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write the table onto the volume"):
        Volume(tmp_path / "file").copy(table(1, 9))


def test_two_copies_at_once_are_refused(tmp_path: Path) -> None:
    volume = Volume(tmp_path)
    pod = copying_pod(volume.target, volume.place)
    volume.cluster.put(pod)
    with pytest.raises(InputError, match=r"another copy(.|\n)*kubectl delete pod fraud-alice-copy"):
        volume.copy(table(1, 9))
    volume.cluster.put(pod | {"status": {"phase": "Succeeded"}})
    assert volume.copy(table(1, 9)).parts and volume.pods == []


def test_the_pod_is_as_restricted_as_a_partys_and_goes_to_its_node(tmp_path: Path) -> None:
    volume = Volume(tmp_path)
    party = volume.release.pod("alice")
    volume.cluster.put(party | {"spec": {"nodeName": "node-7"}})
    pod = copying_pod(volume.target, volume.place)
    restricted(pod["spec"])
    assert "node-7" in str(pod["spec"]["affinity"])
    [service] = [
        one
        for one in objects(volume.release.values)["alice"]
        if one["kind"] == "Service" and one["metadata"]["name"] == "fraud-alice"
    ]
    assert not service["spec"]["selector"].items() <= pod["metadata"]["labels"].items()


def test_on_openshift_the_cluster_gives_out_its_user(tmp_path: Path) -> None:
    volume = Volume(tmp_path)
    values = load_values((), ON_VOLUME | {"security": {"user": 0}})
    target = Target("fraud", "default", (volume.place,), {}, values.queue, True, values)
    context = copying_pod(target, volume.place)["spec"]["securityContext"]
    assert context.keys() == {"runAsNonRoot", "seccompProfile"}


@pytest.mark.slow
def test_the_ways_to_bring_a_table_name_each_other(
    memory: MemoryCluster, deployer: Deployer, tmp_path: Path
) -> None:
    volume, values = Volume(tmp_path, memory), tmp_path.with_suffix(".yaml")
    values.write_text("demo: {enabled: false}\nalice: {tableVolume: {size: 1Gi}}\n")
    said = deployer("data", "put", "alice", EXAMPLE / "alice.csv", "-f", values)
    assert said.code == 2 and "deployer data copy alice" in said.err
    said = deployer("data", "copy", "bob", EXAMPLE / "bob.csv", "-f", values)
    assert said.code == 2 and "bob.tableVolume" in said.err and "data put" in said.err

    said = deployer("data", "copy", "alice", EXAMPLE / "bob.csv", "-f", values)
    assert said.code == 2 and "16" in said.err and not list(tmp_path.iterdir())
    said = deployer("data", "copy", "alice", EXAMPLE / "alice.csv", "-f", values)
    assert said.code == 0 and "claim fraud-alice-table" in said.out and "copied" in said.out
    assert volume.text() == (EXAMPLE / "alice.csv").read_bytes()
    said = deployer("data", "copy", "alice", EXAMPLE / "alice.csv", "-f", values)
    assert said.code == 0 and "unchanged" in said.out


def test_without_its_claim_there_is_nothing_to_copy_to(
    memory: MemoryCluster, deployer: Deployer, tmp_path: Path
) -> None:
    values = tmp_path / "values.yaml"
    for volume, do in (("size: 1Gi", "deployer apply"), ("existingClaim: c", "existingClaim")):
        values.write_text(f"demo: {{enabled: false}}\nalice: {{tableVolume: {{{volume}}}}}\n")
        said = deployer("data", "copy", "alice", EXAMPLE / "alice.csv", "-f", values)
        assert said.code == 2 and "no such claim" in said.err and do in said.err
        found = deployer("doctor", "-f", values, "--no-probes", "--party", "alice")
        assert found.code == 1 and "deployer data copy alice" in found.out
