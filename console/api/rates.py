"""How often an account may call. Counted in PostgreSQL, so that all processes of the console count together.

A window is a minute of the database's clock. At the edge of two windows an account may call twice as often as the limit
says, which does no harm here: it is there for a program that runs away. Webhooks have no such limit, and none of it is
in the ingress.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, override

from django.conf import settings
from django.db import connection
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from console.api.authentication import account_name

WINDOW_SECONDS = 60
# one row for each account, and no wait for the disk: a count that a crash of the machine loses was of a minute
COUNTED = """
WITH quickly AS (SELECT set_config('synchronous_commit', 'off', true))
INSERT INTO console_ratewindow AS kept (account, began_at, count)
SELECT %(account)s, date_trunc('minute', clock_timestamp()), 1 FROM quickly
ON CONFLICT (account) DO UPDATE SET
  count = CASE WHEN kept.began_at >= EXCLUDED.began_at THEN kept.count + 1 ELSE 1 END,
  began_at = GREATEST(kept.began_at, EXCLUDED.began_at)
RETURNING count, GREATEST(1, ceil(extract(epoch FROM began_at - clock_timestamp())) + 60)::int
"""


@dataclass(frozen=True, slots=True)
class Rate:
    """Of one account in this minute."""

    count: int
    limit_count: int
    resets_in_seconds: int

    @property
    def is_over(self) -> bool:
        return self.count > self.limit_count

    @property
    def headers(self) -> Mapping[str, str]:
        """As the IETF's draft of RateLimit header fields has them."""
        left = max(self.limit_count - self.count, 0)
        return {
            "RateLimit-Policy": f'"account";q={self.limit_count};w={WINDOW_SECONDS}',
            "RateLimit": f'"account";r={left};t={self.resets_in_seconds}',
        }


def counted(account: str) -> Rate:
    """This call too."""
    with connection.cursor() as cursor:
        cursor.execute(COUNTED, {"account": account})
        count, resets_in_seconds = cursor.fetchone()
    return Rate(count, settings.AUTOCOM.api_rate_limit_per_minute, resets_in_seconds)


class PerAccount(BaseThrottle):
    """Token or person, whatever the address."""

    @override
    def allow_request(self, request: Request, view: Any) -> bool:
        self.rate = counted(account_name(request))
        request.rate = self.rate  # type: ignore[attr-defined]  # read by AccountView
        return not self.rate.is_over

    @override
    def wait(self) -> float:
        return float(self.rate.resets_in_seconds)
