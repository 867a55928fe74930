"""The rules of the code itself: imports, roles, errors."""
