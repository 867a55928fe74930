"""What no access token may get away with (RFC 8725), and where the signing secret comes from."""

import base64
import json
import stat
from dataclasses import replace
from uuid import UUID

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from qsuite.domain.errors import SetupError, Unauthenticated
from qsuite.services.key_forms import jwk as jwk_of
from qsuite.services.keyring import token_key
from qsuite.services.secrets import secret_of
from qsuite.services.tokens import TokenSigner
from qsuite.settings import AuthSettings
from tests.support.auth import first_ring

SECRET = "a-secret-of-more-than-32-characters-0123456789"
USER, SESSION = UUID("01937d2e-0000-7000-8000-000000000001"), UUID("01937d2e-0000-7000-8000-000000000002")
NOW_S = 1_772_461_800  # 2026-03-02T14:30:00Z
AUTH = AuthSettings()


def signer_at(seconds=NOW_S, secret=SECRET, settings=AUTH):
    return TokenSigner(lambda: first_ring(secret), settings, clock=lambda: seconds * 1_000_000_000)


SIGNER = signer_at()
TOKEN = SIGNER.issue(USER, SESSION)
HEADER = jwt.get_unverified_header(TOKEN)
CLAIMS = jwt.decode(TOKEN, options={"verify_signature": False})


def forge(claims=None, header=None, key=None, algorithm="EdDSA"):
    """Sign with our own key unless another is given, so that only what is changed can be the reason."""
    headers = {name: value for name, value in {**HEADER, **(header or {})}.items() if value is not None}
    payload = {name: value for name, value in {**CLAIMS, **(claims or {})}.items() if value is not None}
    return jwt.encode(payload, token_key(SECRET, b"") if key is None else key, algorithm, headers=headers)


def segment(value):
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def refused(token, signer=SIGNER):
    with pytest.raises(Unauthenticated):
        signer.read(token)
    return True


def test_a_token_just_issued_says_whose_it_is_and_how_long():
    claims = SIGNER.read(TOKEN)
    assert (claims.user, claims.session) == (USER, SESSION)
    assert claims.expires_at - claims.issued_at == 3_600 * 1_000_000_000
    assert set(CLAIMS) == {"iss", "aud", "sub", "sid", "iat", "nbf", "exp", "jti", "typ"}
    assert {"alg": "EdDSA", "kid": SIGNER.jwks()["keys"][0]["kid"], "typ": "at+jwt"} == HEADER


def test_our_own_forgery_without_a_change_is_taken_so_the_others_fail_for_their_change_alone():
    assert SIGNER.read(forge()).user == USER


def test_anybody_can_verify_a_token_with_the_published_key():
    key = jwt.PyJWK(SIGNER.jwks()["keys"][0])
    now = {"verify_exp": False, "verify_nbf": False, "verify_iat": False}
    assert jwt.decode(TOKEN, key, ["EdDSA"], audience="qsuite-api", issuer="qsuite", options=now) == CLAIMS


def test_the_key_id_is_the_thumbprint_of_the_published_key():
    """RFC 8037 appendix A.3."""
    x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
    public = Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(x + "="))
    assert jwk_of(public)["x"] == x
    assert jwk_of(public)["kid"] == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"[:16]


def test_the_same_secret_gives_the_same_key_in_every_process_and_another_secret_another():
    assert signer_at().jwks() == SIGNER.jwks()
    assert refused(TOKEN, signer_at(secret=SECRET + "x"))


def test_no_algorithm_is_refused():
    for name in ("none", "None", "NONE", "nOnE", ""):
        head = segment({**HEADER, "alg": name})
        assert refused(f"{head}.{segment(CLAIMS)}.")
        assert refused(f"{head}.{segment(CLAIMS)}.{TOKEN.split('.')[2]}")
    assert refused(jwt.encode(CLAIMS, None, "none", headers={"kid": HEADER["kid"]}))


def test_the_public_key_used_as_a_shared_secret_is_refused():
    public = token_key(SECRET, b"").public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    for secret in (public, SIGNER.jwks()["keys"][0]["x"], SECRET, "", "0" * 32):
        for algorithm in ("HS256", "HS384", "HS512"):
            # Signed by hand: PyJWT itself refuses some of these keys.
            signed = f"{segment({**HEADER, 'alg': algorithm})}.{segment(CLAIMS)}"
            raw = secret if isinstance(secret, bytes) else secret.encode()
            signature = jwt.algorithms.HMACAlgorithm(getattr(jwt.algorithms.HMACAlgorithm, f"SHA{algorithm[2:]}"))
            assert refused(
                f"{signed}.{base64.urlsafe_b64encode(signature.sign(signed.encode(), raw)).decode().rstrip('=')}"
            )


@pytest.mark.parametrize(
    "header",
    [
        {"kid": None},
        {"kid": "another"},
        {"kid": "../../../../dev/null"},
        {"kid": "' UNION SELECT 'key' --"},
        {"jku": "https://attacker.example/jwks.json"},
        {"jwk": {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}},
        {"x5u": "https://attacker.example/cert.pem"},
        {"crit": ["exp"]},
        {"b64": False},
        {"typ": "JWT"},
        {"typ": None},
        {"alg": "Ed25519"},
    ],
)
def test_a_header_that_differs_in_anything_is_refused_even_when_well_signed(header):
    head = segment({name: value for name, value in {**HEADER, **header}.items() if value is not None})
    body = segment(CLAIMS)
    signature = base64.urlsafe_b64encode(token_key(SECRET, b"").sign(f"{head}.{body}".encode())).decode().rstrip("=")
    assert refused(f"{head}.{body}.{signature}")


@pytest.mark.parametrize("kid", [["a"], {"a": 1}, 7, None, True, "x" * 1_000])
def test_a_key_id_of_any_kind_is_refused_and_not_an_error(kid):
    assert refused(f"{segment({**HEADER, 'kid': kid})}.{segment(CLAIMS)}.{TOKEN.split('.')[2]}")


def test_a_token_signed_by_somebody_else_is_refused():
    assert refused(forge(key=Ed25519PrivateKey.generate()))


@pytest.mark.parametrize("name", ["iss", "aud", "sub", "sid", "exp", "iat", "nbf", "jti", "typ"])
def test_a_token_without_one_of_its_claims_is_refused(name):
    assert refused(forge({name: None}))


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "elsewhere"},
        {"aud": "another-api"},
        {"aud": ["another-api"]},
        {"typ": "refresh"},
        {"typ": "ACCESS"},
        {"typ": ["access"]},
        {"sub": "admin"},
        {"sub": 1},
        {"sid": "x"},
        {"sid": {"$ne": "x"}},
        {"exp": NOW_S},
        {"exp": NOW_S - 1},
        {"exp": str(NOW_S + 60)},
        {"exp": 1e400},
        {"exp": True},
        {"nbf": NOW_S + 3},
        {"nbf": "0"},
        {"iat": NOW_S + 3},
        {"iat": {}},
    ],
)
def test_a_claim_that_is_wrong_is_refused_although_well_signed(claims):
    assert refused(forge(claims))


def test_a_token_counts_until_its_last_second_and_not_from_its_end():
    assert signer_at(NOW_S + 3_599).read(TOKEN)
    assert refused(TOKEN, signer_at(NOW_S + 3_600))


def test_a_clock_two_seconds_behind_still_takes_a_token_just_issued_and_three_seconds_does_not():
    assert signer_at(NOW_S - 2).read(TOKEN)
    assert refused(TOKEN, signer_at(NOW_S - 3))


def test_a_token_of_another_issuer_or_audience_with_the_same_secret_is_refused():
    assert refused(TOKEN, signer_at(settings=replace(AUTH, issuer="other")))
    assert refused(TOKEN, signer_at(settings=replace(AUTH, audience="other")))


def test_a_token_changed_in_any_one_character_is_refused():
    for place in range(len(TOKEN)):
        changed = TOKEN[:place] + ("A" if TOKEN[place] != "A" else "B") + TOKEN[place + 1 :]
        if place == len(TOKEN) - 1 and base64.urlsafe_b64decode(
            changed.split(".")[2] + "=="
        ) == base64.urlsafe_b64decode(TOKEN.split(".")[2] + "=="):
            continue  # the last character of 64 bytes carries two bits: some spellings mean the same
        assert refused(changed)


@pytest.mark.parametrize(
    "token",
    [
        "",
        ".",
        "..",
        "...",
        "a.b",
        "a.b.c",
        "a.b.c.d.e",
        TOKEN + ".",
        TOKEN + "\n",
        " " + TOKEN,
        TOKEN.replace(".", ".."),
        TOKEN + "=",
        "é.é.é",
        "\ud800.a.b",
        "\x00",
        "A" * 3_000 + ".A.A",
        f"{TOKEN.rpartition('.')[0]}.",
        f"{TOKEN.split('.')[0]}.{'A' * 100_000}.A",
        f"{TOKEN.split('.')[0]}.{segment([[]])}.{TOKEN.split('.')[2]}",
    ],
)
def test_anything_that_is_not_a_token_is_refused(token):
    assert refused(token)


@given(st.text(max_size=200) | st.text("AZaz09-_.=", max_size=200))
def test_any_text_is_refused_and_never_an_error(text):
    assert refused(text)
    assert refused(f"{TOKEN.split('.')[0]}.{text}")


def test_the_configured_secret_is_used(settings, tmp_path):
    assert secret_of(replace(settings, secret_key=SECRET, data_dir=tmp_path)) == SECRET
    assert list(tmp_path.iterdir()) == []


def test_without_a_secret_one_is_made_once_that_only_its_owner_can_read(settings, tmp_path):
    local = replace(settings, data_dir=tmp_path / "data")
    made = secret_of(local)
    assert len(made) == 64  # 48 random bytes
    assert secret_of(local) == made
    assert stat.S_IMODE((tmp_path / "data" / "secret.key").stat().st_mode) == 0o600
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["secret.key"]
    assert secret_of(replace(local, data_dir=tmp_path / "other")) != made


@pytest.mark.parametrize("text", ["", "short\n", "\x00\xff"])
def test_a_damaged_secret_file_stops_the_start_in_one_line_without_showing_it(settings, tmp_path, text):
    (tmp_path / "secret.key").write_bytes(text.encode("latin-1"))
    with pytest.raises(SetupError) as stopped:
        secret_of(replace(settings, data_dir=tmp_path))
    assert "secret.key" in stopped.value.detail
    assert "short" not in stopped.value.detail
