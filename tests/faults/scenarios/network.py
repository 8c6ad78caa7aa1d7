"""The network between the parts: slow, thin, cut, refused, half-open."""

from __future__ import annotations

from tests.faults.proxy import Weather
from tests.faults.stack import StackOptions
from tests.faults.trial import Fault, Scenario, Strike

PROXIES = StackOptions(has_proxies=True)
LINKS = {
    "ingress": "sender to ingress",
    "ingress-redis": "ingress to Redis",
    "worker-redis": "worker to Redis",
    "worker-postgres": "worker to PostgreSQL",
}
WEATHERS: dict[str, tuple[str, Weather, float]] = {
    "slow": ("150 to 450 ms late", Weather(latency_ms=150, jitter_ms=300), 4),
    "thin": ("80 kB/s in slices of 1,400 bytes", Weather(bandwidth_bytes=80_000, slice_bytes=1_400), 4),
    "down": ("refused for 3 s", Weather(is_down=True), 3),
    "half-open": ("half-open: connections that neither pass nor end", Weather(is_blackhole=True), 3),
}
CUTS = 12


def under(link: str, weather: Weather, seconds: float) -> Fault:
    def strike(strike: Strike) -> None:
        with strike.stack.proxies[link].under(weather):
            strike.hold(seconds)

    return strike


def cut(link: str) -> Fault:
    def strike(strike: Strike) -> None:
        for _ in range(CUTS):
            strike.stack.proxies[link].reset_all()
            strike.hold(strike.rng.uniform(0.1, 0.4))

    return strike


SCENARIOS = (
    *(
        Scenario(
            id=f"{link}-{name}",
            title=f"{where}: {told}",
            strike=under(link, weather, seconds),
            options=PROXIES,
        )
        for link, where in LINKS.items()
        for name, (told, weather, seconds) in WEATHERS.items()
    ),
    *(
        Scenario(id=f"{link}-cut", title=f"{where}: cut {CUTS} times", strike=cut(link), options=PROXIES)
        for link, where in LINKS.items()
    ),
)
