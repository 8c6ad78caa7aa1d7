from collections.abc import Iterator

import pytest

from autocom.kernel.request_context import REQUEST_ID


@pytest.fixture(autouse=True)
def no_request_at_hand() -> Iterator[None]:
    """As in a fresh thread: a drain or a request of the test before is none of this one's."""
    token = REQUEST_ID.set(None)
    yield
    REQUEST_ID.reset(token)
