"""Teach SmolLM2-135M to name the condition of a patient review: `seedbed train` beside two peers.

    python benchmarks/write.py                # all three; each peer up to 10 minutes
    python benchmarks/write.py --minutes 30

Prompt and completion, rank 16, all with the loss on the completion only and the same tokens of each row. The peers
train all 30 layers: transformers' `Trainer` with PEFT and its defaults (fp32, batches of 8, 5e-5), and TRL's
`SFTTrainer` with what suits a processor best (bf16 weights where the processor has bf16, its own learning rate for
adapters); where trl is not installed (`pip install trl datasets`) it is left out. Judged by the loss on the same
held-out rows. Each runs in a process of its own; `train.py` says how other work on the machine is taken out of the
ratios.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import tempfile
from pathlib import Path
from typing import Any

from train import RANK, Watch, compare, model_folder, run, say

LENGTH = 256
EPOCHS = 3


def rows() -> tuple[list[Any], list[Any]]:
    """Training and held-out rows, rendered by the model's own template."""
    from transformers import AutoTokenizer

    from seedbed.catalog.datasets import pull_dataset
    from seedbed.data.conversations import conversations, read_conversations
    from seedbed.data.split import split
    from seedbed.models.template import Template
    reading = read_conversations(pull_dataset("patient-reviews")["train"], ask="review", answer="condition")
    data = split(reading.dataset, fractions=(0.8, 0.2, 0.0))
    template = Template(AutoTokenizer.from_pretrained(model_folder()), LENGTH)
    made = [[row for row in map(template.row, conversations(data.part(name))) if row.count]
            for name in ("train", "validation")]
    return made[0], made[1]


def ours() -> None:
    """`seedbed train`, judged every 10 steps as the peers are every 15."""
    import torch

    from seedbed.machine import peak_memory
    from seedbed.train import generate
    from seedbed.train.config import TextConfig
    from seedbed.train.student import Student, teach
    learn, held = rows()

    class Judged(generate.Answers):
        steps, excluded = 0, 0.0

        def loss(self, student: Student, places: list[int]) -> torch.Tensor:
            if self.steps and self.steps % 10 == 0:
                spent = watch.seconds
                with torch.no_grad():
                    loss = student.judge(self.validation).mean
                say(seconds=spent - self.excluded, loss=loss)
                self.excluded += watch.seconds - spent
            self.steps += 1
            return super().loss(student, places)

    lesson = generate.TextLesson(learn, held, config=TextConfig(max_tokens=LENGTH, rank=RANK, epochs=EPOCHS),
                                 model=model_folder())
    objective, watch = Judged(lesson), Watch()
    tuned = teach(lesson, objective)
    total = watch.seconds - objective.excluded
    last = tuned.trained.history[-1]
    say(seconds=total, loss=last["validation_loss"])
    say(done=True, seconds=total, busy=watch.busy, peak_gb=peak_memory() / 1e9,
        tokens_per_second=sum(len(row.ids) for row in learn) * last["epoch"] / total)


def peer(name: str, minutes: float) -> None:
    """A trainer of others, judged four times an epoch."""
    import torch
    from peft import LoraConfig, TaskType, get_peft_model
    from transformers import (
        AutoModelForCausalLM,
        AutoTokenizer,
        DataCollatorForSeq2Seq,
        Trainer,
        TrainerCallback,
        TrainingArguments,
    )

    from seedbed.machine import peak_memory
    from seedbed.models.runtime import runtime
    learn, held = rows()
    tokenizer = AutoTokenizer.from_pretrained(model_folder())
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    made = [[{"input_ids": row.ids, "labels": [i if on else -100 for i, on in zip(row.ids, row.learned, strict=True)]}
             for row in part] for part in (learn, held)]
    counts = [row.count for row in held]
    tokens = sum(len(row.ids) for row in learn)
    dtype = runtime().dtype if name == "trl" else torch.float32
    watch, excluded = Watch(), [0.0]
    model = AutoModelForCausalLM.from_pretrained(model_folder(), dtype=dtype)
    lora = LoraConfig(task_type=TaskType.CAUSAL_LM, r=RANK, lora_alpha=2 * RANK, target_modules="all-linear")

    def loss_of(model: Any) -> float:
        """Nats a learned token of the held-out rows, the same sum for every side."""
        total = 0.0
        model.eval()
        with torch.no_grad():
            for row in made[1]:
                ids, labels = torch.tensor([row["input_ids"]]), torch.tensor(row["labels"])
                scores = model(input_ids=ids).logits[0, :-1].float()
                total += float(torch.nn.functional.cross_entropy(scores, labels[1:], reduction="sum"))
        model.train()
        return total / sum(counts)

    class Points(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if state.global_step % 15:
                return
            spent = watch.seconds - excluded[0]
            loss = loss_of(kwargs["model"])
            excluded[0] = watch.seconds - spent  # judging is not held against it
            say(seconds=spent, loss=loss, tokens_per_second=tokens * state.epoch / spent)
            control.should_training_stop = control.should_training_stop or spent > minutes * 60

    with tempfile.TemporaryDirectory() as out:
        options: dict[str, Any] = {"use_cpu": True, "report_to": [], "save_strategy": "no", "disable_tqdm": True,
                                   "logging_strategy": "no", "num_train_epochs": EPOCHS}
        trainer: Any
        if name == "trl":
            from datasets import Dataset
            from trl import SFTConfig, SFTTrainer
            trainer = SFTTrainer(model, args=SFTConfig(out, bf16=dtype == torch.bfloat16, max_length=LENGTH,
                                                       gradient_checkpointing=False, **options),
                                 train_dataset=Dataset.from_list([
                                     {"input_ids": row.ids, "completion_mask": [int(on) for on in row.learned]}
                                     for row in learn]), processing_class=tokenizer, peft_config=lora,
                                 callbacks=[Points()])
        else:
            trainer = Trainer(get_peft_model(model, lora), TrainingArguments(out, **options), DataCollatorForSeq2Seq(
                tokenizer), made[0], callbacks=[Points()])
        trainer.train()
    say(done=True, seconds=watch.seconds - excluded[0], busy=watch.busy, peak_gb=peak_memory() / 1e9)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--side", choices=("ours", "trainer", "trl"))
    asked = parser.parse_args()
    if asked.side == "ours":
        sys.exit(ours())
    if asked.side:
        sys.exit(peer(asked.side, asked.minutes))
    print("seedbed train:")
    left = run(__file__, "--side", "ours")
    for side, title in (("trainer", "transformers Trainer + PEFT"), ("trl", "TRL SFTTrainer")):
        if side == "trl" and importlib.util.find_spec("trl") is None:
            print("trl is not installed: left out")
            continue
        print(f"{title}:")
        compare(left, run(str(Path(__file__)), "--side", side, "--minutes", str(asked.minutes)), {"loss": 1})
