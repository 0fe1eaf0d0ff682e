"""Plain values, as JSON holds them."""

import math
from collections.abc import Mapping
from typing import Any


def plain(value: Any, digits: int = 3) -> Any:
    """Rounded to so many digits, with None for what is no number: JSON has no other word for it."""
    if isinstance(value, Mapping):
        return {str(key): plain(item, digits) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item, digits) for item in value]
    if isinstance(value, float):
        return round(value, digits) if math.isfinite(value) else None
    return value
