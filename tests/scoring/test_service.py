"""Single rows are scored for the model's holder, and for nobody else."""

from __future__ import annotations

import http.client
import json
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deployer.certs import authority as certs
from party.agreement.hosts import Address
from party.agreement.job import PARTIES
from party.channel import listen
from party.identity import load_keys
from party.scoring import Scorer
from party.scoring.service import Service, WrongRequestError, rows_in
from tests.scoring.models import rows, written


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    made = certs.make_authority("fraud")
    for party in PARTIES:
        (tmp_path / party).mkdir(mode=0o700)
        certs.write_files(tmp_path / party, certs.make_party(made, party))
    return tmp_path


@pytest.fixture
def service(keys: Path) -> Iterator[Service]:
    scorer = Scorer.read(written(keys))
    own = load_keys(keys / "alice", "fraud", "alice")
    one = Service(listen(Address("127.0.0.1", 0)), scorer, own)
    thread = threading.Thread(target=one.serve_forever, args=(0.01,))
    thread.start()
    yield one
    one.shutdown()
    thread.join()
    one.server_close()


def caller(service: Service, keys: Path | None) -> http.client.HTTPSConnection:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False  # an identity is a URI, and none of these are names
    context.verify_mode = ssl.CERT_NONE
    if keys is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(keys / "ca.crt")
        context.load_cert_chain(keys / "tls.crt", keys / "tls.key")
    return http.client.HTTPSConnection("127.0.0.1", service.port, timeout=60, context=context)


def asked(
    connection: http.client.HTTPSConnection, path: str, body: bytes | None = None
) -> tuple[int, Any]:
    connection.request("GET" if body is None else "POST", path, body)
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())


def test_the_holder_is_told_the_scores_of_its_rows(service: Service, keys: Path) -> None:
    x = rows(20)
    body = {"rows": [dict(zip(service.scorer.schemas, row, strict=True)) for row in x.tolist()]}
    connection = caller(service, keys / "alice")
    code, told = asked(connection, "/score", json.dumps(body).encode())
    assert code == 200
    np.testing.assert_allclose(told["scores"], service.scorer.predict(x), rtol=1e-12)
    # The same connection serves again.
    code, told = asked(connection, "/model")
    assert (code, told["columns"]) == (200, ["c0", "c1", "c2"])


@pytest.mark.parametrize("who", ["bob", "server", None])
def test_nobody_else_is_answered(service: Service, keys: Path, who: str | None) -> None:
    connection = caller(service, None if who is None else keys / who)
    with pytest.raises((OSError, http.client.HTTPException)):
        asked(connection, "/model")


def test_an_identity_of_another_authority_is_not_answered(
    service: Service, keys: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir(mode=0o700)
    certs.write_files(other, certs.make_party(certs.make_authority("fraud"), "alice"))
    (other / "ca.crt").write_bytes((keys / "alice/ca.crt").read_bytes())
    with pytest.raises((OSError, http.client.HTTPException)):
        asked(caller(service, other), "/model")


def test_a_wrong_request_is_answered_with_its_reason_and_the_next_one_served(
    service: Service, keys: Path
) -> None:
    connection = caller(service, keys / "alice")
    code, told = asked(connection, "/score", b'{"rows": [{"c0": 1, "c1": 2}]}')
    assert (code, told) == (400, {"error": "row 1 has no 'c2'"})
    assert asked(connection, "/nothing")[0] == 404
    assert asked(connection, "/score", b'{"rows": [{"c0": 1, "c1": 2, "c2": 3}]}')[0] == 200


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b"[]", "the body is not"),
        (b'{"rows": []}', "the body is not"),
        (b'{"rows": [3]}', "row 1 is not an object"),
        (b'{"rows": [{"a": 1}, {"a": "4711"}]}', "row 2, 'a': it is no finite number"),
        (b'{"rows": [{"a": true}]}', "row 1, 'a': it is no finite number"),
        (b'{"rows": [{"a": NaN}]}', "row 1, 'a': it is no finite number"),
        (b'{"rows": [{"a": 1' + b"0" * 400 + b"}]}", "row 1, 'a': it is no finite number"),
        (b'{"rows": [' + b'{"a": 1},' * 10_000 + b'{"a": 1}]}', "at most 10000"),
    ],
    ids=range(10),
)
def test_a_request_that_is_wrong_is_told_why_and_never_its_values(body: bytes, says: str) -> None:
    with pytest.raises(WrongRequestError) as error:
        rows_in(body, {"a": None})
    assert says in str(error.value)
    assert "4711" not in str(error.value)
