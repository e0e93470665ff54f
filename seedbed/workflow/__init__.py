"""The main job: from labelled text to a proven, running small model. It composes the verbs of the rooms."""

from .config import RunConfig, RunFolder
from .job import Finished, resume, run

__all__ = ["Finished", "RunConfig", "RunFolder", "resume", "run"]
