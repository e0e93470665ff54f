"""`seedbed doctor`"""

from __future__ import annotations

from . import show
from .options import Json


def doctor(json: Json = False) -> None:
    """What this machine and this installation can do."""
    import shutil

    from ..machine import GIB, machine, memory_to_plan_for, versions
    from ..models.runtime import runtime
    from ..settings import settings

    here, told = machine(), settings()
    there = next(folder for folder in (told.home, *told.home.parents) if folder.exists())
    facts = {**here.to_dict(), "memory_free": memory_to_plan_for(), "home": told.home, "models": told.models,
             "disk_free": shutil.disk_usage(there).free, "offline": told.offline, "runtime": runtime().describe(),
             "versions": versions()}
    if json:
        show.json(facts)
        return
    show.table(("what", "found"), [
        ("processor", here.processor), ("cores to use", str(here.cores)),
        ("features", ", ".join(here.features) or "none of those that matter"),
        ("device", runtime().where), ("computes in", runtime().reason),
        ("memory", f"{here.memory / GIB:.1f} GiB, {memory_to_plan_for() / GIB:.1f} GiB to plan for"),
        ("system", here.system), ("home", told.home), ("models", told.models),
        ("disk free", f"{shutil.disk_usage(there).free / GIB:.1f} GiB at {there}"),
        ("offline", "yes" if told.offline else "no"),
        *((name, found or "not installed") for name, found in versions().items())])
