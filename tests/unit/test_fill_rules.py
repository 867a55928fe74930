"""What the configuration says of fills and commissions is what orders meet."""

from decimal import Decimal

import pytest

from qsuite.domain.errors import SetupError
from qsuite.domain.trading.commission import Tier
from qsuite.domain.trading.paper import FillRules
from qsuite.services.fill_rules import rules_from
from qsuite.settings import load_settings


def rules(**given: str) -> FillRules:
    environ = {f"QSUITE_TRADING__{name.upper()}": value for name, value in given.items()}
    return rules_from(load_settings({"QSUITE_PROFILE": "test", **environ}, dotenv=None).trading)


def test_the_defaults_of_the_settings_are_those_of_the_domain() -> None:
    assert rules() == FillRules()


def test_every_setting_reaches_its_rule() -> None:
    found = rules(
        participation="0.25", latency_ms="1.5", limit_fill="through", quote_max_age_s="2", slippage_max_bps="7"
    )
    assert (found.participation, found.latency_ns, found.limit_needs_through) == (Decimal("0.25"), 1_500_000, True)
    assert (found.quote_max_age_ns, found.slippage_max_bps) == (2_000_000_000, 7)


def test_commissions_are_configured_in_words() -> None:
    tiered = rules(commission_model="tiered", commission_tiers="1000:0.005, 0.003", commission_minimum="1").commission
    assert tiered.tiers == (Tier(Decimal(1000), Decimal("0.005")), Tier(None, Decimal("0.003")))
    # 1,500 units: 1,000 at 0.005 and 500 at 0.003; a single one pays the minimum
    assert (tiered.total(Decimal(1500), Decimal(0)), tiered.total(Decimal(1), Decimal(0))) == (Decimal("6.5"), 1)
    percent = rules(commission_model="percent", commission_percent="0.05", commission_maximum="20").commission
    assert (percent.total(Decimal(1), Decimal(1000)), percent.total(Decimal(1), Decimal(10**6))) == (Decimal("0.5"), 20)


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"commission_model": "tiered"}, "no tier"),
        ({"commission_model": "tiered", "commission_tiers": "10:1"}, "the last has none"),
        ({"commission_model": "tiered", "commission_tiers": "ten:1,2"}, "not a decimal"),
        ({"commission_minimum": "2", "commission_maximum": "1"}, "above the maximum"),
        ({"commission_minimum": "-1"}, "below zero"),
    ],
)
def test_a_commission_that_makes_no_sense_stops_the_start(given: dict[str, str], complaint: str) -> None:
    with pytest.raises(SetupError, match=complaint):
        rules(**given)
