"""However ``deployer run`` ends: no process and no key is left, and no other run is touched."""

from __future__ import annotations

import fcntl
import json
import os
import signal
from pathlib import Path

import pytest

from deployer.local.room import private_room
from party.agreement.job import PARTIES
from tests.deployer.local.commands import Commands, Run, child_of, gone, until
from tests.harness.processes import ENDLESS, JOB

pytestmark = pytest.mark.slow


def keys_in(room: Path) -> list[Path]:
    return list(room.rglob("*.key"))


def failed(run: Run) -> bool:
    return all(run.status(party).get("phase") == "failed" for party in PARTIES)


@pytest.mark.drawn
@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGQUIT, signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_everybody_in_order(
    tmp_path: Path, cache: Path, number: signal.Signals
) -> None:
    with Commands(tmp_path, cache, **ENDLESS) as commands:
        run = commands.run()
        pids = run.is_running()
        assert keys_in(commands.room)
        run.process.send_signal(number)
        code, _, words = run.ends()
        assert (code, words) == (1, "error: stopped\n")
        assert all(gone(pid) for pid in pids.values())
        assert failed(run), [run.status(party) for party in PARTIES]
        assert not list(commands.room.iterdir())


def test_nobody_outlives_a_deployer_that_is_killed(tmp_path: Path, cache: Path) -> None:
    with Commands(tmp_path, cache, **ENDLESS) as commands:
        run = commands.run()
        pids = run.is_running()
        run.process.kill()
        run.ends()
        until(lambda: all(gone(pid) for pid in pids.values()))
        assert failed(run)

        # It cannot remove its keys; whoever comes next does, and leaves those of who is at work.
        assert keys_in(commands.room)
        (stale,) = commands.room.iterdir()
        living = commands.run("living")
        living.is_running()
        assert not stale.exists()
        (own,) = commands.room.iterdir()
        mine = keys_in(commands.room)
        commands.write_job("job.yaml", training=JOB["training"])
        code, _, words = commands.run("other").ends()
        assert (code, words) == (0, "")
        assert list(commands.room.iterdir()) == [own] and keys_in(commands.room) == mine
        assert living.process.poll() is None


def test_the_builder_ends_with_who_asked_it(tmp_path: Path, cache: Path) -> None:
    with Commands(tmp_path, cache) as commands:
        run = commands.run(cache=tmp_path / "fresh")
        builder = until(lambda: child_of(run.process.pid, "party.compiler.driver"))
        run.process.kill()
        run.ends()
        until(lambda: gone(builder))
        assert not list((tmp_path / "fresh").glob("*.schedule")), "it was ended, and did not end"


def test_a_room_that_is_held_is_never_swept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with private_room() as mine:
        (mine / "key").touch()
        with private_room() as other:
            assert other != mine and (mine / "key").exists()
        assert (mine / "key").exists()
    assert not list(tmp_path.iterdir())


def test_a_room_that_another_sweeps_while_it_is_made_is_left_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    made: list[Path] = []
    from tempfile import mkdtemp

    def taken(prefix: str) -> str:
        path = mkdtemp(prefix=prefix)
        if not made:  # another run's sweep has the first, before its maker could hold it
            fcntl.flock(os.open(path, os.O_RDONLY), fcntl.LOCK_EX)
        elif len(made) == 1:  # and has removed the second
            Path(path).rmdir()
        made.append(Path(path))
        return path

    monkeypatch.setattr("tempfile.mkdtemp", taken)
    with private_room() as room:
        assert made[2:] == [room] and room.exists()


def test_what_somebody_else_put_there_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rooms, other = tmp_path / "rooms", tmp_path / "other"
    rooms.mkdir()
    other.mkdir()
    (other / "file").touch()
    (rooms / "tfe-kit-run-link").symlink_to(other)
    (rooms / "tfe-kit-run-file").touch()
    monkeypatch.setattr("tempfile.tempdir", str(rooms))
    with private_room():
        pass
    assert (other / "file").exists() and len(list(rooms.iterdir())) == 2


def test_a_second_run_into_an_output_touches_nothing_of_the_first(
    tmp_path: Path, cache: Path
) -> None:
    with Commands(tmp_path, cache, **ENDLESS) as commands:
        first = commands.run()
        first.is_running()
        logs = [first.output / party / "log.jsonl" for party in PARTIES]
        before = [log.read_bytes() for log in logs]
        assert all(before)
        code, _, words = commands.run().ends()
        assert code == 2
        assert words == (
            "error: another run is running with this output directory\n"
            f"  where: {first.output}\n  do: give each run an --output of its own\n"
        )
        assert all(log.read_bytes().startswith(old) for log, old in zip(logs, before, strict=True))
        assert first.process.poll() is None


def test_a_party_that_was_started_by_hand_keeps_its_log(tmp_path: Path, cache: Path) -> None:
    with Commands(tmp_path, cache) as commands:
        alice = commands.start("alice")
        alice.reaches("joining")
        (alice.output / "log.jsonl").write_text("its own")
        code, _, words = commands.run().ends()
        assert code == 2 and "another party is running with this output directory" in words
        assert (alice.output / "log.jsonl").read_text() == "its own"
        assert alice.process.poll() is None


def test_no_result_of_an_older_run_lies_beside_a_failed_one(tmp_path: Path, cache: Path) -> None:
    with Commands(tmp_path, cache) as commands:
        run = commands.run()
        assert run.ends()[0] == 0
        results = [run.output / "alice/model.json", run.output / "report.json"]
        results += [run.output / party / "report.json" for party in PARTIES]
        assert all(result.exists() for result in results)

        # Wrong input that is seen before anything runs leaves all as it is.
        path = commands.directory / "bob.csv"
        aside = path.rename(path.with_suffix(".aside"))
        assert commands.run().ends()[0] == 2
        assert all(result.exists() for result in results)

        path.write_text(aside.read_text().replace("\n1\n", "\n7\n", 1))
        assert commands.run().ends()[0] == 2
        assert not any(result.exists() for result in results)
        assert json.loads((run.output / "bob/status.json").read_text())["phase"] == "failed"
