"""llama.cpp as the wheel of xllamacpp carries it: its C functions, by ctypes.

xllamacpp's own interface is a server. It gives neither the logits of each token nor quantizes, and both are needed
to prove that an exported file answers like the model. The functions are those of `llama.h` and `ggml.h`; structures
whose fields are not needed are passed as bytes, wide enough for any version. The extra pins the wheel's version.
"""

from __future__ import annotations

import ctypes as c
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ..errors import CorruptFile, MissingExtra, NoResources
from ..settings import settings, share_processor
from .reading import shared

Floats = NDArray[np.float32]
WIDE = 1024
"""Bytes; the structures have fewer than 200."""
BATCH = 512
"""Tokens of one pass: as many as llama.cpp passes at once."""
QUIET = c.CFUNCTYPE(None, c.c_int, c.c_char_p, c.c_void_p)
_silence = QUIET(lambda level, text, data: None)


class _ModelOptions(c.Structure):
    _fields_ = [("before", c.c_uint8 * 24), ("load", c.c_int32), ("bytes", c.c_uint8 * (WIDE - 28))]


AS_IT_LIKES, READ = -1, 0
"""`load_mode` in llama.h: llama.cpp's default, which maps the file; and the file is read. Mapped pages stay beside
the weights that llama.cpp lays out anew for the processor's instructions: a 7B at 4 bits took 8.6 GB."""


class _Options(c.Structure):
    _fields_ = [("context", c.c_uint32), ("batch", c.c_uint32), ("pass_", c.c_uint32), ("sequences", c.c_uint32),
                ("bytes", c.c_uint8 * (WIDE - 16))]


class _Batch(c.Structure):
    _fields_ = [("count", c.c_int32), ("token", c.POINTER(c.c_int32)), ("embd", c.c_void_p),
                ("pos", c.POINTER(c.c_int32)), ("n_seq_id", c.POINTER(c.c_int32)),
                ("seq_id", c.POINTER(c.POINTER(c.c_int32))), ("logits", c.POINTER(c.c_int8))]


_P, _I, _S, _B = c.c_void_p, c.c_int32, c.c_char_p, c.c_bool
SIGNATURES: dict[str, tuple[Any, list[Any]]] = {
    "llama_log_set": (None, [QUIET, _P]), "llama_backend_init": (None, []),
    "llama_model_default_params": (_ModelOptions, []), "llama_context_default_params": (_Options, []),
    "llama_model_load_from_file": (_P, [_S, _ModelOptions]), "llama_init_from_model": (_P, [_P, _Options]),
    "llama_model_free": (None, [_P]), "llama_free": (None, [_P]), "llama_set_n_threads": (None, [_P, _I, _I]),
    "llama_n_ctx": (c.c_uint32, [_P]), "llama_model_n_ctx_train": (_I, [_P]),
    "llama_batch_init": (_Batch, [_I, _I, _I]), "llama_batch_free": (None, [_Batch]),
    "llama_decode": (_I, [_P, _Batch]), "llama_get_logits_ith": (c.POINTER(c.c_float), [_P, _I]),
    "llama_get_memory": (_P, [_P]), "llama_memory_seq_rm": (_B, [_P, _I, _I, _I]),
    "llama_model_get_vocab": (_P, [_P]), "llama_vocab_n_tokens": (_I, [_P]), "llama_vocab_is_eog": (_B, [_P, _I]),
    "llama_vocab_eos": (_I, [_P]),
    "llama_adapter_lora_init": (_P, [_P, _S]),
    "llama_set_adapters_lora": (_I, [_P, c.POINTER(_P), c.c_size_t, c.POINTER(c.c_float)]),
    "llama_tokenize": (_I, [_P, _S, _I, c.POINTER(c.c_int32), _I, _B, _B]),
    "llama_model_chat_template": (_S, [_P, _S]),
    "ggml_quantize_chunk": (c.c_size_t, [c.c_int, _P, _P, c.c_int64, c.c_int64, c.c_int64, _P]),
    "ggml_row_size": (c.c_size_t, [c.c_int, c.c_int64])}


@cache
def library() -> Any:
    """The functions, silent.

    Raises:
        MissingExtra: xllamacpp is not installed, or a version of it that hides them.
    """
    try:
        share_processor()
        from xllamacpp import xllamacpp
        found = c.CDLL(xllamacpp.__file__)
        for name, (result, arguments) in SIGNATURES.items():
            function = getattr(found, name)
            function.restype, function.argtypes = result, arguments
    except (ImportError, OSError, AttributeError) as problem:
        raise MissingExtra("Writing or running GGUF files", "gguf") from problem
    found.llama_log_set(_silence, None)
    found.llama_backend_init()
    if (found.llama_context_default_params().sequences, found.llama_model_default_params().load) != (1, AS_IT_LIKES):
        # the structures are other ones than they were
        raise MissingExtra("Writing or running GGUF files with this version of xllamacpp", "gguf")
    return found


def pack(values: Floats, kind: int, importance: Floats | None = None) -> NDArray[np.uint8]:
    """Quantize a matrix as ggml does. [rows, width] -> [rows, bytes]

    Args:
        kind: ggml's number of the type; its blocks must divide the width.
        importance: how much an error in each column matters; else ggml guesses from the values. [width]
    """
    code = library()
    values = np.ascontiguousarray(values, np.float32)
    rows, width = values.shape
    out = np.empty((rows, code.ggml_row_size(kind, width)), np.uint8)
    weights = None if importance is None else np.ascontiguousarray(importance, np.float32)
    if weights is not None and weights.shape != (width,):
        raise ValueError(f"{weights.shape} weights for {width} columns")
    threads = min(settings().threads, rows)
    starts = [rows * part // threads for part in range(threads + 1)]

    def some(part: int) -> int:
        written: int = code.ggml_quantize_chunk(
            kind, values.ctypes.data, out.ctypes.data, starts[part] * width, starts[part + 1] - starts[part], width,
            None if weights is None else weights.ctypes.data)
        return written
    with ThreadPoolExecutor(threads) as pool:  # each row is quantized by itself, and ctypes lets Python go on
        written = sum(pool.map(some, range(threads)))
    if written != out.nbytes:
        raise ValueError(f"ggml wrote {written} bytes where {out.nbytes} were expected")
    return out


class LlamaFile:
    """A GGUF file that llama.cpp has opened. It remembers the tokens that it read last, and reads only what is new.

    Args:
        file: the GGUF file.
        context: most tokens of a text.
        threads: that compute.

    Raises:
        MissingExtra: xllamacpp is not installed. CorruptFile: llama.cpp does not open the file.
    """

    def __init__(self, file: Path, context: int, threads: int) -> None:
        self._context = self._model = None
        self._code = code = library()
        kind = code.llama_model_default_params()
        kind.load = READ
        self._model = code.llama_model_load_from_file(str(file).encode(), kind)
        if not self._model:
            raise CorruptFile(f"llama.cpp cannot open {file}.", "Export it again.")
        options = self._code.llama_context_default_params()
        options.context, options.batch, options.pass_ = context, BATCH, BATCH
        self._context = self._code.llama_init_from_model(self._model, options)
        if not self._context:
            raise NoResources(f"The memory does not suffice for {context:,} tokens of {file.name}.",
                              "Close other programs, or take a smaller model.")
        self._code.llama_set_n_threads(self._context, threads, threads)
        self._batch = self._code.llama_batch_init(BATCH, 0, 1)
        self._vocabulary = self._code.llama_model_get_vocab(self._model)
        self.words = int(self._code.llama_vocab_n_tokens(self._vocabulary))
        self.trained = int(self._code.llama_model_n_ctx_train(self._model))
        """Most tokens, as the file says."""
        self._read = list[int]()

    def logits(self, ids: Sequence[int], last: int = 1) -> Floats:
        """Logits of every word after each of the last tokens. [last, words], fp32"""
        ids = list(ids)
        at = min(shared(ids, self._read), len(ids) - last)
        self._code.llama_memory_seq_rm(self._code.llama_get_memory(self._context), 0, at, -1)
        self._read = ids[:at]
        out = np.empty((last, self.words), np.float32)
        for start in range(at, len(ids), BATCH):
            some = ids[start:start + BATCH]
            wanted = self._pass(some, start, len(ids) - last)
            for place in wanted:
                row = self._code.llama_get_logits_ith(self._context, place)
                out[start + place - (len(ids) - last)] = np.ctypeslib.as_array(row, (self.words,))
            self._read += some
        return out

    def _pass(self, some: list[int], start: int, first: int) -> list[int]:
        """Read tokens; the places among them whose logits are kept: those from `first` on."""
        batch, wanted = self._batch, []
        batch.count = len(some)
        for place, token in enumerate(some):
            batch.token[place], batch.pos[place] = token, start + place
            batch.n_seq_id[place], batch.seq_id[place][0] = 1, 0
            batch.logits[place] = start + place >= first
            if start + place >= first:
                wanted.append(place)
        code = self._code.llama_decode(self._context, batch)
        if code:
            raise NoResources(f"llama.cpp could not read {len(some)} tokens (code {code}).", "Shorten the text.")
        return wanted

    def forget(self) -> None:
        """Read everything anew next time."""
        self._read = []

    def tokens(self, text: str, *, special: bool) -> list[int]:
        """Tokens of a text as llama.cpp reads it, with what it puts before a text.

        Args:
            special: marks in it are read as special tokens.
        """
        data = text.encode()
        out = (c.c_int32 * (len(data) + 16))()
        count = self._code.llama_tokenize(self._vocabulary, data, len(data), out, len(out), True, special)
        return list(out[:count])

    def ends(self, token: int) -> bool:
        """Whether llama.cpp stops at a token."""
        return bool(self._code.llama_vocab_is_eog(self._vocabulary, token))

    @property
    def template(self) -> str:
        """The chat template in the file; empty where there is none."""
        said = self._code.llama_model_chat_template(self._model, None)
        return said.decode() if said else ""

    def close(self) -> None:
        """Give the memory back."""
        if self._context:
            self._code.llama_batch_free(self._batch)
            self._code.llama_free(self._context)
        if self._model:
            self._code.llama_model_free(self._model)
        self._context = self._model = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *problem: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()
