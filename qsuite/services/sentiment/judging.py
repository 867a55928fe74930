"""What worker processes run: judge many texts by a model they may know from an earlier call, or by the lexicon."""

from collections.abc import Sequence

from qsuite.domain.analytics.sentiment import Judgement
from qsuite.services.sentiment.lexicon import lexicon_judgement, lexicon_scores
from qsuite.services.sentiment.text_models import ModelCache

_models = ModelCache()


def judge_by_lexicon(texts: Sequence[str]) -> list[Judgement]:
    """Judge texts by the default lexicon."""
    return [lexicon_judgement(text) for text in texts]


def judge_by_model(texts: Sequence[str], sha256: str, data: bytes | None) -> list[Judgement] | None:
    """Judge texts by the model of a file. None: this process does not know it, so call again with ``data``, the file.

    Unavailable for a damaged file.
    """
    model = _models.get(sha256, data)
    if model is None:
        return None
    return [model.judge(text, lexicon_scores(text)) for text in texts]
