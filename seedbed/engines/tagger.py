"""A transformer that gives every token a tag, run by torch: texts in, labelled spans out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..data.marks import Span
from ..errors import CorruptFile, NotFound, UserError, lacking
from ..models.backbone import DESCRIPTION, Backbone
from ..models.batch import TOKENS_PER_BATCH, by_length
from ..models.folder import quietly
from ..models.windows import windows
from ..progress import SILENT, Progress
from ..tasks.entities import IGNORED, Entities
from .base import TAGS
from .marks import Logs, Marks

TAGGER = "tagger.json"
FORMAT = 1


class Tagger(Marks):
    """`backbone(token) @ weight.T + bias`, and the likeliest legal tags of each text.

    Args:
        backbone: the body with its tokenizer; longer texts than its `max_tokens` are read in windows.
        weight: [tags, width], fp32.
        bias: [tags], fp32.
    """

    kind, gives = "tagger", TAGS

    def __init__(self, backbone: Backbone, task: Entities, weight: Tensor, bias: Tensor) -> None:
        self.backbone, self.task, self.weight, self.bias = backbone, task, weight, bias

    def losses(self, texts: Sequence[str], spans: Sequence[Sequence[Span]]) -> tuple[
            NDArray[np.float64], NDArray[np.int64]]:
        """Cross-entropy of each text in nats, summed over its tokens, and how many those are. [texts] each"""
        nats, tokens = np.zeros(len(texts)), np.zeros(len(texts), np.int64)
        for row, (log, offsets) in enumerate(self.logs(texts)):
            tags = self.task.encode(texts[row], spans[row], offsets).tags
            told = np.flatnonzero(tags != IGNORED)
            nats[row], tokens[row] = -log[told, tags[told]].sum(dtype=np.float64), len(told)
        return nats, tokens

    @torch.inference_mode()
    def logs(self, texts: Sequence[str], progress: Progress = SILENT) -> list[Logs]:
        """Of each text the log-probabilities of its tokens' tags [tokens, tags], and where the tokens stand."""
        cuts = windows(self.backbone.tokenizer, texts, self.backbone.max_tokens, self.backbone.causal)
        logs = [np.zeros((len(cut.offsets), len(self.task.tags)), np.float32) for cut in cuts]
        rows = [(text, one) for text, cut in enumerate(cuts) for one in cut.windows if len(one.places)]
        self.backbone.eval()
        progress.start("tag", len(rows), "windows")
        for some in by_length([len(one.ids) for _, one in rows], TOKENS_PER_BATCH):
            hidden = self.backbone(self.backbone.batch([rows[i][1].ids for i in some]), pool=False)
            scores = (hidden.float().cpu() @ self.weight.T + self.bias).log_softmax(-1).numpy()
            for each, i in zip(scores, some, strict=True):
                text, one = rows[i]
                logs[text][one.tokens] = each[one.places]
            progress.advance("tag", len(some))
        progress.done("tag")
        return [(log, cut.offsets) for log, cut in zip(logs, cuts, strict=True)]

    def save(self, folder: Path) -> None:
        """Write a folder that `AutoModelForTokenClassification` opens, with `tagger.json` beside it.

        Raises:
            UserError: transformers has no such model of this family (`head_of`).
        """
        body, tags = self.backbone.body, self.task.tags
        model, name = head_of(body.config, tags)
        missing = model.base_model.load_state_dict(body.state_dict(), strict=False).missing_keys
        assert not missing, missing  # a pooler that is left over is no loss
        model.base_model.to(self.backbone.dtype)
        head = model.get_submodule(name)
        head.to(torch.float32)
        with torch.no_grad():
            head.weight.copy_(self.weight)
            head.bias.copy_(self.bias)
        model.config._attn_implementation = "eager"
        model.save_pretrained(folder)
        self.backbone.tokenizer.save_pretrained(folder)
        (folder / DESCRIPTION).write_text(json.dumps({
            "pooling": self.backbone.pooling, "normalized": self.backbone.normalized,
            "max_tokens": self.backbone.max_tokens}))
        (folder / TAGGER).write_text(json.dumps({"format": FORMAT, "head": name, **self.task.to_dict()}))

    @classmethod
    def open(cls, folder: Path) -> Tagger:
        """The same as `load`, on this machine as it computes."""
        return cls.load(folder)

    @classmethod
    def load(cls, folder: Path, *, exactly: bool = False) -> Tagger:
        """Open what `save` wrote.

        Args:
            exactly: in fp32, whatever this machine would choose.

        Raises:
            NotFound, CorruptFile: it is no such folder, or a file is damaged or of a newer version.
        """
        from safetensors import safe_open

        if not (folder / TAGGER).is_file():
            raise NotFound(f"{folder} holds no tagger: {TAGGER} is missing.",
                           "Name a run of seedbed train FILE --task entities.")
        try:
            values = json.loads((folder / TAGGER).read_text())
            if values["format"] > FORMAT:
                raise ValueError(f"format {values['format']} is newer than this version")
            task, head = Entities.from_dict(values), dict[str, Tensor]()
            for file in sorted(folder.glob("*.safetensors")):
                with safe_open(file, "pt") as opened:
                    for name in set(opened.keys()) & {f"{values['head']}.weight", f"{values['head']}.bias"}:
                        head[name.rpartition(".")[2]] = opened.get_tensor(name).float()
            if head["weight"].shape[0] != len(task.tags):
                raise ValueError(f"the head gives {head['weight'].shape[0]} tags, the labels need {len(task.tags)}")
            dtype = torch.float32 if exactly else None
            return cls(Backbone.open(folder, dtype=dtype), task, head["weight"], head["bias"])
        except (OSError, KeyError, ValueError, RuntimeError) as problem:
            if lacking(problem):
                raise
            raise CorruptFile(f"The tagger in {folder} cannot be read: {problem}.", "Train it again.") from problem


def head_of(config: Any, tags: Sequence[str]) -> tuple[Any, str]:
    """A fresh token classifier of a body's family, and the name of its head.

    Raises:
        UserError: transformers has none whose head is one linear layer with a bias.
    """
    import copy

    from transformers import AutoModelForTokenClassification
    from transformers.models.auto.modeling_auto import MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING_NAMES

    refused = UserError(f"A model of the family {config.model_type} cannot be saved as a tagger.",
                        "Take an encoder, such as all-minilm-l6-v2.")
    if config.model_type not in MODEL_FOR_TOKEN_CLASSIFICATION_MAPPING_NAMES:
        raise refused
    config = copy.deepcopy(config)
    config.id2label, config.label2id = dict(enumerate(tags)), {tag: i for i, tag in enumerate(tags)}
    config._attn_implementation = "eager"
    with quietly(), torch.random.fork_rng():  # its random weights are all replaced
        model = AutoModelForTokenClassification.from_config(config)
    inside = {id(p) for p in model.base_model.parameters()}
    outside = [name for name, p in model.named_parameters() if id(p) not in inside]
    name = outside[0].rpartition(".")[0] if outside else ""
    if set(outside) != {f"{name}.weight", f"{name}.bias"}:
        raise refused
    return model, name
