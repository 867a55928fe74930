"""Trained models as a client sees them."""

import uuid
from typing import Any

from tests.support.models import FILE, a_model
from tests.support.running_app import Api
from tests.support.waiting import eventually

MODELS = "/api/v1/models/"


async def test_a_model_shows_its_scores_beside_those_of_its_baselines(api: Api) -> None:
    model = a_model(name="shown")
    await api.services.models.save(model, FILE)
    answer = await api.viewer.get(f"{MODELS}{model.id}/")
    assert (answer.status, answer.json["kind"], answer.json["usable"]) == (200, "sentiment", True)
    assert answer.json["scores"]["macro_f1"] == {"value": 0.7, "low": 0.65, "high": 0.75}
    assert answer.json["scores"]["rows"] == {"value": 40.0, "low": None, "high": None}
    assert answer.json["baselines"]["majority"]["macro_f1"]["value"] == 0.2
    assert answer.json["trained_on"] == {"description": "headlines.csv", "rows": 3, "sha256": "0" * 64}
    known = {"If-None-Match": answer.headers["ETag"]}
    assert (await api.viewer.get(f"{MODELS}{model.id}/", headers=known)).status == 304


async def test_models_are_listed_newest_first_and_by_what_they_are(api: Api) -> None:
    day = a_model().created_at
    old, new = a_model(name="listed", usable=False), a_model(name="listed", created_at=day + 10**9)
    for model in (old, new):
        await api.services.models.save(model, FILE)
    answer = await api.trader.get(MODELS, query={"name": "listed"})
    assert [model["id"] for model in answer.json["results"]] == [str(new.id), str(old.id)]
    answer = await api.trader.get(MODELS, query={"name": "listed", "usable": "true"})
    assert [model["id"] for model in answer.json["results"]] == [str(new.id)]
    assert (await api.trader.get(MODELS, query={"kind": "market"})).json["count"] == 0
    assert (await api.trader.get(MODELS, query={"kind": "magic"})).status == 422


async def test_a_deleted_model_is_gone(api: Api) -> None:
    model = a_model()
    await api.services.models.save(model, FILE)
    assert (await api.admin.delete(f"{MODELS}{model.id}/")).status == 204
    assert (await api.admin.delete(f"{MODELS}{model.id}/")).status == 404
    assert (await api.viewer.get(f"{MODELS}{model.id}/")).status == 404
    [entry] = await recorded_of(api, str(model.id))
    assert (entry["kind"], entry["facts"]["sha256"]) == ("model.deleted", model.sha256)


async def recorded_of(api: Api, subject: str) -> list[dict[str, Any]]:
    answer = await api.auditor.get("/api/v1/audit/", query={"chain": "access", "subject": subject})
    return list(answer.json["results"])


async def test_what_names_no_model_is_not_found(api: Api) -> None:
    assert (await api.viewer.get(f"{MODELS}{uuid.uuid4()}/")).status == 404
    assert (await api.viewer.get(f"{MODELS}newest/")).status == 404


async def test_a_training_is_a_job_whose_worker_reads_the_rows_by_reference(api: Api) -> None:
    rows = [{"text": f"Headline {number}", "label": "positive"} for number in range(60)]
    asked = {"kind": "sentiment", "name": "mine", "description": "by hand", "rows": rows}
    answer = await api.admin.post(MODELS, asked)
    assert (answer.status, answer.json["kind"]) == (202, "train_sentiment")
    address = answer.headers["Location"]
    [entry] = await recorded_of(api, answer.json["id"])
    assert (entry["kind"], entry["facts"]["name"]) == ("model.training_asked", "mine")
    assert address == f"/api/v1/jobs/{answer.json['id']}/"

    async def ended() -> Any:
        job = (await api.admin.get(address)).json
        return job if job["state"] in ("done", "failed") else None

    job = await eventually(ended, timeout_s=60)
    # A worker process has them all, and says what is missing among them.
    assert (job["state"], job["error"]["code"]) == ("failed", "sentiment.too_few_texts")
    assert "different texts that are negative" in job["error"]["detail"]
    assert (await api.admin.get(MODELS, query={"name": "mine"})).json["count"] == 0


async def test_a_wrong_row_is_named_and_no_job_is_made(api: Api) -> None:
    good = {"text": "Good", "label": 0.5}
    for wrong in (None, {"text": "Bad"}, {"text": "Bad", "label": "grand"}, {"text": "", "label": 0}, good | {"x": 1}):
        answer = await api.admin.post(MODELS, {"kind": "sentiment", "name": "mine", "rows": [good, wrong]})
        assert (answer.status, list(answer.json["errors"])) == (422, ["rows.1"]), answer
    assert (await api.admin.post(MODELS, {"kind": "magic", "name": "mine", "rows": [good]})).status == 422
