"""The garbage collector, set for processes that serve for days."""

import gc


def settle_memory() -> None:
    """Called once everything is loaded: the collector no longer walks what lives for ever, and runs seldom.

    Requests and batches leave no cycles behind, so the usual threshold of 2,000 objects was a tenth of the ingress's
    CPU for nothing.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
