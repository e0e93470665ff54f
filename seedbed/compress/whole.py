"""A whole model in memory, every weight of it as stored, and a folder of it that plain transformers opens."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import UserError
from ..models.backbone import DESCRIPTION
from ..models.folder import open_folder, quietly

BESIDE = (DESCRIPTION, "modules.json", "sentence_bert_config.json", "config_sentence_transformers.json", "task.json",
          "LICENSE", "LICENSE.txt", "NOTICE")
"""Files of a model folder that no class of transformers writes; they hold for a smaller model as well."""


@dataclass(frozen=True)
class Whole:
    """A model and its tokenizer.

    Args:
        model: of the class that its config names, in the precision that it is stored in.
        tokenizer: of transformers, a fast one.
        folder: where they are from.
    """

    model: Any
    tokenizer: Any
    folder: Path

    @classmethod
    def open(cls, folder: Path) -> Whole:
        """Open a model folder, or a GGUF folder.

        Raises:
            NotFound, CorruptFile: there is no model in it.
            UserError: its class is not one of transformers, or it has no tokenizer.json.
        """
        import transformers

        folder = open_folder(folder)
        config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True)
        name = str((config.architectures or ["AutoModel"])[0])
        kind = getattr(transformers, name, None)
        if kind is None:
            raise UserError(f"{folder} holds a {name}, which transformers does not know.", "Take another model.")
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
        if not tokenizer.is_fast:
            raise UserError("The model's tokenizer is a slow one.", "Take a model whose folder has a tokenizer.json.")
        with quietly():
            model = kind.from_pretrained(folder, local_files_only=True, dtype="auto")
        head = model.get_output_embeddings()
        if head is not None and head.weight is not model.get_input_embeddings().weight:
            model.config.tie_word_embeddings = False  # transformers calls FLAN-T5's tied; older versions believe it
        return cls(model.eval().requires_grad_(False), tokenizer, folder)

    @property
    def parameters(self) -> int:
        """How many there are; tied ones once."""
        return sum(one.numel() for one in self.model.parameters())

    def save(self, folder: Path) -> None:
        """Write the model, its tokenizer, and what lies beside them."""
        with quietly():
            self.model.save_pretrained(folder)
        self.tokenizer.save_pretrained(folder)
        for name in BESIDE:
            if (self.folder / name).is_file():
                shutil.copyfile(self.folder / name, folder / name)
        if (folder / "modules.json").is_file():  # of sentence-transformers: pooling and what follows it
            for part in json.loads((folder / "modules.json").read_text(encoding="utf-8")):
                if part["path"] and (self.folder / part["path"]).is_dir():
                    shutil.copytree(self.folder / part["path"], folder / part["path"], dirs_exist_ok=True)


def size_of(folder: Path) -> int:
    """Bytes of all files of a folder, but of what a GGUF file was turned into."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
