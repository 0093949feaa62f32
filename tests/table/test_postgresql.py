"""A table behind PostgreSQL is read as the same numbers, by a server that is there for these tests:
Debian's package ``postgresql``. Where it is not installed they are skipped, and fail in CI."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

import pytest

from party.agreement.job import Job
from party.process.errors import InputError
from party.table import Table, UnfitTableError, load
from tests.table.test_forms import job, plain

pytestmark = pytest.mark.slow

__all__ = ["job", "plain"]

PASSWORD = "canary 4711"
ROWS = """
CREATE TABLE people (id int, day date, word text, plain double precision, gap numeric(6, 1),
    flag boolean, seen timestamptz);
INSERT INTO people VALUES
    (3, '2001-01-05', NULL, 1e3, 5, true, now()),
    (1, '2001-01-02', 'one', 1.5, NULL, true, now()),
    (4, '2001-02-01', 'a "word" ', 0.25, 9, true, NULL),
    (2, '2001-01-03', 'two, three', -2, 4, false, now());
"""
QUERY = """\
database: postgresql
connection: {env: TABLE_DATABASE}
query: SELECT day, word, plain, gap, flag, seen FROM people ORDER BY id
"""


@dataclass(frozen=True)
class Server:
    """A server of PostgreSQL that listens on a socket alone and wants a password."""

    programs: Path
    room: Path

    def run(self, program: str, *words: str) -> str:
        """One of its programs, as who owns the server; it does not let root."""
        owner = "postgres" if os.geteuid() == 0 else None
        done = subprocess.run(
            [self.programs / program, *words],
            user=owner,
            group=owner,
            cwd=self.room,
            env=os.environ | {"PGPASSWORD": PASSWORD},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"{program}: {done.stdout[-500:]}{done.stderr[-500:]}"
        return done.stdout

    def sql(self, text: str) -> str:
        """What it answers."""
        options = ("-h", str(self.room), "-U", "bank", "-d", "postgres", "-v", "ON_ERROR_STOP=1")
        return self.run("psql", *options, "-Atc", text)

    @property
    def uri(self) -> str:
        return f"postgresql://bank:{PASSWORD.replace(' ', '%20')}@/postgres?host={self.room}"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        message = "there is no PostgreSQL: apt-get install postgresql"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    room = Path(mkdtemp(prefix="kit-"))  # a socket's path is short
    if os.geteuid() == 0:
        os.chown(room, pwd.getpwnam("postgres").pw_uid, -1)
    made = Server(found[-1].parent, room)
    try:
        (room / "password").write_text(PASSWORD)
        (room / "password").chmod(0o644)
        words = ("-U", "bank", "-A", "scram-sha-256", "--pwfile", str(room / "password"))
        made.run("initdb", "-D", str(room / "data"), "--no-sync", *words)
        listen = f"-c listen_addresses='' -c unix_socket_directories={room} -c fsync=off"
        start = ("-w", "-D", str(room / "data"), "-l", str(room / "log"), "-o", listen, "start")
        made.run("pg_ctl", *start)
        try:
            made.sql(ROWS)
            yield made
        finally:
            made.run("pg_ctl", "-D", str(room / "data"), "-m", "immediate", "stop")
    finally:
        shutil.rmtree(room)


@pytest.fixture
def table(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TABLE_DATABASE", server.uri)
    path = tmp_path / "people.yaml"
    path.write_text(QUERY)
    return path


def test_its_rows_are_the_same_numbers(table: Path, plain: Table, job: Job) -> None:
    """Of dates, texts with quotes, decimals, booleans and nulls; a column more is left out."""
    found = load(table, job, "alice")
    assert (found.matrix == plain.matrix).all()
    assert found.fitted == plain.fitted


def test_nothing_can_be_written_through_a_query(table: Path, job: Job, server: Server) -> None:
    server.sql(
        "CREATE OR REPLACE FUNCTION spoil() RETURNS int LANGUAGE sql AS "
        "'DELETE FROM people RETURNING 1'"
    )
    table.write_text(QUERY.replace("SELECT day", "SELECT spoil(), day"))
    with pytest.raises(InputError, match="cannot run the query"):
        load(table, job, "alice")
    assert server.sql("SELECT count(*) FROM people").strip() == "4"


def test_neither_password_nor_value_is_in_an_error(
    table: Path, job: Job, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for query in ("word::int", "no_such_column"):
        table.write_text(QUERY.replace("SELECT day, word", f"SELECT day, {query}"))
        with pytest.raises(InputError, match="cannot run the query") as caught:
            load(table, job, "alice")
        assert not {"one", "two", "4711", query} & set(str(caught.value).split())
    monkeypatch.setenv("TABLE_DATABASE", server.uri.replace("4711", "4712"))
    with pytest.raises(InputError, match="cannot open the database") as caught:
        load(table, job, "alice")
    assert "4712" not in str(caught.value) and "bank" not in str(caught.value)


def test_wrong_rows_are_told_by_their_number(table: Path, job: Job) -> None:
    table.write_text(QUERY.replace("flag,", "CASE id WHEN 3 THEN 'maybe' ELSE 'no' END AS flag,"))
    with pytest.raises(UnfitTableError, match="row 3, column 5 \\('flag'\\)") as caught:
        load(table, job, "alice")
    assert "maybe" not in str(caught.value)
