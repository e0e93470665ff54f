"""Each parameter of training and its default, written once."""

from __future__ import annotations

from dataclasses import dataclass

from ..options import option


@dataclass(frozen=True)
class LoopConfig:
    """What every training has. Flags, YAML and docs come from these fields."""

    epochs: int = option(5, "Most passes over the training texts; early stopping may end sooner.", minimum=1)
    learning_rate: float = option(0.0, "Peak learning rate; 0 takes the method's own default.", minimum=0)
    weight_decay: float = option(0.01, "Decoupled weight decay (AdamW).", minimum=0)
    warmup: float = option(0.1, "Share of the steps in which the learning rate rises.", minimum=0, maximum=1)
    schedule: str = option("cosine", "How it falls then, to a tenth: cosine, linear, or wsd (level, and only in the "
                                     "last fifth down).", choices=("cosine", "linear", "wsd"))
    patience: int = option(2, "Evaluations without a better validation loss before training stops.", minimum=1)
    batch_texts: int = option(16, "Texts in one step.", minimum=1)
    batch_tokens: int = option(2048, "Most tokens in one step, padding included.", minimum=16)
    accumulate: int = option(1, "Batches whose gradients make one step: the steps of a larger batch in less memory.",
                             minimum=1)
    max_tokens: int = option(256, "Longer texts are cut to this many tokens.", minimum=8)
    adapter: str = option("lora", "lora; rslora scales by alpha / sqrt(rank); dora learns lengths apart, slower.",
                          choices=("lora", "rslora", "dora"))
    packing: bool = option(False, "Put several texts into one row, kept apart by the attention mask, so that steps "
                                  "are drawn at random instead of by length; not for every model.")
    checkpointing: bool = option(False, "Compute activations again in the backward pass instead of keeping them: "
                                        "less memory, more time.")
    rank: int = option(16, "Rank of LoRA adapters.", minimum=1)
    adapter_dropout: float = option(0.0, "Dropout before the adapters; any makes training slower.", minimum=0,
                                    maximum=0.9)
    neftune: float = option(0.0, "Noise on the embeddings, such as 5; the frozen layers then run in every step.",
                            minimum=0)
    alpha: float = option(32.0, "LoRA's alpha: adapters are scaled by alpha / rank.", minimum=0)
    train_layers: int = option(10, "Top layers that get adapters; those below are computed once.", minimum=1)
    label_smoothing: float = option(0.0, "Share of each target's weight that is spread over all others.", minimum=0,
                                    maximum=0.9)
    ema: float = option(0.0, "Judge and keep a running average of the weights, with this decay a step, such as 0.99; "
                             "0: the weights themselves.", minimum=0, maximum=0.9999)
    max_norm: float = option(1.0, "Gradients are clipped to this norm.", minimum=0)
    teacher_share: float = option(0.5, "With a teacher's probabilities: their share of the loss; the rest is that of "
                                       "the answers in the file.", minimum=0, maximum=1)
    temperature: float = option(1.0, "Divides the scores of teacher and student: above 1, unlikely ones tell more.",
                                minimum=0.1, maximum=20)
    checkpoint_seconds: float = option(30.0, "Least seconds between two checkpoints.", minimum=0)

    @property
    def step_tokens(self) -> int:
        """Most tokens that a step can have. A text longer than `batch_tokens` still stands alone."""
        return max(self.max_tokens, min(self.batch_tokens, self.batch_texts * self.max_tokens))


@dataclass(frozen=True)
class TrainConfig(LoopConfig):
    """How a model learns to give labels."""

    dropout: float = option(0.1, "Dropout before the classification head.", minimum=0, maximum=0.9)
    balance: bool = option(True, "Weigh rare labels up, by the square root of how rare they are.")


@dataclass(frozen=True)
class TextConfig(LoopConfig):
    """How a model learns to write, or (the options of pairs) to embed."""

    max_tokens: int = option(1024, "Longer texts are cut to this many tokens.", minimum=8)
    beta: float = option(0.1, "Preferences: how soon a difference from the base model is enough (DPO, KTO); "
                              "weight of the odds (ORPO).", minimum=0)
    chosen_weight: float = option(0.0, "DPO: weight of the chosen answers' own loss, against drift.", minimum=0)
    shard: bool = option(False, "Several processes (torchrun) share the frozen layers out, each holding its part "
                                "alone: less memory in each, more traffic.")
    batch_pairs: int = option(32, "Pairs in one step of --task embed: the others' documents are the wrong ones of "
                                  "each.", minimum=2)
    pair_temperature: float = option(0.05, "By which cosines of pairs are divided: less looks at the nearest wrong "
                                           "documents only.", minimum=0.001, maximum=1)
    hard_negatives: int = option(1, "Near but wrong documents beside each pair in a step: given ones, else those "
                                    "that the model before training confuses.", minimum=0)
    hard_margin: float = option(0.95, "A document whose cosine is above this share of the right one's is no hard "
                                      "negative: it may be right too.", minimum=0, maximum=1)
    divergence: str | None = option(None, "forward: cover all that the teacher would say; reverse: say only what it "
                                          "would. By default reverse for --distill policy.",
                                    choices=("forward", "reverse"))
    teacher_words: int = option(64, "Likeliest words of the teacher that are stored for each token; all others count "
                                    "as one.", minimum=1)


def upper_half(layers: int) -> int:
    """How many of an encoder's layers are tuned by contrast: all of them take three times as long and score no better
    (docs/LOG.md)."""
    return (layers + 1) // 2
