"""The main job: from labelled text to a proven, running small model. It composes the verbs of the rooms."""

from .compressing import shrink
from .config import RunConfig, RunFolder, TuneConfig
from .job import Finished, resume, run
from .tune import FineTuned, finetune

__all__ = ["FineTuned", "Finished", "RunConfig", "RunFolder", "TuneConfig", "finetune", "resume", "run", "shrink"]
