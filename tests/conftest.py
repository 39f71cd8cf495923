"""Fixtures shared by the Python tests."""

from __future__ import annotations

from pathlib import Path

import pytest

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real outcome tables; it is not part of the project."""
    if not SHARED_DATA.is_dir():
        pytest.skip("the real outcome tables (../shared/data) are not on this machine")
    return SHARED_DATA
