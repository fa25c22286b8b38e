"""net.tls against real TLS servers with certificates of every kind: good, ending, ended, misnamed, unknown, and old TLS."""

from __future__ import annotations

import contextlib
import dataclasses
import socket
import ssl
import subprocess
import threading
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hwtest import tls
from hwtest.lab.contract import Address, Login, Mi
from hwtest.probes import net_tls
from hwtest.probes.contract import Layer, NotMeasuredError, Verdict
from hwtest.probes.sheet import Sheet
from hwtest.site import Site
from hwtest.tls import Endpoint, look
from tests.probes.made import LIVE

AUTHORITY = """
[ca]
default_ca = own
[own]
database = {folder}/index
serial = {folder}/serial
new_certs_dir = {folder}
default_md = sha256
policy = any
x509_extensions = names
[any]
commonName = supplied
[names]
subjectAltName = {name}
"""


def certificate(folder: Path, days: int, name: str = "IP:127.0.0.1") -> Path:
    """One that signed itself: key and certificate in a file. `days`: negative, it has ended so long ago."""
    own = folder / f"{days}-{name.replace(':', '-')}"
    own.mkdir()
    (own / "index").touch()
    (own / "serial").write_text("01")
    (own / "config").write_text(AUTHORITY.format(folder=own, name=name))
    key, request, made = own / "key", own / "request", own / "made"
    curve = ("ec", "-pkeyopt", "ec_paramgen_curve:prime256v1")
    openssl("req", "-new", "-newkey", *curve, "-nodes", "-subj", "/CN=edge", "-keyout", key, "-out", request)
    now = datetime.now(UTC)
    until = (now + timedelta(days=days)).strftime("%Y%m%d%H%M%SZ")
    since = (now - timedelta(days=400)).strftime("%Y%m%d%H%M%SZ")
    dates = ("-startdate", since, "-enddate", until)
    signing = ("-selfsign", "-keyfile", key, "-in", request, "-out", made, "-batch", "-notext")
    openssl("ca", "-config", own / "config", *signing, *dates)
    made.write_text(key.read_text() + made.read_text())
    return made


def openssl(*arguments: str | Path) -> None:
    """Run it."""
    ended = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr


@contextlib.contextmanager
def server(file: Path, *, old: bool = False, links: int = 1000) -> Iterator[Endpoint]:
    """A TLS server that says nothing else, and hangs up on everybody after so many links."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    if old:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            context.set_ciphers("ALL:@SECLEVEL=0")
            context.minimum_version = ssl.TLSVersion.TLSv1
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(0.1)
        host, port = listening.getsockname()

        def serve() -> None:
            taken = 0
            while not over.is_set():
                with contextlib.suppress(OSError):
                    link, _ = listening.accept()
                    taken += 1
                    if taken > links:
                        link.close()
                        continue
                    link.settimeout(2)
                    with link, context.wrap_socket(link, server_side=True) as spoken:
                        spoken.recv(1)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield Endpoint(name="MI", host=host, port=port, server_name=host)
        finally:
            over.set()
            thread.join()


def judged(endpoint: Endpoint, authority: Path | None) -> Sheet:
    """What stands on the sheet."""
    sheet = Sheet(net_tls.PROBE)
    net_tls.judge(sheet, [(endpoint, look(endpoint, str(authority) if authority else None))])
    return sheet


def test_a_good_endpoint_passes(tmp_path: Path) -> None:
    """Believed, for this name, and for long enough."""
    file = certificate(tmp_path, 90)
    with server(file) as endpoint:
        sheet = judged(endpoint, file)
    assert (sheet.verdict, sheet.findings) == (Verdict.PASS, [])
    assert 89 < (sheet.figures[0].value or 0) <= 90


@pytest.mark.parametrize(
    ("days", "name", "known", "codes", "verdict"),
    [
        (20, "IP:127.0.0.1", True, ["ending"], Verdict.WARN),
        (3, "IP:127.0.0.1", True, ["ending"], Verdict.FAIL),
        (-1, "IP:127.0.0.1", True, ["ending"], Verdict.FAIL),
        (90, "DNS:other.example", True, ["misnamed"], Verdict.FAIL),
        (90, "IP:127.0.0.1", False, ["distrust"], Verdict.FAIL),
        (-1, "IP:127.0.0.1", False, ["ending", "distrust"], Verdict.FAIL),
        (-1, "DNS:other.example", True, ["ending", "misnamed"], Verdict.FAIL),
    ],
)
def test_a_bad_certificate(
    tmp_path: Path, days: int, name: str, known: bool, codes: list[str], verdict: Verdict
) -> None:
    """Each for what it is, and for nothing else."""
    file = certificate(tmp_path, days, name)
    with server(file) as endpoint:
        sheet = judged(endpoint, file if known else None)
    assert [(f.code, f.layer) for f in sheet.findings] == [(f"net.tls.{code}", Layer.HOST) for code in codes]
    assert sheet.verdict is verdict
    assert days - 1 < (sheet.figures[0].value or 0) <= days  # also of one that has ended


@pytest.mark.parametrize("links", [1, 2, 3])
def test_a_link_that_fails_says_nothing_of_the_certificate(tmp_path: Path, links: int) -> None:
    """A service that goes away between two handshakes is not measured; it is not said to be for another name, or unknown."""
    file = certificate(tmp_path, 90)
    with server(file, links=links) as endpoint:
        sheet = judged(endpoint, file)
    assert [(f.code, f.verdict) for f in sheet.findings] == [("net.tls.silent", Verdict.NOT_MEASURED)]


def test_who_is_known_by_an_address_alone(tmp_path: Path) -> None:
    """The certificate of SIP is for a domain (RFC 5922): it need not list the address. Its names are told."""
    file = certificate(tmp_path, 90, "DNS:sip.example")
    with server(file) as endpoint:
        sheet = judged(dataclasses.replace(endpoint, server_name=None), file)
    assert (sheet.verdict, sheet.findings) == (Verdict.PASS, [])
    assert "is for sip.example" in sheet.notes[0]


async def test_an_authority_that_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason is our own setting, and not the service."""
    monkeypatch.setenv(net_tls.AUTHORITY, str(tmp_path / "nowhere.pem"))
    target = dataclasses.replace(LIVE, mi=Mi(url="https://127.0.0.1:1"))
    async with Site(target, tmp_path) as site:
        with pytest.raises(NotMeasuredError, match=r"SSL_CERT_FILE names .*nowhere\.pem"):
            await net_tls.measure(site, Sheet(net_tls.PROBE))


def test_old_tls(tmp_path: Path) -> None:
    """What is forbidden and still agreed to is named."""
    file = certificate(tmp_path, 90)
    with server(file, old=True) as endpoint:
        sheet = judged(endpoint, file)
    assert [f.code for f in sheet.findings] == ["net.tls.old"]
    assert "TLSv1.1" in sheet.findings[0].summary


def test_what_this_machine_cannot_ask_for_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An OpenSSL that refuses old TLS itself: that the endpoint does not agree to it is not known then."""
    own_context = tls._context

    class Strict(ssl.SSLContext):
        def set_ciphers(self, words: str, /) -> None:
            raise ssl.SSLError(f"no cipher match: {words}")

    contexts = [own_context(), Strict(ssl.PROTOCOL_TLS_CLIENT), Strict(ssl.PROTOCOL_TLS_CLIENT)]
    monkeypatch.setattr(tls, "_context", lambda: contexts.pop(0))
    file = certificate(tmp_path, 90)
    with server(file) as endpoint:
        sheet = judged(endpoint, file)
    assert (sheet.findings, contexts) == ([], [])
    assert [note for note in sheet.notes if "TLSv1, TLSv1.1 was not asked" in note]


def test_nobody_there_and_no_tls() -> None:
    """Not measured, with the reason."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        host, port = listening.getsockname()
    gone = Endpoint(name="MI", host=host, port=port, server_name=host)
    sheet = judged(gone, None)
    assert (sheet.verdict, sheet.findings[0].code) == (Verdict.NOT_MEASURED, "net.tls.silent")
    assert "nothing listens there" in sheet.findings[0].summary


async def test_what_leaves_the_machine_in_the_clear(tmp_path: Path) -> None:
    """An AMI on the network is a failure, one on loopback is not; a target with nothing at all is not measured."""
    far = Login(host="10.1.2.3", port=5038, user="u", password="p")
    near = dataclasses.replace(LIVE, mi=Mi(url="http://127.0.0.1:1"), sip=Address(host="127.0.0.1", port=1))
    assert net_tls.plain_of(dataclasses.replace(near, ami=far))[0] == ("AMI 10.1.2.3:5038", "10.1.2.3")
    for target, verdict in (
        (near, Verdict.PASS),
        (dataclasses.replace(near, mi=Mi(url="http://10.1.2.3:1")), Verdict.FAIL),
    ):
        sheet = Sheet(net_tls.PROBE)
        async with Site(target, tmp_path) as site:
            await net_tls.measure(site, sheet)
        assert sheet.verdict is verdict
    async with Site(LIVE, tmp_path) as site:
        with pytest.raises(NotMeasuredError, match="no control interface"):
            await net_tls.measure(site, Sheet(net_tls.PROBE))


async def test_a_real_endpoint_by_its_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pull API of the target, with an authority of one's own."""
    file = certificate(tmp_path, 3)
    monkeypatch.setenv(net_tls.AUTHORITY, str(file))
    with server(file) as endpoint:
        target = dataclasses.replace(LIVE, mi=Mi(url=f"https://127.0.0.1:{endpoint.port}"))
        sheet = Sheet(net_tls.PROBE)
        async with Site(target, tmp_path) as site:
            await net_tls.measure(site, sheet)
    assert [(f.code, f.verdict) for f in sheet.findings] == [("net.tls.ending", Verdict.FAIL)]
