"""Settings: where they come from, what is refused, and that every one is documented."""

import dataclasses
import typing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from docs.env_example import PATH, env_example
from qsuite.domain.errors import SetupError
from qsuite.settings import PREFIX, Settings, load_settings

STRONG = "kJ8#mQ2$vX9!pL4&wR7*tY1^uI6%zA3@"
PRODUCTION = {
    "QSUITE_PROFILE": "production",
    "QSUITE_SECRET_KEY": STRONG,
    "QSUITE_MONGODB_URI": "mongodb://qsuite:of-a-database@db.example/?replicaSet=rs0&tls=true",
}


def load(**environ: str) -> Settings:
    return load_settings(environ, dotenv=None)


def every_setting(cls: Any = Settings, prefix: str = PREFIX) -> list[tuple[str, "dataclasses.Field[Any]"]]:
    found = []
    kinds = typing.get_type_hints(cls)
    for item in dataclasses.fields(cls):
        name = prefix + item.name.upper()
        if dataclasses.is_dataclass(kinds[item.name]):
            found += every_setting(kinds[item.name], f"{name}__")
        else:
            found.append((name, item))
    return found


def test_the_local_profile_needs_nothing() -> None:
    settings = load()
    assert (settings.profile, settings.host, settings.port) == ("local", "127.0.0.1", 8000)
    assert settings.mongodb_uri is None
    assert settings.secret_key is None


def test_the_environment_wins_over_dotenv_and_that_over_the_profile(tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_text("QSUITE_PORT=1111\nQSUITE_ENGINE__LEASE_S=4.5\nQSUITE_LOG__FORMAT=json\nOTHER=1\n")
    settings = load_settings({"QSUITE_PORT": "2222", "PATH": "/bin"}, dotenv=dotenv)
    assert settings.port == 2222
    assert settings.engine.lease_s == 4.5
    assert settings.log.format == "json"  # the local profile says console
    assert load().log.format == "console"


def test_values_are_read_as_their_kind() -> None:
    settings = load(
        QSUITE_HTTP__CORS_ORIGINS="https://a.example, https://b.example,",
        QSUITE_HTTP__HSTS="yes",
        QSUITE_RISK__MAX_VALUE="1234.5600",
        QSUITE_DATA_DIR="~/qsuite-data",
        QSUITE_REDIS_URL="",
    )
    assert settings.http.cors_origins == ("https://a.example", "https://b.example")
    assert settings.http.hsts is True
    assert settings.risk.max_value == Decimal("1234.56")
    assert settings.data_dir == Path.home() / "qsuite-data"
    assert settings.redis_url is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("QSUITE_NONSENSE", "1"),
        ("QSUITE_HTTP__NONSENSE", "1"),
        ("QSUITE_NONSENSE__X", "1"),
        ("QSUITE_HTTP", "1"),
        ("QSUITE_PORT__X", "1"),
        ("QSUITE_PROFILE", "staging"),
        ("QSUITE_PORT", "80000"),
        ("QSUITE_PORT", "-1"),
        ("QSUITE_PORT", "eighty"),
        ("QSUITE_PORT", "80.5"),
        ("QSUITE_PORT", "8_000"),
        ("QSUITE_PORT", "٨٠٨٠"),
        ("QSUITE_PORT", ""),
        ("QSUITE_HTTP__BODY_TIMEOUT_S", "nan"),
        ("QSUITE_HTTP__BODY_TIMEOUT_S", "inf"),
        ("QSUITE_HTTP__BODY_TIMEOUT_S", "1e999"),
        ("QSUITE_HTTP__BODY_TIMEOUT_S", "0"),
        ("QSUITE_HTTP__HSTS", "perhaps"),
        ("QSUITE_RISK__MAX_VALUE", "NaN"),
        ("QSUITE_RISK__MAX_VALUE", "-1"),
        ("QSUITE_RISK__MAX_VALUE", "1,000"),
        ("QSUITE_LOG__LEVEL", "loud"),
        ("QSUITE_TRADING__LIMIT_FILL", "maybe"),
        ("QSUITE_TRADING__SLIPPAGE_MIN_BPS", "99"),
        ("QSUITE_SECRET_KEY", "short"),
        ("QSUITE_SECRET_KEY", "a" * 64),
    ],
)
def test_what_is_unknown_malformed_or_out_of_bounds_stops_the_start_in_one_line(name: str, value: str) -> None:
    with pytest.raises(SetupError) as caught:
        load(**{name: value})
    message = str(caught.value)
    assert "\n" not in message
    parts = name.removeprefix(PREFIX).lower().split("__")
    assert any(part in message.lower() for part in parts)


def test_production_starts_only_with_a_strong_secret_and_a_database() -> None:
    assert load(**PRODUCTION).http.hsts is True
    for missing in ("QSUITE_SECRET_KEY", "QSUITE_MONGODB_URI"):
        with pytest.raises(SetupError, match=missing):
            load(**{name: value for name, value in PRODUCTION.items() if name != missing})
    for weak in ("changeme", "x" * 40, "0123" * 10):
        with pytest.raises(SetupError, match="QSUITE_SECRET_KEY"):
            load(**{**PRODUCTION, "QSUITE_SECRET_KEY": weak})


def test_secrets_are_shown_neither_by_repr_nor_by_errors() -> None:
    canary = "swordfish-canary-0123456789-ABCDEF"
    settings = load(
        QSUITE_SECRET_KEY=canary, QSUITE_MONGODB_URI=f"mongodb://u:{canary}@h/", QSUITE_REDIS_URL=f"redis://:{canary}@h"
    )
    assert canary not in repr(settings)
    with pytest.raises(SetupError) as caught:
        load(QSUITE_SECRET_KEY="swordfish")
    assert "swordfish" not in str(caught.value)


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        load().http.hsts = True  # type: ignore[misc]


def test_every_default_is_within_its_own_bounds_and_explained() -> None:
    for name, item in every_setting():
        low, high, choices = (item.metadata.get(key) for key in ("low", "high", "choices"))
        assert item.metadata["help"], name
        assert low is None or item.default >= low, name
        assert high is None or item.default <= high, name
        assert not choices or item.default in choices, name


def test_the_example_lists_every_setting_and_is_up_to_date() -> None:
    text = PATH.read_text(encoding="utf-8")
    for name, _ in every_setting():
        assert f"\n#{name}=" in text
    assert text == env_example(), "run `python -m docs.env_example`"


def test_the_example_loads_as_it_stands_with_every_setting_uncommented(tmp_path: Path) -> None:
    lines = [line.removeprefix("#") for line in PATH.read_text().splitlines() if line.startswith(f"#{PREFIX}")]
    everything = tmp_path / ".env"
    everything.write_text("\n".join(lines))
    assert load_settings({}, dotenv=everything) == dataclasses.replace(
        load_settings({}, dotenv=None), log=Settings().log, risk=Settings().risk, throttle=Settings().throttle
    )


def test_a_feed_must_say_of_what() -> None:
    with pytest.raises(SetupError, match="QSUITE_FEED__SYMBOLS"):
        load_settings({"QSUITE_FEED__KIND": "synthetic"}, dotenv=None)
    found = load_settings({"QSUITE_FEED__KIND": "synthetic", "QSUITE_FEED__SYMBOLS": "ALPHA, BETA"}, dotenv=None)
    assert found.feed.symbols == ("ALPHA", "BETA")


def test_a_gateway_must_be_told_where_the_database_of_the_engine_is() -> None:
    with pytest.raises(SetupError, match="QSUITE_MONGODB_URI"):
        load(QSUITE_ROLE="gateway")
    assert load(QSUITE_ROLE="gateway", QSUITE_MONGODB_URI="mongodb://db.example/").role == "gateway"
