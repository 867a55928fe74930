"""Make the certificates of the compose file, each by a service that runs once: ``python certificates.py edge|grid``.

``edge``: what nginx shows. The certificate and key in ``/given`` if there are any (fullchain.pem, privkey.pem), once
they are checked; else one of our own for ``TLS_NAMES``, made anew in the month before it ends.

``grid``: an authority nobody else knows and one certificate under it. Whoever cannot show that is neither scheduler,
worker nor client of the Dask grid, which runs whatever code it is sent.

Invariant: a key and its certificate are never seen half written, nor by another user.
"""

import ipaddress
import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

OURS = "QSuite, made at its first start"
# What browsers take at most is 398 days; nobody but the grid itself looks at the grid's.
EDGE_DAYS, GRID_DAYS, RENEW_DAYS = 397, 3650, 30
CHAIN, KEY = "fullchain.pem", "privkey.pem"


def main(what: str, kept: Path, given: Path, names: list[str]) -> str:
    """Bring the certificates in ``kept`` up to date; return what was done, as a sentence."""
    if what == "grid":
        return make_grid(kept)
    if (given / CHAIN).exists() or (given / KEY).exists():
        return take(given, kept)
    return make_edge(kept, names)


def take(given: Path, kept: Path) -> str:
    """Copy a certificate that somebody gave, once it and its key are known to fit and to be of today."""
    try:
        chain, key = (given / CHAIN).read_bytes(), (given / KEY).read_bytes()
    except OSError as error:
        sys.exit(
            f"{error.filename}: {(error.strerror or '').lower()} (both files must be readable by user {os.getuid()})"
        )
    certificate = x509.load_pem_x509_certificates(chain)[0]
    if _public(certificate.public_key()) != _public(load_pem_private_key(key, None).public_key()):
        sys.exit(f"{KEY} is not the key of the first certificate in {CHAIN}")
    if certificate.not_valid_after_utc <= datetime.now(UTC):
        sys.exit(f"the certificate in {CHAIN} ended at {certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC")
    _write(kept / KEY, key)
    _write(kept / CHAIN, chain)
    return f"took the certificate given, which ends on {certificate.not_valid_after_utc:%Y-%m-%d}"


def make_edge(kept: Path, names: list[str]) -> str:
    """Make a certificate that nobody vouches for, unless the one of before is good for another month."""
    if (kept / CHAIN).exists():
        old = x509.load_pem_x509_certificates((kept / CHAIN).read_bytes())[0]
        good = old.not_valid_after_utc > datetime.now(UTC) + timedelta(days=RENEW_DAYS)
        if good and _is_ours(old) and _alternatives(old) == x509.SubjectAlternativeName(_general(names)):
            return f"the self-signed certificate is good until {old.not_valid_after_utc:%Y-%m-%d}"
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _certificate(OURS, key, OURS, key, EDGE_DAYS, names=names)
    _write(kept / KEY, _pem(key))
    _write(kept / CHAIN, certificate.public_bytes(Encoding.PEM))
    return (
        f"made a self-signed certificate for {', '.join(names)}, good until {certificate.not_valid_after_utc:%Y-%m-%d}"
    )


def make_grid(kept: Path) -> str:
    """Make authority, certificate and key of the grid, unless they are there. The authority's key is not kept."""
    if (kept / "ca.pem").exists():
        return "the grid has its certificates"
    authority, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca = _certificate(OURS, authority, OURS, authority, GRID_DAYS, is_authority=True)
    leaf = _certificate("QSuite grid", key, OURS, authority, GRID_DAYS, names=["grid"])
    _write(kept / "grid-key.pem", _pem(key))
    _write(kept / "grid.pem", leaf.public_bytes(Encoding.PEM))
    _write(kept / "ca.pem", ca.public_bytes(Encoding.PEM))  # last: it says that all are there
    return "made the grid's certificates"


def _certificate(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: str,
    issuer_key: ec.EllipticCurvePrivateKey,
    days: int,
    *,
    names: list[str] | None = None,
    is_authority: bool = False,
) -> x509.Certificate:
    now = datetime.now(UTC)
    uses = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH])
    builder = (
        x509.CertificateBuilder()
        .subject_name(_named(name))
        .issuer_name(_named(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(_general(names)), critical=False)
    if not is_authority:
        builder = builder.add_extension(uses, critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _general(names: list[str]) -> list[x509.GeneralName]:
    found: list[x509.GeneralName] = []
    for name in names:
        try:
            found.append(x509.IPAddress(ipaddress.ip_address(name)))
        except ValueError:
            found.append(x509.DNSName(name))
    return found


def _is_ours(certificate: x509.Certificate) -> bool:
    return certificate.issuer == _named(OURS)


def _alternatives(certificate: x509.Certificate) -> x509.SubjectAlternativeName:
    return certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value


def _public(key: object) -> bytes:
    encoded: bytes = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)  # type: ignore[attr-defined]
    return encoded


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _write(path: Path, content: bytes) -> None:
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
    new.replace(path)


if __name__ == "__main__":
    wanted = [name.strip() for name in os.environ.get("TLS_NAMES", "localhost,127.0.0.1").split(",") if name.strip()]
    folders = Path(os.environ.get("TLS_KEPT", "/data")), Path(os.environ.get("TLS_GIVEN", "/given"))
    sys.stdout.write(main(sys.argv[1], *folders, wanted) + "\n")
