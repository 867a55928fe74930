"""Which passwords are refused whatever a strength estimate says; the estimate itself is in ``services.passwords``."""

import unicodedata
from difflib import SequenceMatcher

MAX_LENGTH = 1_000
ALIKE = 0.7  # as Django's validator: "alice2024" beside "alice_2024" is a guess, not a secret
REST_MIN_LENGTH = 8


def normalized(password: str) -> str:
    """Return one spelling of what different keyboards send for the same characters (NIST SP 800-63B 3.1.1.2)."""
    return unicodedata.normalize("NFKC", password)


def objections(password: str, about: tuple[str, ...], *, min_length: int) -> list[str]:
    """Return why a password is refused, empty if by nothing here; ``about`` is what is known of its user."""
    found: list[str] = []
    if len(password) < min_length:
        found.append(f"at least {min_length} characters")
    if len(password) > MAX_LENGTH:
        found.append(f"at most {MAX_LENGTH} characters")
        return found  # comparing texts this long costs more than the answer is worth
    if password and all(char.isnumeric() or char in " .,-/+" for char in password):
        found.append("not only digits")
    if any(_alike(password, fact) for fact in about):
        found.append("too much like the username or e-mail address")
    return found


def _alike(password: str, fact: str) -> bool:
    """Compare letters and digits only, forwards and backwards; what is put around a name must be a secret itself."""
    left, right = _core(password), _core(fact)
    if not left or len(right) < 3:
        return False
    rest = left.replace(right, "").replace(right[::-1], "")
    if rest != left and (len(rest) < REST_MIN_LENGTH or rest.isnumeric()):
        return True
    return any(SequenceMatcher(None, left, other).ratio() >= ALIKE for other in (right, right[::-1]))


def _core(text: str) -> str:
    return "".join(char for char in text.casefold() if char.isalnum())
