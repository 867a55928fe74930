"""Training a classifier of texts: measured on sentences it never saw, stored by a task, used only where it is better.

The labelled sentences beside this checkout serve these measurements; nothing learnt from them is kept.
"""

import asyncio
import csv
import gzip
import hashlib
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from uuid_utils.compat import uuid7

from qsuite.cli.models import summary, train_rows
from qsuite.composition.models import make_models
from qsuite.domain.analytics.sentiment import LABELS, Label, label_of
from qsuite.domain.errors import Invalid, NotFound, SetupError, Unavailable
from qsuite.repos.database import Database, Document
from qsuite.repos.model_files import ModelFilesRepo
from qsuite.services.model_training import store_rows
from qsuite.services.sentiment.labelled import Labelled, unpack
from qsuite.services.sentiment.lexicon import lexicon_judgement, lexicon_scores, vader_judgement
from qsuite.services.sentiment.text_models import read_model, write_model
from qsuite.services.sentiment.training import Trained, is_held_out, once_each, split, train
from qsuite.services.tasks.train_sentiment import train_sentiment
from qsuite.settings import Settings
from tests.support.waiting import eventually

SEED = 1
OWNER = UUID(int=7)
MEANINGS = {Label.POSITIVE: "florps", Label.NEGATIVE: "grunks", Label.NEUTRAL: "sits"}


def made_up(n: int = 240, *, noise: bool = False) -> list[Labelled]:
    """Return headlines in words that no lexicon has; with noise their labels have nothing to do with them."""
    rng = np.random.default_rng(SEED)
    rows = []
    for number in range(n):
        label = LABELS[number % 3]
        said = LABELS[int(rng.integers(3))] if noise else label
        rows.append(Labelled(f"Firm {chr(97 + number % 26)}{chr(97 + number // 26)}x {MEANINGS[label]} again", said))
    return rows


@dataclass
class TaskWork:
    """A task's work, which notes how far it was."""

    database: Database
    job: UUID = field(default_factory=uuid7)
    owner: UUID = OWNER
    parts: list[float] = field(default_factory=list)

    def progress(self, part: float) -> None:
        self.parts.append(part)


# -- on real sentences ------------------------------------------------------------------------------------------------


def column(shared_data: Path, name: str, text: str, label: str) -> list[Labelled]:
    with gzip.open(shared_data / "text" / name, "rt", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return [
        Labelled(row[text], Label(row[label]) if row[label] in MEANINGS else label_of(float(row[label])))
        for row in rows
    ]


def never_shown(row: Labelled) -> bool:
    """Keep a quarter of the sentences from training altogether, by a hash of this test's own."""
    return hashlib.md5(" ".join(row.text.lower().split()).encode(), usedforsecurity=False).digest()[0] < 64


@pytest.fixture(scope="module")
def sentences(shared_data: Path) -> list[Labelled]:
    return once_each(column(shared_data, "financial_phrasebank_50agree.csv.gz", "sentence", "label"))[0]


@pytest.fixture(scope="module")
def trained(sentences: list[Labelled]) -> Trained:
    return train([row for row in sentences if not never_shown(row)], SEED)


def figures(rows: Sequence[Labelled], labels: Sequence[Label]) -> tuple[float, float]:
    """Return accuracy and macro-F1, as scikit-learn counts them."""
    from sklearn.metrics import accuracy_score, f1_score

    truth = [row.label.value for row in rows]
    guessed = [label.value for label in labels]
    return accuracy_score(truth, guessed), f1_score(truth, guessed, average="macro", zero_division=0)


def compared(trained: Trained, rows: Sequence[Labelled]) -> Mapping[str, tuple[float, float]]:
    model = trained.model
    return {
        "classifier": figures(rows, [model.judge(row.text, lexicon_scores(row.text)).label for row in rows]),
        "lexicon": figures(rows, [lexicon_judgement(row.text).label for row in rows]),
        "vader": figures(rows, [vader_judgement(row.text).label for row in rows]),
    }


def test_the_classifier_beats_the_lexicon_by_ten_points_on_sentences_never_trained_on(
    trained: Trained, sentences: list[Labelled], capsys: pytest.CaptureFixture[str]
) -> None:
    held = [row for row in sentences if never_shown(row)]
    found = compared(trained, held)
    with capsys.disabled():
        print(f"\n{len(held)} sentences never shown: {shown(found)}")  # noqa: T201  n is part of the claim
    assert len(held) > 700
    assert found["classifier"][1] - found["vader"][1] >= 0.10
    assert found["classifier"][1] - found["lexicon"][1] >= 0.10
    assert found["classifier"][0] > found["lexicon"][0]
    assert trained.usable, trained.reason


def test_what_is_told_of_a_model_is_what_others_count_on_its_own_held_out_texts(
    trained: Trained, sentences: list[Labelled]
) -> None:
    held = split([row for row in sentences if not never_shown(row)])[1]
    assert trained.parameters["texts_held_out"] == len(held) > 400
    for name, (accuracy, f1) in compared(trained, held).items():
        told = trained.scores if name == "classifier" else trained.baselines[name]
        assert (told["accuracy"].value, told["macro_f1"].value) == pytest.approx((accuracy, f1))
        low, high = told["macro_f1"].low, told["macro_f1"].high
        assert low is not None
        assert high is not None
        assert low < f1 < high
    assert trained.baselines["majority"]["accuracy"].value == pytest.approx(
        np.mean([row.label is Label.NEUTRAL for row in held])
    )
    assert trained.scores["calibration_error"].value < 0.06


def test_elsewhere_it_is_measured_too(trained: Trained, shared_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Headlines and posts from other places: what to expect of a model that is used where it did not learn."""
    for name, text in (("semeval2017_task5_headlines.csv.gz", "title"), ("fiqa_posts.csv.gz", "sentence")):
        rows = column(shared_data, name, text, "sentiment")
        found = compared(trained, rows)
        with capsys.disabled():
            print(f"\n{len(rows)} of {name.partition('.')[0]}: {shown(found)}")  # noqa: T201
        assert all(0 < figure < 1 for pair in found.values() for figure in pair)


def shown(found: Mapping[str, tuple[float, float]]) -> str:
    return ", ".join(f"{name} accuracy {accuracy:.3f} macro-F1 {f1:.3f}" for name, (accuracy, f1) in found.items())


# -- the training itself ----------------------------------------------------------------------------------------------


def test_the_same_rows_and_seed_give_the_same_model_which_knows_what_the_lexicon_does_not() -> None:
    first, second = train(made_up(), SEED), train(made_up(), SEED)
    assert write_model(first.model) == write_model(second.model)
    assert first.scores == second.scores
    assert first.usable
    assert first.scores["macro_f1"].value > 0.95 > 0.5 > first.baselines["lexicon"]["macro_f1"].value
    judged = first.model.judge("Firm new florps", lexicon_scores("Firm new florps"))
    assert (judged.label, judged.confidence > 0.6) == (Label.POSITIVE, True)


def test_a_model_that_is_not_better_is_not_usable_and_says_so() -> None:
    trained = train(made_up(noise=True), SEED)
    assert not trained.usable
    assert "not surely above zero" in trained.reason


def test_our_sums_are_those_of_the_library_that_learnt(trained: Trained, sentences: list[Labelled]) -> None:
    """The same features made by scikit-learn's own transformers, from the model's terms."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    from qsuite.domain.analytics.text_model import terms_of

    model = trained.model
    vectors = TfidfVectorizer(analyzer=terms_of, sublinear_tf=True, vocabulary=list(model.terms))
    vectors.idf_ = model.idf
    texts = [row.text for row in sentences[:50]]
    scores = [lexicon_scores(text) for text in texts]
    expected = vectors.transform(texts) @ model.weights + np.array(scores) @ model.lexicon + model.bias
    ours = [model.logits(text, each) for text, each in zip(texts, scores, strict=True)]
    assert np.array(ours) == pytest.approx(expected, abs=1e-9)


def test_a_text_counts_once_and_stays_on_its_side_of_the_split() -> None:
    rows = [
        Labelled("Up  and away", Label.POSITIVE),
        Labelled("up and AWAY", Label.POSITIVE),
        Labelled("Both", Label.POSITIVE),
        Labelled("both", Label.NEGATIVE),
    ]
    assert once_each(rows) == ([rows[0]], 3)
    assert is_held_out(rows[0].text) == is_held_out(rows[1].text)
    learnt, held = split(made_up())
    assert {row.text for row in learnt}.isdisjoint(row.text for row in held)
    assert len(held) == pytest.approx(48, abs=16)


def test_too_few_texts_of_a_label_are_refused_by_name() -> None:
    rows = [row for row in made_up() if row.label is not Label.NEGATIVE]
    with pytest.raises(Invalid, match="negative") as raised:
        train(rows, SEED)
    assert raised.value.code == "sentiment.too_few_texts"


def test_training_without_the_libraries_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.model_selection", None)
    with pytest.raises(Unavailable, match="extra 'models'") as raised:
        train(made_up(), SEED)
    assert raised.value.code == "models.not_installed"


# -- the task and the command -----------------------------------------------------------------------------------------


async def ask(database: Database, rows: Sequence[Labelled]) -> dict[str, Any]:
    return await store_rows(ModelFilesRepo(database), "made up", "made_up.csv", rows, new_id=uuid7, now=10**18)


async def test_the_task_stores_one_model_however_often_it_runs(database: Database) -> None:
    work, parameters = TaskWork(database), await ask(database, made_up())
    result = await train_sentiment(work, parameters)
    store = make_models(database)
    model = await store.get(work.job)
    assert result["model"] == str(model.id) == str(work.job)
    assert model.created_by == OWNER
    assert (model.name, model.trained_on.rows, model.trained_on.sha256) == ("made up", 240, parameters["sha256"])
    assert model.usable
    assert work.parts == sorted(work.parts)
    data = await store.file(model)
    assert read_model(data, model.sha256).judge("Firm grunks", (0, 0, 0)).label is Label.NEGATIVE
    assert await train_sentiment(work, parameters) == result
    with pytest.raises(NotFound):  # the rows went when the model was there
        await ModelFilesRepo(database).read(UUID(parameters["file"]), parameters["sha256"])
    assert database.sync.models.count_documents({}) == 1


async def test_the_command_trains_right_here_where_no_server_runs(database: Database, settings: Settings) -> None:
    result = await train_rows(database, settings, made_up(), "mine.csv", "mine", has_server=False)
    first, *others = summary(result)
    assert re.fullmatch(r"model [0-9a-f-]{36}: usable, on \d+ held-out texts its macro-F1 is .*", first)
    assert others[0].startswith("  macro_f1 1.000 (1.000 to 1.000); lexicon 0.")
    model = await make_models(database).get(UUID(result["model"]))
    assert (model.name, model.created_by, model.trained_on.description) == ("mine", UUID(int=0), "mine.csv")
    assert database.sync.jobs.count_documents({}) == 0


async def test_the_command_hands_a_job_to_the_server_that_has_the_directory(
    database: Database, settings: Settings
) -> None:
    async def serve() -> Document:
        """Read the rows as the job refers to them, and end it."""
        job = await eventually(lambda: database.sync.jobs.find_one({}))
        given = job["parameters"]
        rows = unpack(await ModelFilesRepo(database).read(UUID(given["file"]), given["sha256"]))
        database.sync.jobs.update_one({}, {"$set": {"state": "done", "result": {"rows": len(rows)}}})
        return job

    asked = train_rows(database, settings, made_up(), "mine.csv", "mine", has_server=True)
    result, job = await asyncio.gather(asked, serve())
    assert result == {"rows": 240}
    assert (job["kind"], job["owner"]) == ("train_sentiment", UUID(int=0))


async def test_the_command_says_why_the_servers_job_failed(database: Database, settings: Settings) -> None:
    async def fail() -> None:
        await eventually(lambda: database.sync.jobs.find_one({}))
        error = {"code": "sentiment.too_few_texts", "detail": "too few"}
        database.sync.jobs.update_one({}, {"$set": {"state": "failed", "error": error}})

    asked = train_rows(database, settings, made_up(), "mine.csv", "mine", has_server=True)
    found = await asyncio.gather(asked, fail(), return_exceptions=True)
    assert isinstance(found[0], SetupError)
    assert "failed: too few" in found[0].detail


def test_the_command_says_in_one_line_what_is_wrong_with_a_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.csv"
    file.write_text("headline,mood\nGood,positive\n")
    command = [sys.executable, "-m", "qsuite", "models", "train-sentiment", str(file)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == (
        "Error: the labelled texts cannot be read (label column: name one of headline, mood with --label-column)\n"
    )
