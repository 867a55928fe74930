"""Tokens with one thing wrong each, made for a user who exists, with the server's own key where the key is not the
fault: only what is named can be the reason for the refusal."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple
from unittest.mock import patch
from uuid import UUID, uuid4

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from qsuite.domain.access import KEY_PREFIX
from qsuite.domain.roles import Role
from tests.support.client import ApiClient
from tests.support.running_app import Api

HOUR_S = 3_600


class Defect(NamedTuple):
    """What is sent instead of a good ``Authorization`` line: header lines, and what follows the path."""

    kind: str
    lines: bytes
    query: str = ""


class Good(NamedTuple):
    """A good token taken apart, with what signed it and the refresh token that came with it."""

    token: str
    refresh: str
    header: Mapping[str, Any]
    claims: Mapping[str, Any]
    key: Ed25519PrivateKey

    def forge(
        self,
        claims: Mapping[str, Any] | None = None,
        header: Mapping[str, Any] | None = None,
        key: Ed25519PrivateKey | None = None,
    ) -> str:
        """Sign with changes; what is changed to None is left out."""
        signed = f"{segment(_without_none(self.header, header))}.{segment(_without_none(self.claims, claims))}"
        return f"{signed}.{encoded((key or self.key).sign(signed.encode()))}"


def segment(value: Mapping[str, Any]) -> str:
    """Write a part of a token as the server does: its keys in order."""
    return encoded(json.dumps(value, separators=(",", ":"), sort_keys=True).encode())


def encoded(raw: bytes) -> str:
    """Write in base64url without padding."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def bearer(token: str) -> bytes:
    """Return the header line of a token."""
    return f"Authorization: Bearer {token}\r\n".encode()


async def log_in(api: Api, role: Role) -> Good:
    """Make a user, log them in, and take their token apart."""
    client = await api.new_client(role)
    given = {name: client.user[name] for name in ("username", "password")}
    answer = await api.anonymous.post("/api/auth/login/", given)
    return take_apart(api, answer.json["access"], answer.json["refresh"])


def take_apart(api: Api, token: str, refresh: str) -> Good:
    """Read a good token, and get hold of the key it was signed with."""
    claims = jwt.decode(token, options={"verify_signature": False})
    keys: list[Ed25519PrivateKey] = []
    real = jwt.encode

    def seen(payload: Any, key: Any, *rest: Any, **options: Any) -> str:
        keys.append(key)
        return real(payload, key, *rest, **options)

    with patch.object(jwt, "encode", seen):
        api.services.auth.signer.issue(UUID(claims["sub"]), UUID(claims["sid"]))
    return Good(token, refresh, jwt.get_unverified_header(token), claims, keys[0])


async def ended_tokens(api: Api, role: Role) -> dict[str, str]:
    """Return tokens that were good until somebody logged out, or was disabled."""
    left, disabled = await api.new_client(role), await api.new_client(role)
    assert (await left.post("/api/auth/logout/")).status in (200, 204)
    await change(api, disabled, {"is_active": False})
    return {"revoked session": str(left.token), "disabled user": str(disabled.token)}


async def change(api: Api, client: ApiClient, changes: dict[str, Any]) -> None:
    """Change a user as an admin does."""
    answer = await api.admin.patch(f"/api/v1/users/{client.user['id']}/", changes)
    assert answer.status == 200, answer


def defects(good: Good, other: Good, ended: Mapping[str, str]) -> Iterator[Defect]:
    """Give everything that must not be believed of ``good``; ``other`` is somebody else's."""
    for kind, token in (*_wrong_claims(good, other), *_wrong_headers(good), *_wrong_signatures(good), *ended.items()):
        yield Defect(kind, bearer(token))
    yield Defect("refresh token as access token", bearer(good.refresh))
    for lines in _garbage(good.token):
        yield Defect("garbage", lines)
    for lines in _doubled(good.token, other.token):
        yield Defect("doubled header", lines)
    for query in ("token={}", "access_token={}", "authorization=Bearer%20{}", "jwt={}", "bearer={}", "api_key={}"):
        yield Defect("token elsewhere", b"", "?" + query.format(good.token))
    for line in _elsewhere(good.token):
        yield Defect("token elsewhere", line)


def _wrong_claims(good: Good, other: Good) -> Iterator[tuple[str, str]]:
    now_s = int(time.time())
    forge = good.forge
    yield "expired", forge({"iat": now_s - HOUR_S, "nbf": now_s - HOUR_S, "exp": now_s - 1})
    yield "expired", forge({"exp": 0})
    yield "not yet valid", forge({"nbf": now_s + HOUR_S, "exp": now_s + 2 * HOUR_S})
    yield "not yet valid", forge({"iat": now_s + HOUR_S, "exp": now_s + 2 * HOUR_S})
    for issuer in ("elsewhere", ["qsuite", "x"], {"$ne": ""}, ""):
        yield "wrong issuer", forge({"iss": issuer})
    for audience in ("elsewhere", ["elsewhere"], {"$ne": ""}, "*"):
        yield "wrong audience", forge({"aud": audience})
    for kind in ("refresh", "ACCESS", ["access"], True):
        yield "wrong typ", forge({"typ": kind})
    for name in ("jti", "sub", "sid"):
        yield "a claim missing", forge({name: None})
    for name in ("iss", "aud", "exp", "iat", "nbf", "typ"):
        yield "a claim missing", forge({name: None})
    for name in ("sub", "sid"):
        for value in ({"$ne": ""}, ["x"], 1, "", "admin", str(uuid4())):
            yield "nobody's", forge({name: value})
    yield "another's session", forge({"sid": other.claims["sid"]})
    yield "another's session", forge({"sub": other.claims["sub"]})
    for value in (1e400, "9999999999", True, [now_s + HOUR_S]):
        yield "expired", forge({"exp": value})


def _wrong_headers(good: Good) -> Iterator[tuple[str, str]]:
    signature = good.token.rpartition(".")[2]
    for algorithm in ("none", "None", "nOnE"):
        bare = f"{segment({**good.header, 'alg': algorithm})}.{segment(good.claims)}"
        yield "alg none", f"{bare}.{signature}"
        yield "alg none", f"{bare}."
    public = good.key.public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    for secret in (pem, public.public_bytes(Encoding.Raw, PublicFormat.Raw), b""):
        bare = f"{segment({**good.header, 'alg': 'HS256'})}.{segment(good.claims)}"
        digest = hmac.new(secret, bare.encode(), hashlib.sha256).digest()
        yield "HS256 under the public key", f"{bare}.{encoded(digest)}"
    attacker = Ed25519PrivateKey.generate()
    point = encoded(attacker.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))
    jwk = {"kty": "OKP", "crv": "Ed25519", "x": point}
    for kid in ("unknown", "", None, ["a"], 7, "x" * 1_000):
        yield "unknown kid", good.forge(header={"kid": kid})
    for kid in ("../../../../dev/null", "/proc/self/environ", "..\\..\\win.ini", "file:///dev/null"):
        yield "kid of another kind", good.forge(header={"kid": kid})
    for kid in ("' UNION SELECT 'key' --", "x'; DROP TABLE users; --", {"$ne": ""}):
        yield "kid of another kind", good.forge(header={"kid": kid})
    yield "key in the header", good.forge(header={"jku": "https://attacker.example/jwks.json"}, key=attacker)
    yield "key in the header", good.forge(header={"x5u": "http://127.0.0.1:1/"}, key=attacker)
    yield "key in the header", good.forge(header={"jwk": jwk}, key=attacker)
    yield "key in the header", good.forge(header={"jwk": jwk, "kid": None}, key=attacker)
    yield "wrong typ", good.forge(header={"typ": "JWT"})
    yield "wrong typ", good.forge(header={"crit": ["exp"]})


def _wrong_signatures(good: Good) -> Iterator[tuple[str, str]]:
    header, claims, signature = good.token.split(".")
    for changes in ({"role": "admin"}, {"sub": str(uuid4())}, {"exp": good.claims["exp"] + HOUR_S}):
        yield "tampered payload", f"{header}.{segment({**good.claims, **changes})}.{signature}"
    raw = bytearray(base64.urlsafe_b64decode(signature + "=="))
    for place in (0, 31, 63):
        raw[place] ^= 1
        yield "tampered signature", f"{header}.{claims}.{encoded(bytes(raw))}"
        raw[place] ^= 1
    yield "tampered signature", f"{header}.{claims}.{encoded(bytes(64))}"
    yield "tampered signature", good.forge(key=Ed25519PrivateKey.generate())


def _garbage(token: str) -> Iterator[bytes]:
    sent = token.encode()
    for value in (
        b"", b"Bearer", b"Bearer ", b"Bearer null", b"Bearer undefined", b"Bearer ..", b"Bearer a.b.c",
        b"Basic YWRtaW46YWRtaW4=", b"Bearer Bearer " + sent, b"Bearer  " + sent, sent, b"Token " + sent,
        b"Bearer " + sent + b".", b"Bearer " + sent + b"=", b"Bearer " + sent + b" x", b'Bearer "' + sent + b'"',
        b"Bearer " + b"A" * 2_049, b"Bearer " + b"A" * 8_000, b"Bearer " + sent * 8,
        b"Bearer \xc3\xa9.\xc3\xa9.\xc3\xa9", b"Bearer \xff\xfe", b'Bearer {"$ne": null}', b"Bearer ' OR 1=1 --",
        b"Bearer " + sent[::-1],
        b"Bearer " + KEY_PREFIX.encode() + b"A" * 43, b"Bearer " + KEY_PREFIX.encode(), b"B\xc4\xb0earer " + sent,
    ):  # fmt: skip
        yield b"Authorization: %b\r\n" % value


def _doubled(token: str, other: str) -> Iterator[bytes]:
    good = bearer(token)
    yield good + good
    yield good + bearer(other)
    yield good + bearer("x")
    yield bearer("x") + good
    yield good + b"authorization: Bearer x\r\n"
    yield f"Authorization: Bearer {token}, Bearer {token}\r\n".encode()
    yield f"Authorization: Bearer {token},\r\n".encode()


def _elsewhere(token: str) -> Iterator[bytes]:
    sent = token.encode()
    for name in (b"Cookie: token=", b"Cookie: access=", b"Cookie: Authorization=Bearer ", b"X-Access-Token: "):
        yield name + sent + b"\r\n"
    for name in (b"Proxy-Authorization", b"X-Authorization", b"Authorization_", b"X-Forwarded-Authorization"):
        yield b"%b: Bearer %b\r\n" % (name, sent)
    for line in (b"X-Forwarded-User: admin", b"X-Remote-User: admin", b"X-Role: admin", b"X-User: admin"):
        yield line + b"\r\n"
    yield b"X-HTTP-Method-Override: GET\r\nX-Original-URL: /health/\r\nX-Rewrite-URL: /health/\r\n"


def _without_none(base: Mapping[str, Any], changes: Mapping[str, Any] | None) -> dict[str, Any]:
    return {name: value for name, value in {**base, **(changes or {})}.items() if value is not None}
