"""What a start refuses because it would be unsafe, and secrets that stand in files."""

from pathlib import Path

import pytest

from qsuite.composition.forwarding import advertised
from qsuite.domain.errors import SetupError
from qsuite.safe_start import loud
from qsuite.settings import Settings, load_settings

STRONG = "kJ8#mQ2$vX9!pL4&wR7*tY1^uI6%zA3@"
PRODUCTION = {
    "QSUITE_PROFILE": "production",
    "QSUITE_SECRET_KEY": STRONG,
    "QSUITE_MONGODB_URI": "mongodb://qsuite:hidden-word@db.example/?replicaSet=rs0&tls=true",
}


def load(**environ: str) -> Settings:
    return load_settings(environ, dotenv=None)


def refused(**environ: str) -> str:
    with pytest.raises(SetupError) as caught:
        load(**environ)
    message = str(caught.value)
    assert "\n" not in message
    assert not any(value in message for name, value in environ.items() if name.endswith(("URI", "URL", "KEY")))
    return message


@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        ("mongodb://db.example/?tls=true", "password"),
        ("mongodb://10.0.0.7:27017,127.0.0.1:27018/?tls=true", "password"),
        ("mongodb://u:hidden-word@db.example/", "TLS"),
        ("mongodb://u:hidden-word@db.example/?tls=false", "TLS"),
        ("mongodb+srv://u:hidden-word@db.example/?tls=false", "TLS"),
        ("mongodb://u:hidden-word@db.example/?ssl=true&tlsInsecure=true", "tlsinsecure"),
        (
            "mongodb://u:hidden-word@db.example/?tls=true&tlsAllowInvalidCertificates=true",
            "tlsallowinvalidcertificates",
        ),
        ("mongodb://u:hidden-word@db.example/?tls=true&tlsAllowInvalidHostnames=true", "tlsallowinvalidhostnames"),
    ],
)
def test_production_asks_for_a_password_and_tls_on_the_way_to_another_machine(uri: str, reason: str) -> None:
    assert reason in refused(**{**PRODUCTION, "QSUITE_MONGODB_URI": uri})
    assert load(QSUITE_MONGODB_URI=uri).mongodb_uri == uri, "one's own machine or test is one's own business"


@pytest.mark.parametrize(
    "uri",
    [
        "mongodb://127.0.0.1:27017/?replicaSet=rs0",
        "mongodb://localhost,[::1]:27018/",
        "mongodb://%2Ftmp%2Fmongodb-27017.sock/",
        "mongodb+srv://u:hidden-word@cluster.example/?retryWrites=true",
        "mongodb://u:p%40ss@a.example,b.example/db?tls=true&w=majority",
        "mongodb://a.example/?authMechanism=MONGODB-X509&tls=true",
    ],
)
def test_production_starts_with_a_database_that_is_guarded_or_here(uri: str) -> None:
    assert load(**{**PRODUCTION, "QSUITE_MONGODB_URI": uri}).mongodb_uri == uri


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("redis://redis.example:6379/0", "password"),
        ("redis://:hidden-word@redis.example:6379/0", "TLS"),
        ("rediss://:hidden-word@redis.example:6379/0?ssl_cert_reqs=none", "ssl_cert_reqs"),
    ],
)
def test_redis_on_another_machine_is_guarded_like_the_database(url: str, reason: str) -> None:
    assert reason in refused(**PRODUCTION, QSUITE_REDIS_URL=url)
    assert load(**PRODUCTION, QSUITE_REDIS_URL="rediss://:hidden-word@redis.example:6379/0").redis_url


def test_a_closed_network_is_allowed_in_so_many_words_and_said_at_each_start() -> None:
    uri = "mongodb://u:hidden-word@mongodb:27017/?replicaSet=rs0"
    settings = load(**{**PRODUCTION, "QSUITE_MONGODB_URI": uri, "QSUITE_PLAIN_NETWORK": "true"})
    [said] = loud(settings)
    assert "QSUITE_MONGODB_URI" in said
    assert "hidden-word" not in said
    assert list(loud(load(**PRODUCTION))) == []
    assert "password" in refused(
        **{**PRODUCTION, "QSUITE_MONGODB_URI": "mongodb://mongodb:27017/", "QSUITE_PLAIN_NETWORK": "true"}
    )


@pytest.mark.parametrize(
    ("name", "value"), [("ARGON2_MEMORY_KIB", "19455"), ("ARGON2_TIME_COST", "1"), ("PASSWORD_MIN_LENGTH", "11")]
)
def test_production_hashes_passwords_as_slowly_as_it_should_and_takes_no_short_ones(name: str, value: str) -> None:
    assert name.lower() in refused(**PRODUCTION, **{f"QSUITE_AUTH__{name}": value})


@pytest.mark.parametrize("options", ["w=1", "w=0", "w=2", "journal=false", "j=false", "w=majority&journal=false"])
def test_less_than_durable_is_refused_everywhere(options: str) -> None:
    assert "lost" in refused(QSUITE_MONGODB_URI=f"mongodb://127.0.0.1/?{options}")


@pytest.mark.parametrize(
    "secret",
    [
        "changeme-changeme-changeme-changeme",
        "Change-This-To-Something-Random-0123456789",
        "example-secret-key-of-32-characters!",
        "django-insecure-kJ8#mQ2$vX9!pL4&wR7*",
    ],
)
def test_production_refuses_a_secret_from_an_example(secret: str) -> None:
    assert "QSUITE_SECRET_KEY" in refused(**{**PRODUCTION, "QSUITE_SECRET_KEY": secret})


@pytest.mark.parametrize(
    "origin",
    [
        "*",
        "https://*.example",
        "null",
        "https://desk.example/",
        "https://desk.example/app",
        "desk.example",
        "HTTPS://a",
    ],
)
def test_only_exact_origins_are_let_in(origin: str) -> None:
    assert "cors_origins" in refused(QSUITE_HTTP__CORS_ORIGINS=f"https://a.example,{origin}")


def test_exact_origins_are_taken() -> None:
    given = "https://desk.example,http://localhost:5173,https://[::1]:8443,https://xn--bcher-kva.example:444"
    assert load(QSUITE_HTTP__CORS_ORIGINS=given).http.cors_origins == tuple(given.split(","))


@pytest.mark.parametrize("network", ["0.0.0.0/0", "::/0", "10.0.0.1/0"])
def test_not_everybody_is_a_trusted_proxy(network: str) -> None:
    assert "trusted_proxies" in refused(QSUITE_HTTP__TRUSTED_PROXIES=network)


# -- secrets in files --------------------------------------------------------------------------------------------------


def secret_file(folder: Path, text: str = STRONG, mode: int = 0o600) -> str:
    path = folder / "secret"
    path.write_text(text)
    path.chmod(mode)
    return str(path)


def test_every_secret_may_stand_in_a_file(tmp_path: Path) -> None:
    path = secret_file(tmp_path, f"{STRONG}\n")
    assert load(QSUITE_SECRET_KEY_FILE=path).secret_key == STRONG
    assert load(QSUITE_SOURCE__AUTHORIZATION_FILE=path).source.authorization == STRONG
    assert load(QSUITE_SECRET_KEYS_RETIRED_FILE=secret_file(tmp_path, f"{STRONG}\n{STRONG[::-1]}\n")) == load(
        QSUITE_SECRET_KEYS_RETIRED=f"{STRONG},{STRONG[::-1]}"
    )


def test_only_secrets_stand_in_files(tmp_path: Path) -> None:
    assert "unknown setting" in refused(QSUITE_HOST_FILE=secret_file(tmp_path))


@pytest.mark.parametrize(("mode", "doing"), [(0o644, "read"), (0o640, "read"), (0o620, "changed"), (0o602, "changed")])
def test_a_file_that_others_may_read_or_change_is_refused(tmp_path: Path, mode: int, doing: str) -> None:
    message = refused(QSUITE_SECRET_KEY_FILE=secret_file(tmp_path, mode=mode))
    assert f"be {doing} by other users" in message


def test_a_file_that_is_not_there_empty_no_text_or_no_file_is_refused(tmp_path: Path) -> None:
    assert "no such file" in refused(QSUITE_SECRET_KEY_FILE=str(tmp_path / "nothing"))
    assert "empty" in refused(QSUITE_SECRET_KEY_FILE=secret_file(tmp_path, "\n"))
    assert "no file" in refused(QSUITE_SECRET_KEY_FILE="/dev/null")
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe" * 20)
    binary.chmod(0o600)
    assert "not text" in refused(QSUITE_SECRET_KEY_FILE=str(binary))


def test_a_secret_given_twice_is_refused(tmp_path: Path) -> None:
    assert "both" in refused(QSUITE_SECRET_KEY=STRONG, QSUITE_SECRET_KEY_FILE=secret_file(tmp_path))


@pytest.mark.parametrize(("address", "safe"), [("http://engine:8000", False), ("https://engine", True)])
def test_production_wants_tls_or_a_closed_network_where_other_processes_send_tokens(address: str, safe: bool) -> None:
    given = {**PRODUCTION, "QSUITE_HTTP__ADVERTISE": address}
    if not safe:
        assert "QSUITE_PLAIN_NETWORK" in refused(**given)
    allowed = load(**given, QSUITE_PLAIN_NETWORK="true")
    assert allowed.http.advertise == address
    assert any("without TLS" in line for line in loud(allowed)) is not safe
    assert load(QSUITE_HTTP__ADVERTISE="http://127.0.0.1:8000").http.advertise is not None


@pytest.mark.parametrize("address", ["engine:8000", "http://engine:8000/path", "http://u:p@engine", "ftp://engine", ""])
def test_what_is_no_address_is_not_advertised(address: str) -> None:
    if address:
        assert "http.advertise" in refused(QSUITE_HTTP__ADVERTISE=address)
    settings = load(QSUITE_HOST="0.0.0.0")
    assert advertised(settings, 8000) == ""
    assert advertised(load(QSUITE_HOST="::1"), 8001) == "http://[::1]:8001"
    exposed = load(**PRODUCTION, QSUITE_HOST="10.0.0.7")
    assert advertised(exposed, 8000) == "", "not without TLS, unless the network is closed"
