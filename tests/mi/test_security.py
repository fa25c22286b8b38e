"""Who may read: tokens, scopes, expiry, rotation, limits, guessing, TLS; and what an answer never says."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from edge.cli import tokens as cli_tokens
from edge.mi import guard, security
from edge.mi.cursors import Cursor
from edge.mi.limits import KEPT, Guesses, Rates
from edge.mi.schema import tokens as tokens_table
from edge.mi.store import FILE
from edge.mi.tokens import SCOPES
from tests.mi.conftest import CALLS
from tests.mi.serving import Served, ledger_of, serving, until


@pytest.fixture
async def served(url: str) -> AsyncIterator[Served]:
    async with serving(url) as made:
        yield made


def addresses(served: Served) -> list[tuple[str, str]]:
    """Every method and address under /v1 that the description names."""
    found = served.server.config.app.openapi()["paths"]  # type: ignore[union-attr]
    return [
        (method.upper(), path)
        for path, methods in found.items()
        if path.startswith("/v1")
        for method in methods
    ]


async def test_no_address_answers_without_a_token(served: Served) -> None:
    assert len(addresses(served)) >= 5
    for method, path in addresses(served):
        for token in (None, "", "edge101_0badc0de_" + "A" * 43, "x" * 5000):
            answer = await served.ask(method, path, token)
            assert answer.status == 401, (method, path)
            assert answer.headers["WWW-Authenticate"].startswith("Bearer")
            assert answer.headers["Content-Type"] == "application/problem+json"
            served.services.guesses = Guesses(lambda: 0)  # no time is spent here on being held back


async def test_no_address_answers_without_its_scope(served: Served) -> None:
    nothing = served.token("metrics")
    for method, path in addresses(served):
        if path not in ("/v1/gaps",) and "metrics" not in path:
            answer = await served.ask(
                method, path, nothing, json={"cursor": "x"} if method == "POST" else None
            )
            assert answer.status == 403, (method, path)
            assert "edge tokens add" in answer.json["mend"]


async def test_a_token_ends_when_it_is_revoked_or_expires(served: Served) -> None:
    token = served.token("facts")
    assert (await served.get("/v1/facts", token)).status == 200
    tokens = served.services.tokens
    tokens.end(tokens.named("central"), served.services.now_utc_us())
    assert (await served.get("/v1/facts", token)).status == 401
    short = served.token("facts", days=0.2 / 86400)
    await until(lambda: not served.services.tokens.named("central"))
    assert (await served.get("/v1/facts", short)).status == 401


async def test_revoked_by_another_process_is_noticed_within_a_second(served: Served, url: str) -> None:
    token = served.token("facts")
    assert (await served.get("/v1/facts", token)).status == 200
    done = await asyncio.to_thread(edge, url, "tokens", "revoke", "central")
    assert "revoked: " in done
    began = asyncio.get_running_loop().time()
    while (await served.get("/v1/facts", token)).status == 200:
        assert asyncio.get_running_loop().time() - began < 5
        await asyncio.sleep(0.05)


def edge(url: str, *arguments: str) -> str:
    """The command line, as an operator uses it beside the running service."""
    command = [sys.executable, "-m", "edge", "--config", "/nowhere", "--ledger", url, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


async def test_rotation_without_a_pause(served: Served, url: str) -> None:
    old = json.loads(
        await asyncio.to_thread(edge, url, "tokens", "add", "yard", "--scope", "facts", "--json")
    )["token"]
    new = (await asyncio.to_thread(edge, url, "tokens", "rotate", "yard", "--overlap-days", "1")).strip()
    assert (await served.get("/v1/facts", old)).status == 200
    assert (await served.get("/v1/facts", new)).status == 200
    page = (await served.get("/v1/facts?limit=3", old)).json
    goes_on = await served.get(f"/v1/facts?cursor={page['cursor']}", new)
    assert goes_on.json["facts"][0]["sequence"] == 4
    states = {
        found["id"]: found["state"]
        for found in json.loads(await asyncio.to_thread(edge, url, "tokens", "list", "--json"))["tokens"]
    }
    assert sorted(states.values()) == ["ending", "valid"]


def test_no_secret_is_kept(url: str, tmp_path: Path) -> None:
    token = edge(url, "tokens", "add", "yard", "--scope", "facts").strip()
    secret = token.split("_", 2)[2]
    assert len(secret) == 43
    for file in (tmp_path / "mi").iterdir():
        assert secret.encode() not in file.read_bytes()
    assert (tmp_path / "mi" / FILE).stat().st_mode & 0o007 == 0
    assert edge(url, "tokens", "list").count(secret) == 0


def test_words_of_the_command_line_are_those_of_the_service() -> None:
    assert cli_tokens.SCOPES == SCOPES
    assert tokens_table.c.keys() == ["token_id", "reader", "secret_hash", "scopes", "created_utc_us", "created_by",
                                     "expires_utc_us", "revoked_utc_us"]  # fmt: skip


async def test_limits_by_token_and_by_address(url: str) -> None:
    async with serving(url, requests_per_minute=60) as served:
        token, other = served.token("facts"), served.token("facts", reader="other")
        answers = [await served.get("/v1/facts?limit=1", token) for _ in range(20)]
        refused = [answer for answer in answers if answer.status == 429]
        assert 5 <= len(refused) <= 10
        assert int(refused[0].headers["Retry-After"]) >= 1
        assert (await served.get("/v1/facts?limit=1", other)).status == 200
    async with serving(url, requests_per_minute_of_address=60) as served:
        assert 429 in [(await served.get("/healthz")).status for _ in range(20)]


def test_a_bucket_fills_again_and_memory_is_bounded() -> None:
    now = [0]
    rates = Rates(lambda: now[0])
    taken = [rates.wait_seconds("token a", 60) for _ in range(11)]
    assert taken[:10] == [0.0] * 10
    assert 0 < taken[10] <= 1
    now[0] += int(1.1e9)
    assert rates.wait_seconds("token a", 60) == 0.0
    for name in range(2 * KEPT):
        rates.wait_seconds(f"address {name}", 60)
    assert len(rates._buckets) <= KEPT


def test_guessing_gets_slower_and_is_forgiven() -> None:
    now = [0]
    guesses = Guesses(lambda: now[0])
    delays = [guesses.delay_seconds(guesses.count("10.0.0.1")) for _ in range(12)]
    assert delays[:3] == [0, 0, 0]
    assert delays[3:] == sorted(delays[3:])
    assert delays[-1] == 5.0
    now[0] += int(61e9)
    assert guesses.count("10.0.0.1") == 1


async def test_a_right_token_is_never_refused_for_the_guesses_of_others(served: Served) -> None:
    token = served.token("facts")
    guessing = [
        asyncio.create_task(served.get("/v1/facts", f"edge101_{n:08x}_{'A' * 43}")) for n in range(30)
    ]
    await until(lambda: served.services.guesses.delayed >= 5)
    assert (await served.get("/v1/facts", token)).status == 200
    for task in guessing:
        task.cancel()
    await asyncio.gather(*guessing, return_exceptions=True)


async def test_guesses_beyond_the_bound_are_refused_at_once(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is held back for them, and a right token is served."""
    monkeypatch.setattr(security, "DELAYED_AT_ONCE", 0)
    guesses = [await served.get("/v1/facts", f"edge101_{n:08x}_{'A' * 43}") for n in range(5)]
    assert [answer.status for answer in guesses] == [401, 401, 401, 429, 429]
    assert int(guesses[-1].headers["Retry-After"]) >= 1
    assert (await served.get("/v1/facts", served.token("facts"))).status == 200


async def test_wrong_tokens_are_logged_without_the_token(
    served: Served, capfd: pytest.CaptureFixture[str]
) -> None:
    await served.get("/v1/facts", "edge101_0badc0de_" + "S" * 43)
    said = "".join(capfd.readouterr())
    assert "wrong token" in said
    assert "127.0.0.1" in said
    assert "SSSS" not in said


FORGED = [
    "", "x", "A" * 512, "A" * 513, "é", "%00", "../../etc/passwd", "' OR 1=1 --", "=cmd", "AAAA====", "a b",
]  # fmt: skip


async def test_forged_cut_and_foreign_cursors(served: Served) -> None:
    token = served.token()
    good = (await served.get("/v1/facts?limit=3", token)).json["cursor"]
    from_disclosures = (await served.get("/v1/disclosures", token)).json["cursor"]
    flipped = [
        good[:at] + ("A" if good[at] != "A" else "B") + good[at + 1 :] for at in range(0, len(good) - 1, 5)
    ]
    cut = [good[:length] for length in range(1, len(good) - 1, 7)]
    for cursor in [*FORGED, *flipped, *cut, from_disclosures]:
        answer = await served.get("/v1/facts", token, params={"cursor": cursor})
        assert answer.status == 400, cursor
        assert answer.json["type"] == "urn:edge101:problem:cursor"
        assert "last cursor" in answer.json["mend"]
    filtered = await served.get(f"/v1/facts?kind=CallArrived&cursor={good}", token)
    assert filtered.json["type"] == "urn:edge101:problem:filters"
    other = served.services.cursors.text(Cursor(stream="facts", ledger_id="f" * 32, position=3))
    assert (await served.get(f"/v1/facts?cursor={other}", token)).status == 409


BAD = [
        "limit=0", "limit=5001", "limit=-1", "limit=1e9", "limit=99999999999999999999", "limit=x", "kind=Nothing",
        "kind=" + "A" * 1000, "since=yesterday", "since=2026-09-21T14:13:20", "until=0001-01-01T00:00:00%2B23:59",
        "after_id=x", "after_id=a-99999999999999999999", "after_id=-1", "wait_seconds=26", "wait_seconds=nan",
        "format=xml", "&".join(f"line=l{n}" for n in range(101)),
]  # fmt: skip


async def test_bad_values_are_explained(served: Served) -> None:
    token = served.token("facts")
    for query in BAD:
        answer = await served.get(f"/v1/facts?{query}", token)
        assert answer.status == 422, query
        assert answer.json["mend"]


async def test_huge_ranges_are_bounded(served: Served) -> None:
    token = served.token("facts")
    wide = "since=0001-01-01T00:00:00Z&until=9999-12-31T23:59:59Z"
    answer = await served.get(f"/v1/facts?{wide}&limit=5000", token)
    assert answer.status == 200
    assert len(answer.json["facts"]) == CALLS * 16


async def test_large_bodies_and_heads(served: Served) -> None:
    token = served.token()
    big = await served.ask("POST", "/v1/acknowledgements", token, data=b"x" * (guard.LARGEST_BODY_BYTES + 1))
    assert big.status == 413

    async def without_a_length() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"x" * 1024

    try:
        streamed = await served.ask("POST", "/v1/acknowledgements", token, data=without_a_length())
        assert streamed.status == 413
    except aiohttp.ClientError:
        pass  # it was cut off while it sent
    assert (await served.get("/v1/facts", "x" * 60_000)).status in (400, 401)


async def test_a_fault_tells_nothing(served: Served, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError(f"secret of {tmp_path}")

    monkeypatch.setattr("edge.mi.facts_page.read_page", broken)
    answer = await served.get("/v1/facts", served.token())
    assert (answer.status, answer.json["type"]) == (500, "urn:edge101:problem:fault")
    assert {name: answer.headers[name] for name in guard.ALWAYS} == guard.ALWAYS
    assert b"secret" not in answer.body
    assert str(tmp_path).encode() not in answer.body
    assert b"Traceback" not in answer.body


async def test_a_ledger_that_is_gone_is_no_path_in_an_answer(served: Served, tmp_path: Path) -> None:
    token, ledger_file = served.token(), tmp_path / "ledger.sqlite"
    for left in ("", "-wal", "-shm"):
        if Path(f"{ledger_file}{left}").exists():  # noqa: ASYNC240 - a test's own files
            Path(f"{ledger_file}{left}").rename(tmp_path / f"gone{left}")  # noqa: ASYNC240
    answer = await served.get("/v1/facts", token)
    assert answer.status == 503
    assert str(tmp_path).encode() not in answer.body
    ready = await served.get("/readyz")
    assert (ready.status, ready.json["checks"]) == (503, {"ledger": False, "store": True})
    assert (await served.get("/healthz")).status == 200


async def test_a_slow_reader_is_let_go_and_others_are_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.mi.paging.PATIENCE_SECONDS", 0.3)
    monkeypatch.setattr("edge.mi.paging.SLOWEST_BYTES_PER_SECOND", 1e9)
    url = ledger_of(tmp_path, 350)
    async with serving(url) as served:
        token = served.token("facts")
        slow = socket.create_connection(served.address)
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.sendall(
            f"GET /v1/facts?limit=5000 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
        )
        await until(lambda: served.services.slots.under_way)
        assert (await served.get("/v1/facts?limit=10", token)).status == 200
        await until(lambda: not served.services.slots.under_way)
        await until(lambda: len(served.server.server_state.connections) <= 1)
        slow.close()


async def test_one_token_holds_no_more_than_its_share_of_pages(tmp_path: Path) -> None:
    url = ledger_of(tmp_path, 350)
    async with serving(url) as served:
        token, other = served.token("facts"), served.token("facts", reader="other")
        request = (
            f"GET /v1/facts?limit=5000 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
        )
        greedy = []
        for _ in range(4):
            greedy.append(socket.create_connection(served.address))
            greedy[-1].setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            greedy[-1].sendall(request)
        await until(lambda: served.services.slots.under_way == 4)
        assert (await served.get("/v1/facts?limit=1", token)).status == 429
        assert (await served.get("/v1/facts?limit=1", other)).status == 200
        for each in greedy:
            each.close()
        await until(lambda: not served.services.slots.under_way)


async def test_connections_are_limited_and_silent_ones_ended(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edge.mi.server.Connection.head_seconds", 0.5)
    async with serving(url, connections=20, connections_of_address=15) as served:
        silent = [socket.create_connection(served.address) for _ in range(40)]
        connections = served.server.server_state.connections
        await until(lambda: 10 <= len(connections) <= 15)  # one too many is there until it is gone
        for each in silent[:5]:
            each.sendall(b"GET /healthz HTT")
        while connections:
            assert len(connections) <= 15
            await asyncio.sleep(0.01)
        assert (await served.get("/healthz")).status == 200
        for each in silent:
            each.close()


def certificate(directory: Path, name: str) -> None:
    """A self-signed one."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", f"{directory}/{name}.key", "-out",
         f"{directory}/{name}.crt"],
        check=True, capture_output=True,
    )  # fmt: skip


def trusting(directory: Path, name: str, own: str | None = None) -> ssl.SSLContext:
    """A client's TLS that trusts this certificate, and shows its own."""
    made = ssl.create_default_context(cafile=str(directory / f"{name}.crt"))
    if own is not None:
        made.load_cert_chain(directory / f"{own}.crt", directory / f"{own}.key")
    return made


async def test_tls_client_certificates_and_renewal(url: str, tmp_path: Path) -> None:
    for name in ("mi", "reader", "stranger", "renewed"):
        certificate(tmp_path, name)
    files = {"certificate_file": tmp_path / "mi.crt", "key_file": tmp_path / "mi.key"}
    async with serving(url, **files, client_ca_file=tmp_path / "reader.crt") as served:
        token = served.token()
        assert served.server.url.startswith("https://")
        good = await served.get("/v1/facts?limit=1", token, ssl=trusting(tmp_path, "mi", "reader"))
        assert good.status == 200
        for own in (None, "stranger"):
            with pytest.raises((aiohttp.ClientError, ssl.SSLError)):
                await served.get("/healthz", ssl=trusting(tmp_path, "mi", own))
        assert not served.server.renew_certificates()
        for kind in ("crt", "key"):
            (tmp_path / f"renewed.{kind}").replace(tmp_path / f"mi.{kind}")
        assert served.server.renew_certificates()
        renewed = await served.get("/v1/facts?limit=1", token, ssl=trusting(tmp_path, "mi", "reader"))
        assert renewed.status == 200
        (tmp_path / "mi.crt").write_text("no certificate")
        assert not served.server.renew_certificates(), "the one in use stays"


async def test_a_purpose_is_kept_clean(served: Served) -> None:
    token = served.token()
    headers = {security.PURPOSE: "monthly figures " + "x" * 500}
    await served.get("/v1/facts?limit=2&kind=CallEnded", token, headers=headers)
    (pull,) = (await served.get("/v1/disclosures", token)).json["disclosures"]
    assert pull["purpose"].startswith("monthly figures xxx")
    assert len(pull["purpose"]) == security.LONGEST_PURPOSE
    assert (pull["reader"], pull["resource"], pull["count"], pull["numbers"]) == ("central", "facts", 2, True)
    assert (pull["first_position"], pull["last_position"], pull["selection"]) == (14, 30, "kind=CallEnded")
