"""A transformer body of any family, texts in, activations out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from ..errors import UserError
from . import kernels
from .batch import TOKENS_PER_BATCH, Batch, by_length
from .folder import open_folder, pooling_of, quietly
from .four_bit import pack_rest, packing
from .paired import Paired, is_paired
from .reach import context_of
from .runtime import runtime

DESCRIPTION = "backbone.json"
FEW_LENGTHS = 16
"""In bf16, batches are padded to a multiple of this: oneDNN builds and keeps a kernel for every shape of a product,
some 7 MB for each new number of tokens (docs/LOG.md). fp32 products are not its work and are not padded further."""


class _Replay(nn.Module):
    """Stands for a frozen layer: gives the stored activations, or passes them on, in the form that the layer has."""

    def __init__(self, stored: Tensor | None, as_tuple: bool) -> None:
        super().__init__()
        self.stored, self.as_tuple = stored, as_tuple

    def forward(self, hidden_states: Tensor, *args: Any, **kwargs: Any) -> Tensor | tuple[Tensor]:
        out = hidden_states if self.stored is None else self.stored
        return (out,) if self.as_tuple else out


class _Reached(Exception):
    """Carries the activations at the boundary out of a forward pass."""

    def __init__(self, hidden: Tensor) -> None:
        self.hidden = hidden


class Backbone(nn.Module):
    """The body of a model with its tokenizer and pooling.

    Args:
        body: what `AutoModel` gave.
        tokenizer: its tokenizer.
        pooling: `mean` over real tokens, `cls` (first) or `last`.
        normalized: vectors are scaled to length 1.
        max_tokens: longer texts are cut.
        root: the model that is saved and that adapters are put into, when it is more than the body: a language model
            with its vocabulary.
    """

    body: Any

    def __init__(self, body: Any, tokenizer: Any, pooling: str, normalized: bool, max_tokens: int,
                 root: Any = None) -> None:
        super().__init__()
        self.body, self.tokenizer = body, tokenizer
        self._root = (body if root is None else root,)  # in a tuple: its weights are the body's, not counted twice
        self.pooling, self.normalized, self.max_tokens = pooling, normalized, max_tokens
        self.causal = is_causal(body.config)
        self.paired = is_paired(body.config) and bool(self.root.can_generate())
        """It writes with a decoder what its encoder read: its rows are `Paired`."""
        self._hooks = list[RemovableHandle]()
        self._tuples = False
        """Layers of this family give a tuple (BLOOM, Falcon); seen when `boundary` runs them."""

    @classmethod
    def open(cls, folder: Path, *, dtype: torch.dtype | None = None, pooling: str | None = None,
             max_tokens: int | None = None, vocabulary: bool = False, nf4: bool = False,
             mapped: bool = False) -> Self:
        """Open a model folder, a sentence-transformers folder, a GGUF folder, or what `save` wrote.

        Args:
            dtype: the type of weights; by default what `runtime` chose.
            pooling, max_tokens: override what the folder says.
            vocabulary: keep the layer that scores words, with which the model writes.
            nf4: hold linear layers at 4 bits.
            mapped: leave the weights in the pages of their files, as they are stored: they take no memory before
                something brings them to where they compute, in `dtype`.

        Raises:
            NotFound, CorruptFile: there is no model in it. UserError: a package for 4 bits is missing.
        """
        from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer
        folder = open_folder(folder)
        runtime()
        said, normalized, longest = pooling_of(folder)
        saved = folder / DESCRIPTION
        if saved.is_file():
            values = json.loads(saved.read_text())
            said, normalized, longest = values["pooling"], values["normalized"], values["max_tokens"]
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
        if vocabulary and is_encoder(config) and not is_paired(config):
            raise UserError(f"{folder} holds an encoder ({config.model_type}), which reads and does not write.",
                            "Name a model that writes: seedbed models recommend --task chat")
        for name in ("attention_probs_dropout_prob", "attention_dropout"):
            if getattr(config, name, 0.0):  # `Attend` keeps no mask of dropped ones: five times the time
                setattr(config, name, 0.0)
        writer = AutoModelForSeq2SeqLM if is_paired(config) else AutoModelForCausalLM
        dtype, device = dtype or runtime().dtype, runtime().device
        packed = {"quantization_config": packing(dtype), "device_map": {"": device}} if nf4 else {}
        with quietly():
            root = (writer if vocabulary else AutoModel).from_pretrained(
                folder, config=config, dtype="auto" if mapped else dtype, local_files_only=True,
                attn_implementation=kernels.suits(config, device), **packed)
        if nf4:
            pack_rest(root, dtype)
        elif not mapped:
            root.to(device)
        body = root.base_model
        root.config.use_cache = body.config.use_cache = False
        head = root.get_output_embeddings()
        if head is not None:  # of a slice torch makes the product a row at a time, each with a copy of the weights
            head.register_forward_pre_hook(lambda module, given: (given[0].contiguous(), *given[1:]))
        if is_paired(config) and head is not None and head.weight is not root.get_input_embeddings().weight:
            root.config.tie_word_embeddings = False  # transformers calls FLAN-T5's tied; older versions believe it
        root.requires_grad_(False)
        for module in body.modules():
            if hasattr(module, "relative_attention_num_buckets"):  # T5 has one rate for all its parts
                module.dropout = 0.0
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        tokenizer.padding_side = "right"
        kernels.quicken(body)
        window = context_of(config)
        default = "mean" if is_encoder(config) else "last"
        return cls(body, tokenizer, pooling or said or default, normalized,
                   min(window, max_tokens or longest or 512), root).eval()

    def save(self, folder: Path) -> None:
        """Write the body (no adapters), tokenizer and pooling."""
        kernels.plain(self.root)
        implementation = self.body.config._attn_implementation
        try:
            self.root.save_pretrained(folder)
        finally:
            self.root.config._attn_implementation = self.body.config._attn_implementation = implementation
            kernels.quicken(self.root)
        self.tokenizer.save_pretrained(folder)
        (folder / DESCRIPTION).write_text(json.dumps(
            {"pooling": self.pooling, "normalized": self.normalized, "max_tokens": self.max_tokens}))

    def noise(self, alpha: float) -> None:
        """Add noise to the embeddings in training: uniform, alpha / sqrt(tokens x width) at most (NEFTune, Jain et
        al. 2023)."""
        def add(module: nn.Module, args: Any, out: Tensor) -> Tensor:
            reach = alpha / (out.shape[-2] * out.shape[-1]) ** 0.5
            return out + torch.empty_like(out).uniform_(-reach, reach) if module.training else out
        reader = self.root.get_encoder() if self.paired else self.body
        self._hooks.append(reader.get_input_embeddings().register_forward_hook(add))

    def recompute(self, within: Callable[[], AbstractContextManager[object]]) -> None:
        """Keep of each layer its input alone, and compute the rest again in the backward pass (Chen et al. 2016).

        Args:
            within: what the backward pass is in then: it must find the weights that the forward pass had.

        Raises:
            UserError: the family cannot.
        """
        if not getattr(self.body, "supports_gradient_checkpointing", False):
            raise UserError(f"{type(self.body).__name__} cannot compute activations again.",
                            "Leave out --checkpointing.")
        self.body.gradient_checkpointing_enable(
            {"use_reentrant": False, "context_fn": lambda: (nullcontext(), within())})

    def settle(self) -> None:
        """Undo `noise` and `recompute`."""
        for hook in self._hooks:
            hook.remove()
        self._hooks.clear()
        if getattr(self.body, "is_activation_checkpointing", False):
            self.body.gradient_checkpointing_disable()

    @property
    def root(self) -> Any:
        """The whole model: the body, with the vocabulary where that was kept."""
        return self._root[0]

    @property
    def width(self) -> int:
        return int(self.body.config.hidden_size)

    @property
    def dtype(self) -> torch.dtype:
        first: Tensor = next(self.body.parameters())
        return first.dtype

    @property
    def device(self) -> torch.device:
        """Where the model is, and what is given to it."""
        first: Tensor = next(self.body.parameters())
        return first.device

    @property
    def layers(self) -> nn.ModuleList:
        """The stack of layers, whatever the family calls it."""
        return _stack(self.body)[2]

    def parts(self, top: int | None) -> tuple[list[nn.Module], list[nn.Module]]:
        """Layers below the top ones, and the `top` top ones (all when None); of an encoder-decoder those of both."""
        stacks = [self.layers]
        if self.paired:  # the decoder may have another number of layers than the config says
            stacks = [next(m for m in half.modules() if isinstance(m, nn.ModuleList))
                      for half in (self.root.get_encoder(), self.root.get_decoder())]
        firsts = [len(stack) - min(top or len(stack), len(stack)) for stack in stacks]
        pairs = list(zip(stacks, firsts, strict=True))
        return [layer for stack, first in pairs for layer in stack[:first]], \
            [layer for stack, first in pairs for layer in stack[first:]]

    def tokens(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text, cut at `max_tokens`, never empty."""
        ids = self.tokenizer(list(texts), truncation=True, max_length=self.max_tokens,
                             return_attention_mask=False)["input_ids"]
        return [row or [self.tokenizer.eos_token_id or 0] for row in ids]

    def batch(self, rows: Sequence[Sequence[int]]) -> Batch:
        """Pad token ids on the right. Rows of an encoder-decoder are `Paired`."""
        if not self.paired:
            return self.padded(rows)
        pairs = [row for row in rows if isinstance(row, Paired)]
        assert len(pairs) == len(rows), "an encoder-decoder was given a row without a source"
        said = self.padded([row[row.source:] for row in pairs])
        return Batch(said.ids, said.lengths, self.padded([row[:row.source] for row in pairs]))

    def width_of(self, longest: int) -> int:
        """To how many tokens a batch is padded whose longest row has so many."""
        if self.dtype != torch.bfloat16 or self.device.type != "cpu":
            return longest
        return max(longest, min(-(-longest // FEW_LENGTHS) * FEW_LENGTHS, self.max_tokens))

    def padded(self, rows: Sequence[Sequence[int]]) -> Batch:
        """Token ids padded on the right, whatever the family."""
        lengths = [len(row) for row in rows]
        pad = self.tokenizer.pad_token_id if self.tokenizer.pad_token_id is not None else 0
        wide = self.width_of(max(lengths))
        ids = torch.full((len(rows), wide), pad)
        for i, row in enumerate(rows):
            ids[i, : len(row)] = torch.tensor(row)
        return Batch(ids.to(self.device), torch.tensor(lengths, device=self.device))

    def packed(self, rows: Sequence[Sequence[int]], bins: Sequence[Sequence[int]]) -> Batch:
        """Several texts in each row. transformers keeps texts apart whose positions begin anew.

        Args:
            rows: token ids of each text.
            bins: which texts stand in each row.
        """
        made = self.batch([[token for i in some for token in rows[i]] for some in bins])
        positions = torch.arange(made.ids.shape[1]).repeat(len(bins), 1)
        for row, some in enumerate(bins):
            at = 0
            for length in [*(len(rows[i]) for i in some), made.ids.shape[1]]:  # what is padded is a text as well
                positions[row, at:at + length] = torch.arange(len(positions[row, at:at + length]))
                at += length
        return Batch(made.ids, made.lengths, positions=positions.to(self.device))

    @torch.inference_mode()
    def packs(self) -> bool:
        """Whether texts in one row stay apart, seen on three texts: not in models that know no positions, nor in
        those with a state that runs through the row."""
        if self.paired:
            return False
        rows = [list(range(5, 5 + count)) for count in (7, 4, 9)]
        alone = self.hidden(self.batch(rows))
        try:
            together = self.hidden(self.packed(rows, [[0, 1, 2]]))[0]
        except TypeError:  # it takes no positions
            return False
        want = torch.cat([one[: len(row)] for one, row in zip(alone, rows, strict=True)]).float()
        off = (together[: len(want)].float() - want).norm(dim=-1) / want.norm(dim=-1)   # [tokens]
        return bool(off.max() < 0.05)

    def hidden(self, batch: Batch) -> Tensor:
        """Activations after the last layer, each at the place of its token. -> [rows, tokens, width]"""
        if batch.source is not None:
            return self._both(batch, batch.source)
        # padding stands on the right, where a causal model's real tokens never look: it needs no mask
        mask = None if self.causal else batch.mask
        placed = {} if batch.positions is None else {"position_ids": batch.positions}
        out: Tensor = self.body(input_ids=batch.ids, attention_mask=mask, **placed).last_hidden_state
        return out

    def _both(self, batch: Batch, source: Batch) -> Tensor:
        """The encoder's activations and after them the decoder's. -> [rows, tokens of both, width]"""
        mask = source.mask
        read = self.root.get_encoder()(input_ids=source.ids, attention_mask=mask).last_hidden_state
        said = self.root.get_decoder()(input_ids=batch.ids, encoder_hidden_states=read, encoder_attention_mask=mask,
                                       use_cache=False).last_hidden_state
        wide, lengths = source.ids.shape[1], source.lengths[:, None]
        at = torch.arange(int((source.lengths + batch.lengths).max()), device=lengths.device)[None]     # [1, tokens]
        places = torch.where(at < lengths, at, at + wide - lengths).clamp_(max=wide + batch.ids.shape[1] - 1)
        return torch.cat([read, said], 1).gather(1, places[..., None].expand(-1, -1, read.shape[2]))

    def pool(self, hidden: Tensor, lengths: Tensor) -> Tensor:
        """[rows, tokens, width] -> [rows, width], fp32, on the CPU: heads are small and stand there."""
        rows = torch.arange(hidden.shape[0], device=hidden.device)
        if self.pooling == "last":
            pooled = hidden[rows, lengths - 1].float()
        elif self.pooling == "cls":
            pooled = hidden[:, 0].float()
        else:
            real = (torch.arange(hidden.shape[1], device=hidden.device) < lengths[:, None]).to(hidden.dtype)
            pooled = torch.bmm(real[:, None], hidden)[:, 0].float() / lengths[:, None]
        return (nn.functional.normalize(pooled, dim=-1) if self.normalized else pooled).cpu()

    def forward(self, batch: Batch, pool: bool = True) -> Tensor:
        """One vector a text -> [rows, width], fp32; or without pooling -> [rows, tokens, width]."""
        hidden = self.hidden(batch)
        return self.pool(hidden, batch.lengths) if pool else hidden

    @torch.inference_mode()
    def embed(self, texts: Sequence[str], on_batch: Callable[[int], None] | None = None) -> Tensor:
        """Vectors of texts, in their order, in batches of similar length. -> [texts, width], fp32"""
        rows = self.tokens(texts) if texts else []  # a tokenizer refuses an empty list
        out = torch.empty(len(rows), self.width)
        was_training = self.training
        self.eval()
        for places in by_length([len(r) for r in rows], TOKENS_PER_BATCH):
            out[places] = self(self.batch([rows[i] for i in places]))
            if on_batch:
                on_batch(len(places))
        self.train(was_training)
        return out

    @torch.inference_mode()
    def boundary(self, batch: Batch, first: int) -> Tensor:
        """Activations that enter layer `first`. -> [rows, tokens, width]"""
        def stop(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            raise _Reached(args[0] if args else kwargs["hidden_states"])
        def look(module: nn.Module, args: Any, output: Any) -> None:
            self._tuples = isinstance(output, tuple)
        layers = self.layers
        hooks = [layers[0].register_forward_hook(look),
                 layers[first].register_forward_pre_hook(stop, prepend=True, with_kwargs=True)]
        try:
            self.hidden(batch)
        except _Reached as reached:
            return reached.hidden
        finally:
            for hook in hooks:
                hook.remove()
        raise AssertionError("the layer was not reached")

    @contextmanager
    def replaying(self, stored: Tensor, first: int) -> Iterator[None]:
        """Within it, layers below `first` are skipped and `stored` enters layer `first`."""
        owner, name, stack = _stack(self.body)
        # the list keeps its length: families look up a layer's kind (sliding, full) by its place
        setattr(owner, name, nn.ModuleList(
            [*(_Replay(stored if i == 0 else None, self._tuples) for i in range(first)), *stack[first:]]))
        try:
            yield
        finally:
            setattr(owner, name, stack)


def is_encoder(config: Any) -> bool:
    """Whether the family fills gaps, so that every token sees every other (BERT, RoBERTa, DeBERTa, MPNet ...)."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES
    return config.model_type in MODEL_FOR_MASKED_LM_MAPPING_NAMES


def is_causal(config: Any) -> bool:
    """Whether a token surely sees none after it. An unknown family gets a mask: slower, never wrong."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
    return bool(config.model_type in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES and not is_encoder(config)
                and not getattr(config, "use_bidirectional_attention", False))


def _stack(body: Any) -> tuple[nn.Module, str, nn.ModuleList]:
    """(owner, attribute, list) of the model's layers: the module list as long as the config says."""
    count = int(body.config.num_hidden_layers)
    for owner in body.modules():
        for name, child in owner.named_children():
            if isinstance(child, nn.ModuleList) and len(child) == count:
                return owner, name, child
    raise AssertionError(f"{type(body).__name__} has no list of {count} layers")
