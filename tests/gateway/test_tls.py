"""The door over TLS, with certificate files as an operator gives them."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
from pathlib import Path

import anyio
import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from supervisor.gateway.door import CannotOpen, Door
from supervisor.gateway.tokens import Role, TokenFile
from tests.gateway.conftest import Open

pytestmark = pytest.mark.anyio


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """Of this machine's loopback address, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    paths = tmp_path / "cert.pem", tmp_path / "key.pem"
    paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return paths


async def test_with_a_certificate_the_address_speaks_tls_and_nothing_else(
    bullpen: Open, tmp_path: Path, certificate: tuple[Path, Path]
) -> None:
    async with bullpen() as home, anyio.create_task_group() as group:
        tokens = TokenFile(tmp_path)
        (tmp_path / "tls").mkdir()
        door = Door(
            home.supervisor,
            tmp_path / "tls",
            tokens=tokens,
            version="0",
            leave=lambda: None,
            listen=("127.0.0.1", 0),
            tls=certificate,
        )
        await group.start(door.run)
        _, text = tokens.add(Role.USER, user="ana")
        assert door.url.startswith("https://127.0.0.1:")
        trusting = ssl.create_default_context(cafile=str(certificate[0]))
        headers = {"Authorization": f"Bearer {text}"}
        async with httpx.AsyncClient(base_url=door.url, verify=trusting, headers=headers) as client:
            assert (await client.get("/whoami")).json()["user"] == "ana"
        async with httpx.AsyncClient(base_url=door.url, headers=headers) as doubting:
            with pytest.raises(httpx.ConnectError, match="self-signed"):
                await doubting.get("/whoami")
        async with httpx.AsyncClient(base_url=door.url.replace("https", "http"), headers=headers) as plain:
            with pytest.raises(httpx.TransportError):
                await plain.get("/whoami")
        group.cancel_scope.cancel()


async def test_a_certificate_that_cannot_be_used_is_named(bullpen: Open, tmp_path: Path) -> None:
    broken = tmp_path / "broken.pem"
    broken.write_text("no certificate")
    async with bullpen() as home:
        for files in ((broken, broken), (tmp_path / "missing.pem", broken)):
            door = Door(
                home.supervisor,
                tmp_path,
                tokens=TokenFile(tmp_path),
                version="0",
                leave=lambda: None,
                listen=("127.0.0.1", 0),
                tls=files,
            )
            with pytest.raises(CannotOpen, match=r"certificate .* cannot be used"):
                await door.run()
