"""A model that writes, run by ExecuTorch, in the file that its `TextLLMRunner` opens on Android and iOS. In Python
its runtime needs torch."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..data.turns import Turn
from ..errors import CorruptFile, MissingExtra
from ..settings import settings
from ..tasks.classify import Floats
from .executorch import MODEL
from .exported import TOKENIZER, muted
from .exported_author import ExportedAuthor
from .reading import fit, shared
from .spelled import spelled

ROOM, PASS, ENDS = "get_max_context_len", "get_max_seq_len", "get_eos_ids"
"""What the file says of itself, as ExecuTorch's runners ask it: tokens that it keeps, that it reads at once, and at
which an answer ends."""


class RunnerWords:
    """A `tokenizer.json` as ExecuTorch's runner reads it.

    Raises:
        MissingExtra: the package is not installed. RuntimeError: it knows no such tokenizer.
    """

    def __init__(self, file: Path) -> None:
        from tokenizers import Tokenizer

        try:
            with muted(1, 2):
                from pytorch_tokenizers import CppHFTokenizer
        except ImportError as problem:
            raise MissingExtra("Writing with ExecuTorch", "executorch") from problem
        with muted(1, 2):  # it tells which expressions it does not know
            self._read = CppHFTokenizer()
            self._read.load(str(file))
        self.words = Tokenizer.from_file(str(file))
        self._begins = len(self.words.encode("").ids)

    def tokens(self, text: str, *, special: bool) -> list[int]:
        """Tokens of a text: marks in it always count.

        Args:
            special: it is rendered already, so nothing is put before it.
        """
        return [int(token) for token in self._read.encode(text, 0 if special else self._begins, 0)]

    def piece(self, made: list[int], token: int) -> str | None:
        """How a token looks after some others; None where it is no text."""
        try:
            return str(self._read.decode(made[-1] if made else token, token))
        except UnicodeDecodeError:
            return None


class ExecuTorchFile:
    """`model.pte`, open. Its keys and values lie in memory whole; it remembers what it read, and reads what is new.

    Args:
        folder: as `export.targets.executorch_writer` writes it.

    Raises:
        MissingExtra: ExecuTorch is not installed. CorruptFile: it does not open the file.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            with muted():  # they tell what they look for on the machine
                import executorch.kernels.quantized  # noqa: F401  tables of words at 8 bits
                from executorch.extension.llm.custom_ops import custom_ops  # noqa: F401  attention with a cache
                from executorch.extension.pybindings.portable_lib import _unsafe_reset_threadpool
                from executorch.runtime import Runtime
        except ImportError as problem:
            raise MissingExtra("Writing with ExecuTorch", "executorch") from problem
        try:
            with muted():
                _unsafe_reset_threadpool(settings().threads)  # safe while no model of this runtime answers
                program = Runtime.get().load_program(folder / MODEL)
                self._forward = program.load_method("forward")
                [self.room], [self.most], self._ends = (
                    [int(one) for one in program.load_method(name).execute([])] for name in (ROOM, PASS, ENDS))
            self._words = RunnerWords(folder / TOKENIZER)
        except MissingExtra:
            raise
        except Exception as problem:  # whatever a parser says of bytes that are no model
            raise CorruptFile(f"ExecuTorch cannot open {folder / MODEL}: {str(problem).strip().splitlines()[-1]}",
                              "Export it again.") from problem
        self._read = list[int]()

    def logits(self, ids: Sequence[int], last: int = 1) -> Floats:
        """Logits of every word after each of the last tokens. [last, words], fp32

        Raises:
            UserError: there is no room for so many tokens.
        """
        import torch

        ids = list(ids)
        fit(ids, self.room)
        same = shared(ids, self._read)
        begin = min(same, len(ids) - last)  # what was kept after a place is written over from there on
        self._read, found = ids[:begin], []
        for start in range(begin, len(ids), self.most):
            some = ids[start:start + self.most]
            [said] = self._forward.execute([torch.tensor([some]), torch.tensor([start])])
            self._read += some
            first = max(0, len(ids) - last - start)
            if first < len(some):
                found.append(np.array(said[0, first:], np.float32))  # the next pass writes into the same memory
        return np.concatenate(found)

    def forget(self) -> None:
        """Read everything anew next time."""
        self._read = []

    def tokens(self, text: str, *, special: bool) -> list[int]:
        """Tokens of a text as the runner's own tokenizer reads it: marks in it always count."""
        return self._words.tokens(text, special=special)

    def ends(self, token: int) -> bool:
        """Whether the runner stops at a token."""
        return token in self._ends

    def render(self) -> Callable[[Sequence[Turn]], str] | None:
        """A conversation by the template beside the file, as an app must render it: the runner reads a text as it
        is. None where there is no template."""
        from transformers import AutoTokenizer

        from ..models.template import Template

        template = Template(AutoTokenizer.from_pretrained(self.folder, local_files_only=True), 1 << 30)
        return template.prompt if template.chats else None

    def runner(self) -> Callable[[Sequence[int], int], list[int]]:
        """The runner's own way of writing: so many of the likeliest tokens after these. It reads and writes texts; of
        tokens that look alike the likeliest by this runtime stands for what it wrote."""
        from executorch.extension.llm.runner import GenerationConfig, TextLLMRunner

        def write(ids: Sequence[int], most: int) -> list[int]:
            text, pieces = self._words.words.decode(list(ids), skip_special_tokens=False), list[str]()
            if self.tokens(text, special=True) != list(ids):
                raise ValueError("its tokenizer reads a text otherwise")
            options = GenerationConfig(echo=False, max_new_tokens=most, temperature=0.0)
            with muted(1, 2), contextlib.suppress(UnicodeDecodeError):  # it prints; half a character is no text
                runner = TextLLMRunner(str(self.folder / MODEL), str(self.folder / TOKENIZER))
                runner.generate(text, options, pieces.append)
            return spelled(self, ids, pieces, self._words.piece)
        return write


class ExecuTorchWriter(ExportedAuthor):
    """Writes as `Writer` does, with the same prompts and the same draw; ExecuTorch computes.

    Args:
        folder: of the exported model.
        model: folder of the model that it was made from, for its tokenizer and template.
    """

    def __init__(self, folder: Path, model: Path) -> None:
        self.runtime: Any = ExecuTorchFile(folder)
        super().__init__(model, self.runtime.room)
