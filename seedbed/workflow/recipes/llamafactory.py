"""Configs of LLaMA-Factory, and the `dataset_info.json` beside their data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from . import common as c
from .draft import OFF, Draft, Entry, Rule, apply, flag, idle, lacking, refused, whole

NAME = "LLaMA-Factory"
KEYS = {"model_name_or_path", "finetuning_type", "lora_rank", "cutoff_len", "per_device_train_batch_size",
        "dataset_dir"}
"""One of them makes a file LLaMA-Factory's."""
DONE = ("model_name_or_path", "finetuning_type", "stage", "dataset", "dataset_dir", "quantization_bit", "pref_loss",
        "use_dora", "use_rslora")
ALPACA = {"prompt": "instruction", "query": "input", "response": "output"}
SHAREGPT = {"role_tag": "from", "content_tag": "value"}
TAGS = {"user_tag": ("human", "user"), "assistant_tag": ("gpt", "assistant"),
        "observation_tag": ("observation", "tool"), "function_tag": ("function_call",), "system_tag": ("system",)}

TABLE: Mapping[str, Rule] = {
    **c.TABLE, "cutoff_len": flag("max_tokens"), "num_train_epochs": flag("epochs", whole), "lora_rank": flag("rank"),
    "per_device_train_batch_size": flag("batch_texts"), "lr_scheduler_type": c.schedule, "optim": c.optimizer,
    "output_dir": c.out, "label_smoothing_factor": flag("label_smoothing", float), "pref_beta": flag("beta", float),
    "early_stopping_steps": flag("patience"), "packing": flag("packing", bool),
    "neat_packing": flag("packing", bool),
    "eval_dataset": lacking("a tenth of the rows is set aside to judge by; name a file with --validation"),
    "val_size": idle(c.SET_ASIDE), "max_samples": lacking("all rows are taken"),
    "warmup_steps": lacking("the warm-up is a share of the steps: --warmup"),
    "lora_target": idle("every matrix of a layer gets an adapter"),
    "template": idle(c.OWN_TEMPLATE), "default_system": refused(
        "a system prompt for rows that have none", "Write it into the rows: a column `system`."),
    "train_on_prompt": refused("questions would be learned too",
    "Set it to false, or give the rows as plain `text`."),
    "mask_history": refused("only the last answer would be learned",
    "Give earlier turns of the assistant weight: 0."),
    "adapter_name_or_path": refused("it goes on with an adapter", "Merge it and make a card of the merged model."),
    "freeze_trainable_layers": flag("train_layers"), "do_train": idle("it trains"),
    "do_eval": idle("it always judges"), "do_predict": idle("seedbed generate answers"),
    "export_dir": refused("it merges or exports and trains nothing", "A run has its merged model in model/."),
    "loraplus_lr_ratio": lacking("both matrices of an adapter have one learning rate"),
    **{name: lacking("AdamW is the optimizer here, so the learning rate may not fit") for name in (
        "use_galore", "use_apollo", "use_badam", "use_muon", "use_adam_mini")},
    **{name: refused("another loss", "Take it out to train with cross-entropy.") for name in (
        "use_dft_loss", "use_eaft_loss", "use_asft_loss", "pref_ftx", "ld_alpha")},
    **{name: refused("it changes the model's layers", "Take it out.") for name in (
        "use_llama_pro", "mixture_of_depths", "pissa_init", "resize_vocab", "additional_target", "rope_scaling")},
    **dict.fromkeys(("bf16", "fp16", "pure_bf16", "fp8", "flash_attn", "enable_liger_kernel", "use_unsloth",
                     "use_v1_kernels", "use_kt", "upcast_layernorm"), idle("the fastest proven precision is found")),
    **dict.fromkeys(("infer_backend", "trust_remote_code", "run_name", "use_reentrant_gc"), idle("not needed here")),
    **dict.fromkeys(("gradient_checkpointing", "disable_gradient_checkpointing", "quantization_method",
                     "double_quantization", "streaming", "include_num_input_tokens_seen"), idle(c.SPEED)),
}
BEGINS: Mapping[str, tuple[str, ...]] = {
    c.TRACKS: ("logging_", "report_to", "plot_"),
    c.KEEPS: ("save_", "overwrite_"),
    c.SPEED: ("preprocessing_", "dataloader_", "per_device_eval", "tokenized_", "gradient_checkpointing"),
    "each pass is judged": ("eval_",),
    "seedbed train --resume RUN": ("resume_",),
        c.SHARED: ("ddp_", "deepspeed", "fsdp", "ray_", "tensor_model", "pipeline_model", "sequence_par",
        "expert_model", "context_par", "use_distributed", "overlap_"),
    c.NO_CPU: ("kt_", "fp8_"),
    "texts only": ("image_", "video_", "freeze_"),
    "see use_galore": ("galore_",),
    "see use_apollo": ("apollo_",),
    "see use_badam": ("badam_",),
    "see pissa_init": ("pissa_",),
    "see export_dir": ("export_",),
    "see use_asft_loss": ("asft_",),
    "seedbed generate answers": ("predict_",),
}
"""By the reason: how keys begin that are not needed here."""


def read(draft: Draft, found: Mapping[str, Entry]) -> None:
    """Read a config into a draft."""
    def value(name: str) -> Any:
        return found[name].value if name in found else None

    id = c.model(draft, found["model_name_or_path"]) if "model_name_or_path" in found else None
    stage, kind = str(value("stage") or "sft"), str(value("finetuning_type") or "lora")
    for name in ("quantization_bit", "use_dora", "use_rslora"):
        if name in found and found[name].value not in OFF:
            if name == "quantization_bit" and str(found[name].value) != "4":
                draft.say(found[name], "lacking", c.SIXTEEN)
            elif name == "quantization_bit":
                c.method(draft, found[name], ["qlora", "lora"], c.SIXTEEN)
            else:
                draft.take(found[name], "adapter", name.removeprefix("use_"))
        elif name in found:
            draft.say(found[name], "idle", "off")
    if "finetuning_type" in found:
        one = found["finetuning_type"]
        if kind not in ("lora", "full", "freeze"):
            draft.say(one, "refused", f"adapters of the kind {kind} are not there", "Take lora or full.")
        elif kind == "lora" and "method" in draft.options:
            draft.say(one, "taken", "adapters")
        else:
            c.method(draft, one, ["lora" if kind == "lora" else "full"])
        if kind in ("lora", "full"):
            c.layers(draft, one, id)
        if kind == "lora" and "lora_rank" in found and value("lora_alpha") is None:
            draft.take(found["lora_rank"], "alpha", 2.0 * float(value("lora_rank")), "twice the rank, as there")
    if "stage" in found:
        loss = str(value("pref_loss") or "sigmoid") if stage == "dpo" else stage
        if stage == "sft":
            draft.say(found["stage"], "taken", "answers are learned")
        elif stage == "pt":
            c.pretraining(draft, found["stage"])
        elif stage in ("dpo", "kto"):
            c.preference(draft, found["stage"], "dpo" if loss == "sigmoid" else loss)
        else:
            draft.say(found["stage"], "refused", f"the stage {stage} is not there", "Take sft, pt, dpo or kto.")
    if "pref_loss" in found:
        draft.say(found["pref_loss"], "taken", "see stage")
    if "dataset" in found:
        _rows(draft, found["dataset"], Path(str(value("dataset_dir") or "data")))
    if "dataset_dir" in found:
        draft.say(found["dataset_dir"], "taken", "see dataset")
    apply(draft, TABLE, BEGINS, found.values(), DONE)


def _rows(draft: Draft, one: Entry, folder: Path) -> None:
    """The file that a name stands for in `dataset_info.json`, and its columns."""
    places = [draft.path.parent / folder, folder]
    place = next((p for p in places if (p / "dataset_info.json").is_file()), None)
    names = [name.strip() for name in str(one.value).split(",")]
    if place is None:
        draft.say(one, "refused", f"{folder / 'dataset_info.json'}, which names its file, is not there",
                  f"Put it there, or give the file: seedbed train FILE --config {draft.path}.", "source")
        return
    try:
        info = json.loads((place / "dataset_info.json").read_text(encoding="utf-8"))
        about = info.get(names[0])
    except (ValueError, AttributeError) as problem:
        draft.say(one, "refused", f"{place / 'dataset_info.json'} is not JSON: {problem}", "Mend it.")
        return
    if len(names) > 1:
        c.several(draft, one)
    elif not isinstance(about, dict):
        draft.say(one, "refused", f"{names[0]} is not in {place / 'dataset_info.json'}",
                  "Known: " + ", ".join(info), "source")
    elif "file_name" not in about:
        draft.say(one, "refused", f"{names[0]} is not a file on this machine",
                  "Save it as JSONL and name it with file_name.", "source")
    elif why := _columns(draft, one, about):
        draft.say(one, "refused", why, "Rename the columns, or name them with --ask and --answer.", "source")
    elif given := c.file(draft, one, str(about["file_name"]), place):
        draft.source = given
        draft.say(one, "taken", given)


def _columns(draft: Draft, one: Entry, about: dict[str, Any]) -> str:
    """Take the columns over where our reader does not find them by itself; why it cannot, if so."""
    columns, tags = dict(about.get("columns") or {}), dict(about.get("tags") or {})
    if used := [name for name in ("images", "videos", "audios") if name in columns]:
        return f"it has {used[0]}"
    if about.get("formatting", "alpaca") != "alpaca":
        named = columns.get("messages", "conversations")
        odd = [tag for name, tag in tags.items() if tag not in TAGS.get(name, (tag,))]
        pairs = tuple(tags.get(name, was) for name, was in SHAREGPT.items())
        if named not in ("conversations", "conversation", "messages") or odd or pairs not in (
                ("from", "value"), ("role", "content")):
            return f"the turns are in {named} as {', '.join([*pairs, *odd])}"
        return ""
    if about.get("ranking") or "kto_tag" in columns or not columns:
        return ""
    asked, answered = (columns.get(name, ALPACA[name]) for name in ("prompt", "response"))
    if "response" not in columns:
        return "" if asked == "text" else f"plain texts are in {asked}, not in text"
    if any(columns.get(name, was) != was for name, was in ALPACA.items()):
        if "query" in columns or "history" in columns or "system" in columns:
            return f"the columns {', '.join(columns.values())} are not named as in Alpaca"
        draft.options |= {"ask": (asked, one.line), "answer": (answered, one.line)}
    return ""
