"""What a start refuses because it would be unsafe: weak secrets, open databases, origins that are none.

Invariant: a refusal names the setting and what to do, and never the value, which may be or hold a secret.

``production`` asks for more than the other profiles: everything that listens elsewhere takes a password, and TLS is on
the way there unless ``plain_network`` says that nobody else is.
"""

import ipaddress
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

from qsuite.domain.errors import SetupError

if TYPE_CHECKING:
    from qsuite.settings import Settings

SECRET_MIN_LENGTH = 32
SECRET_MIN_SIGNS = 8
# OWASP's least for argon2id with one lane, and the shortest password that the documentation promises.
ARGON2_MEMORY_KIB, ARGON2_PASSES = 19_456, 2
PASSWORD_MIN_LENGTH = 12
# What people leave in from examples and tutorials.
PLACEHOLDERS = ("changeme", "changethis", "example", "placeholder", "yoursecret", "secretkey", "djangoinsecure")
ORIGIN = re.compile(r"https?://(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9-]+)*|\[[0-9a-f:]+\])(?::[0-9]{1,5})?")
YES = ("true", "1")


def refuse_unsafe(settings: "Settings") -> None:
    """Raise SetupError for the first thing that is unsafe in the settings' profile."""
    _secrets(settings)
    for origin in settings.http.cors_origins:
        if ORIGIN.fullmatch(origin) is None:
            raise SetupError(
                "http.cors_origins holds what is no exact origin such as https://desk.example: no wildcard, no path,"
                " in small letters"
            )
    for network in settings.http.trusted_proxies:
        if _is_everybody(network):
            raise SetupError("http.trusted_proxies trusts every address: anybody could say they are somebody else")
    if settings.mongodb_uri is not None:
        _durable(settings.mongodb_uri)
    if settings.profile == "production":
        _production(settings)


def _secrets(settings: "Settings") -> None:
    secret = settings.secret_key
    if secret is not None and _weak(secret):
        raise SetupError(f"QSUITE_SECRET_KEY is too weak: give at least {SECRET_MIN_LENGTH} random characters")
    if any(map(_weak, settings.secret_keys_retired)):
        raise SetupError("QSUITE_SECRET_KEYS_RETIRED holds what cannot have been a secret: it is too short")


def _weak(secret: str) -> bool:
    return len(secret) < SECRET_MIN_LENGTH or len(set(secret)) < SECRET_MIN_SIGNS


def _production(settings: "Settings") -> None:
    secret = settings.secret_key
    if secret is None:
        raise SetupError("QSUITE_SECRET_KEY must be set in the production profile")
    plain = re.sub(r"[^a-z]", "", secret.lower())
    if any(word in plain for word in PLACEHOLDERS):
        raise SetupError("QSUITE_SECRET_KEY is a default or an example: make one with `openssl rand -hex 32`")
    if settings.mongodb_uri is None:
        raise SetupError("QSUITE_MONGODB_URI must be set in the production profile")
    auth = settings.auth
    if auth.argon2_memory_kib < ARGON2_MEMORY_KIB or auth.argon2_time_cost < ARGON2_PASSES:
        raise SetupError(
            f"auth.argon2_memory_kib and argon2_time_cost are under {ARGON2_MEMORY_KIB} and {ARGON2_PASSES}"
        )
    if auth.password_min_length < PASSWORD_MIN_LENGTH:
        raise SetupError(f"auth.password_min_length is under {PASSWORD_MIN_LENGTH}")
    _guarded("QSUITE_MONGODB_URI", settings.mongodb_uri, plain_network=settings.plain_network)
    if settings.redis_url is not None:
        _guarded("QSUITE_REDIS_URL", settings.redis_url, plain_network=settings.plain_network)
    if is_plain_http(settings.http.advertise) and not settings.plain_network:
        raise SetupError(
            "QSUITE_HTTP__ADVERTISE has other processes send tokens without TLS: name an https:// address, or set"
            " QSUITE_PLAIN_NETWORK=true where nobody else is on that network"
        )


def _guarded(name: str, address: str, *, plain_network: bool) -> None:
    """Ask for a password and TLS on the way to an address, unless it is this machine."""
    user, hosts, options = _parts(address)
    if all(_is_local(host) for host in hosts):
        return
    if not user and options.get("authmechanism") not in ("MONGODB-X509", "MONGODB-AWS"):
        raise SetupError(f"{name} names another machine without a password: anybody there could read and write all")
    if _is_encrypted(address, options):
        for option in ("tlsinsecure", "tlsallowinvalidcertificates", "tlsallowinvalidhostnames"):
            if options.get(option) in YES:
                raise SetupError(f"{name} sets {option}: whoever is on the way could answer for the database")
        if options.get("ssl_cert_reqs", "required").lower() != "required":
            raise SetupError(f"{name} sets ssl_cert_reqs: whoever is on the way could answer for Redis")
    elif not plain_network:
        raise SetupError(
            f"{name} names another machine without TLS: use it (tls=true, rediss://), or set QSUITE_PLAIN_NETWORK=true"
            " where nobody else is on that network"
        )


def is_plain(address: str | None) -> bool:
    """Say whether what is said to an address could be read on the way: another machine, and no TLS."""
    if address is None:
        return False
    _, hosts, options = _parts(address)
    return not all(_is_local(host) for host in hosts) and not _is_encrypted(address, options)


def is_plain_http(address: str | None) -> bool:
    """Say whether requests to an address could be read on the way: another machine, and no TLS."""
    return address is not None and address.startswith("http://") and not _is_local(urlsplit(address).hostname or "")


def _durable(address: str) -> None:
    """Refuse an address that asks for less than majority and the journal, although the driver is told otherwise."""
    _, _, options = _parts(address)
    if options.get("w", "majority") != "majority":
        raise SetupError("QSUITE_MONGODB_URI asks for a write concern w that is not majority: orders could be lost")
    if "false" in (options.get("journal"), options.get("j")):
        raise SetupError("QSUITE_MONGODB_URI switches the journal off: orders could be lost")


def _parts(address: str) -> tuple[str, list[str], dict[str, str]]:
    """Return user and password, the hosts (MongoDB takes several, which is no URL to Python), and the options."""
    _, _, rest = address.partition("://")
    place, _, query = rest.partition("?")
    user, _, hosts = place.partition("/")[0].rpartition("@")
    options = {key.lower(): value for key, value in parse_qsl(query)}
    return user, [_host(part) for part in hosts.split(",")], options


def _host(part: str) -> str:
    try:
        return urlsplit(f"//{part}").hostname or ""
    except ValueError:
        return part


def _is_local(host: str) -> bool:
    if host in ("localhost", "") or host.endswith(".sock"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _is_encrypted(address: str, options: dict[str, str]) -> bool:
    scheme = address.partition("://")[0].lower()
    said = options.get("tls", options.get("ssl"))
    return scheme == "rediss" or said in YES or (scheme == "mongodb+srv" and said is None)


def _is_everybody(network: str) -> bool:
    try:
        return ipaddress.ip_network(network, strict=False).prefixlen == 0
    except ValueError:
        return False  # the server names what is no network


def loud(settings: "Settings") -> Iterable[str]:
    """Return what is allowed by an explicit setting, and should be said at each start."""
    if settings.profile == "production" and settings.plain_network:
        for name, address in (("QSUITE_MONGODB_URI", settings.mongodb_uri), ("QSUITE_REDIS_URL", settings.redis_url)):
            if is_plain(address):
                yield f"{name} is reached without TLS, as QSUITE_PLAIN_NETWORK allows"
        if is_plain_http(settings.http.advertise):
            yield "commands come from other processes without TLS, as QSUITE_PLAIN_NETWORK allows"
