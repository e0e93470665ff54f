"""What a model needs: bytes on disk, memory to run, memory to train. One formula, with every constant named.

    disk     = weights + vocabulary file
    run      = weights + runtime + key-value cache + slack x widest layer's activations + last logits
    train    = weights + runtime + 16 bytes a trained parameter + held x saved activations + logits
    in a run = weights + (1 + holes) x all the rest + what a run holds besides

Constants marked "measured" come from resident memory (ru_maxrss) of SmolLM2-135M's and MiniLM's shapes under
torch 2.13, transformers 5.23 and peft 0.21 on Linux with glibc's allocator, 256 to 2,048 tokens a batch. Those were
bare processes with batches of one shape; `seedbed run` is the last line, which `models recommend` promises too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..errors import DataError, UserError
from .architecture import Architecture, Block, Parameters, blocks, parameters
from .cards import Card, Stored

Precision = Literal["fp32", "bf16", "int8", "int4"]
Method = Literal["full", "lora", "qlora"]
MIB = 1024**2

LINEAR_BYTES = {"fp32": 4.0, "fp16": 2.0, "bf16": 2.0, "int8": 34 / 32, "int4": 20 / 32}
"""Bytes a parameter of a layer's matrix. Q8_0 stores 32 values in 34 bytes, Q4_1 in 20 (ggml's block sizes); NF4 with
double quantization takes 0.52, so int4 is an upper bound."""
TABLE_BYTES = {"fp32": 4.0, "fp16": 2.0, "bf16": 2.0, "int8": 34 / 32, "int4": 34 / 32}
"""Bytes a parameter of the embeddings and the output vocabulary: 4-bit files keep those at 8 bits."""
SMALL_BYTES = {"fp32": 4.0, "fp16": 2.0, "bf16": 2.0, "int8": 4.0, "int4": 4.0}
"""Norms and biases are never quantized."""
VOCABULARY_BYTES = 40
"""Bytes a word of the tokenizer's file: SmolLM2's tokenizer.json has 43, the metadata of its GGUF file 37."""

RUNTIME = 420 * MIB
"""Measured: Python, torch and transformers once a model has run (370 MiB after import, about 50 on first use)."""
TRAINING_RUNTIME = 60 * MIB
"""Measured: peft, the optimizer's code and the batch."""
AT_ONCE = 512
"""Tokens that the runtimes of 8 and 4 bits read in one pass: llama.cpp's batch; OpenVINO GenAI takes 256."""
SLACK = 1.7
"""Measured: peak of the activations in a forward pass over the widest layer's values (MiniLM 64 x 256)."""
HELD = {("full", "fp32"): 1.35, ("full", "bf16"): 1.5, ("lora", "fp32"): 2.3, ("lora", "bf16"): 1.5}
"""Measured: peak over saved activations. The rest is backward's temporary values and holes in glibc's heap: with
MALLOC_MMAP_THRESHOLD_=1048576 the 2.3 becomes 1.35. full/bf16 is taken from lora/bf16, not measured."""
TRAINED_BYTES = 4 + 4 + 8
"""A trained parameter: fp32 value, fp32 gradient, two fp32 averages of AdamW."""
BF16_COPY_BYTES = 2
"""Full training in bf16 keeps fp32 values and computes with a bf16 copy."""
LOGIT_COPIES = 5
"""Measured: fp32 copies of the logits at the peak of a step (logits, shifted, log-softmax, gradient, one more)."""
ATTENTION_COPIES = 3
"""Measured on BERT: with dropout, torch on a CPU writes out the attention matrix; scores, probabilities and mask."""
RUN_HOLDS = 300 * MIB
"""Measured: a run before any transformer is loaded holds 0.73 GB (rows, scikit-learn, pyarrow), RUNTIME is 0.44 of it
(docs/LOG.md)."""
HOLES = 0.2
"""Measured: batches of ever other shapes leave holes in the heap, some fifth of all but the weights. With it and
RUN_HOLDS the predictions were 3.75, 1.73 and 1.02 GB where runs peaked at 3.04, 1.50 and 1.15 (docs/LOG.md)."""


@dataclass(frozen=True)
class Step:
    """What a training step holds at once.

    Args:
        tokens: in one forward and backward pass, padding counted.
        length: tokens of one text, for encoders, whose attention matrix is kept.
        layers: only that many top layers are trained and keep activations; None means everything is trained.
        rank: of LoRA.
        checkpointing: of each layer its input alone is kept, and the rest is computed again.
    """

    tokens: int = 1024
    length: int = 128
    layers: int | None = None
    rank: int = 16
    checkpointing: bool = False


def shape(card: Card) -> Architecture:
    """The card's architecture.

    Raises:
        DataError: the card does not state it.
    """
    if card.architecture is None:
        raise DataError(f"The card {card.id} does not state the model's shape, so its memory cannot be predicted.",
                        "Add the block `architecture` to the card.")
    return card.architecture


def _weights(counts: Parameters, stored: Stored) -> float:
    return ((counts.tables + counts.head) * TABLE_BYTES[stored] + counts.linear * LINEAR_BYTES[stored]
            + counts.small * SMALL_BYTES[stored] + counts.extra * TABLE_BYTES[stored])


def weights(card: Card, precision: Stored) -> int:
    """Bytes of the weights alone."""
    return int(_weights(parameters(shape(card)), precision))


def on_disk(card: Card, precision: Stored) -> int:
    """Bytes of the model's files."""
    return weights(card, precision) + VOCABULARY_BYTES * shape(card).vocabulary


def cache(card: Card, precision: Precision, *, context: int, batch: int = 1) -> int:
    """Bytes of keys and values: 2 x layers x width x tokens, where a windowed layer keeps its window only."""
    a = shape(card)
    if not a.generates:
        return 0
    tokens = min(context, card.context or context)
    layers = a.decoder_layers * 2 if a.family == "t5" else a.layers  # own and encoder's keys
    full = layers
    if a.sliding_window:
        full = layers // a.full_attention_every if a.full_attention_every else 0
    windowed = (layers - full) * min(tokens, a.sliding_window or tokens)
    size = 4 if precision == "fp32" else 2
    return 2 * a.key * (full * tokens + windowed) * batch * size


def _process(stored: float, rest: float, in_run: bool) -> int:
    """Bytes of a process that holds those weights and all the rest: a bare one, or a whole run."""
    return int(stored + rest * (1 + HOLES) + RUN_HOLDS if in_run else stored + rest)


def to_run(card: Card, precision: Precision, *, context: int = 2048, batch: int = 1, in_run: bool = False) -> int:
    """Bytes of memory to run a model.

    Args:
        context: tokens of input and output of one text, at most what the model takes.
        batch: texts at once.
        in_run: inside `seedbed run`, not in a process of its own.

    Raises:
        DataError: the card does not state the shape.
    """
    a = shape(card)
    tokens = min(context, card.context or context) * batch
    if precision in ("int8", "int4"):
        tokens = min(tokens, AT_ONCE)
    size = 4 if precision == "fp32" else 2
    wide = (3 if a.gated else 2) * a.intermediate + 2 * a.hidden + a.query + 2 * a.key
    logits = batch * a.vocabulary * 4 * 2 if a.generates else 0
    rest = RUNTIME + cache(card, precision, context=context, batch=batch) + SLACK * tokens * wide * size + logits
    return _process(weights(card, precision), rest, in_run)


def adapter_parameters(card: Card, rank: int, trained_layers: int | None = None) -> int:
    """Parameters of LoRA on every linear matrix of the top layers: rank x (inputs + outputs) each."""
    return sum(layers * sum(rank * (i + o) for i, o in block.matrices)
               for block, layers in _trained(shape(card), trained_layers))


def _trained(a: Architecture, trained_layers: int | None) -> list[tuple[Block, int]]:
    """How many layers of each block are trained: of an encoder-decoder the top ones of both."""
    return [(block, min(block.layers, trained_layers or block.layers)) for block in blocks(a)]


def _saved(a: Architecture, block: Block, method: str, size: int, length: int) -> float:
    """Bytes that one layer keeps for backward, a token."""
    if a.family in ("bert", "t5"):  # with dropout and its masks
        values = 2 * a.intermediate + (a.intermediate if a.gated else 0) + 10 * a.hidden
        return float(size * (values + ATTENTION_COPIES * a.heads * length))
    feed_forward = (4 if a.gated else 2) * a.intermediate
    kept = size * (feed_forward + 2 * a.hidden + 2 * a.query + 2 * a.key)
    norms = 4 * 2 * a.hidden  # computed in fp32 whatever the precision
    if method == "full":
        return float(kept + norms + size * 2 * a.hidden)
    casts = 0 if size == 4 else 4 * sum(inputs for inputs, _ in block.matrices)  # each adapter's input in fp32
    return float(kept + norms + casts)


def to_train(card: Card, method: Method, precision: Precision, step: Step = Step(), *, labels: int | None = None,
             logit_tokens: int | None = None, in_run: bool = True) -> int:
    """Bytes of memory to train a model.

    Args:
        method: `full` (all weights), `lora` (adapters on frozen weights of that precision) or `qlora` (the same with
            the matrices at 4 bits).
        precision: of the frozen weights and of the activations (int8 and int4 compute in bf16).
        labels: a classification head of that many labels, no vocabulary logits; None means text is generated.
        logit_tokens: tokens whose vocabulary is computed at once; None means the whole step.
        in_run: by `seedbed run`; False means a bare loop over batches of one shape.

    Raises:
        DataError: the card does not state the shape.
        UserError: full training of quantized weights.
    """
    a = shape(card)
    if method == "full" and precision in ("int8", "int4"):
        raise UserError(f"Weights at {precision} cannot be trained whole.", "Take lora or qlora, or fp32 or bf16.")
    counts, size = parameters(a), 4 if precision == "fp32" else 2
    layers, stored = _trained(a, step.layers), _weights(counts, precision)
    if method == "full":
        trained = sum(n * (block.linear + block.small) for block, n in layers)
        if step.layers is None:
            trained = counts.total - counts.extra - (counts.head if labels else 0)
        states = trained * (TRAINED_BYTES + (BF16_COPY_BYTES if size == 2 else 0) - size)  # `size` of it are stored
    else:
        states = adapter_parameters(card, step.rank, step.layers) * TRAINED_BYTES
        if method == "qlora":  # matrices at 4 bits, everything else in bf16
            stored = counts.linear * LINEAR_BYTES["int4"] + (counts.total - counts.linear) * 2
    kept = [(n, _saved(a, block, method, size, step.length)) for block, n in layers]
    saved = step.tokens * (max(one for _, one in kept) + size * a.hidden * sum(n for n, _ in kept)
                           if step.checkpointing else sum(n * one for n, one in kept))
    logits = 0
    if labels is None and a.generates:
        logits = LOGIT_COPIES * 4 * a.vocabulary * min(logit_tokens or step.tokens, step.tokens)
    head = a.hidden * (labels or 0) * TRAINED_BYTES
    held = HELD["full" if method == "full" else "lora", "fp32" if size == 4 else "bf16"]
    return _process(stored, RUNTIME + TRAINING_RUNTIME + states + head + held * saved + logits, in_run)
