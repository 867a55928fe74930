"""The objects that ``deploy/kubernetes`` makes, as kustomize makes them, or where it is absent as they are written."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).resolve().parents[2] / "deploy/kubernetes"
Object = dict[str, Any]
PART = "app.kubernetes.io/part-of"


@lru_cache
def objects(overlay: str = "overlays/production") -> list[Object]:
    """Return every object."""
    if shutil.which("kubectl") is None:
        return _as_written()
    done = subprocess.run(["kubectl", "kustomize", FOLDER / overlay], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return list(yaml.safe_load_all(done.stdout))


def _as_written() -> list[Object]:
    """Do what kustomize does to the base: its labels, and the ConfigMap it makes."""
    kustomization = yaml.safe_load((FOLDER / "base/kustomization.yaml").read_text())
    found: list[Object] = []
    for name in kustomization["resources"]:
        found += yaml.safe_load_all((FOLDER / "base" / name).read_text())
    for one in found:
        for template in _templates(one):
            template["metadata"].setdefault("labels", {})[PART] = "qsuite"
    (made,) = kustomization["configMapGenerator"]
    data = dict(pair.split("=", 1) for pair in made["literals"])
    return [*found, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": made["name"]}, "data": data}]


def _templates(one: Object) -> Iterator[Object]:
    spec = one.get("spec") or {}
    if "jobTemplate" in spec:
        spec = spec["jobTemplate"]["spec"]
    if "template" in spec:
        yield spec["template"]


def pods() -> dict[str, Object]:
    """Return the template of each object that makes pods, by its name."""
    return {
        one["metadata"]["name"]: template for one in objects() for template in _templates(json.loads(json.dumps(one)))
    }


def containers(template: Object) -> list[Object]:
    """Return all containers of a pod, those that run first included."""
    return [*template["spec"].get("initContainers", []), *template["spec"]["containers"]]


def of_kind(kind: str) -> dict[str, Object]:
    """Return the objects of one kind, by name."""
    return {one["metadata"]["name"]: one for one in objects() if one["kind"] == kind}


def configured() -> dict[str, str]:
    """Return what every container is configured with."""
    (found,) = of_kind("ConfigMap").values()
    data: dict[str, str] = found["data"]
    return data
