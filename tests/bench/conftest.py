from tests.ingestion.conftest import lanes

__all__ = ["lanes"]
