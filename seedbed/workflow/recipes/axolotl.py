"""Configs of Axolotl."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import common as c
from .draft import OFF, Draft, Entry, Rule, apply, flag, idle, lacking, refused, whole

NAME = "Axolotl"
KEYS = {"base_model", "micro_batch_size", "sequence_len", "lora_r", "datasets"}
"""One of them makes a file Axolotl's."""
DONE = ("base_model", "adapter", "rl", "datasets", "pretraining_dataset", "test_datasets", "load_in_4bit",
        "load_in_8bit", "peft_use_dora", "peft_use_rslora", "warmup_steps")
READ = ("alpaca", "chat_template", "sharegpt", "completion", "pretrain", "chatml", "llama3", "alpaca_chat",
    "gpteacher")
"""Types of rows by their first word. The wording of a prompt is that of the model's own chat template."""
ROWS = ("path", "type", "split", "ds_type", "data_files", "field_messages", "message_property_mappings", "roles",
        "message_field_role", "message_field_content", "field", "field_chosen", "field_rejected", "chat_template",
        "name", "trust_remote_code", "revision", "shards", "preprocess_shards", "roles_to_train", "train_on_eos",
        "conversation", "field_instruction", "field_output", "field_system", "field_tools",
        "field_thinking", "template_thinking_key")
THOUGHTS = ("reasoning_content", "reasoning", "thinking")

TABLE: Mapping[str, Rule] = {
    **c.TABLE, "sequence_len": flag("max_tokens"), "num_epochs": flag("epochs", whole), "lora_r": flag("rank"),
    "micro_batch_size": flag("batch_texts"), "lr_scheduler": c.schedule, "optimizer": c.optimizer,
    "noisy_embedding_alpha": flag("neftune", float), "label_smoothing": flag("label_smoothing", float),
    "rl_beta": flag("beta", float), "dpo_beta": flag("beta", float), "orpo_alpha": flag("beta", float),
    "early_stopping_patience": flag("patience"), "sample_packing": flag("packing", bool),
    "ema_decay": flag("ema", float), "val_set_size": idle(c.SET_ASIDE), "output_dir": c.out,
    "lora_target_linear": idle("every matrix of a layer gets an adapter"),
    "lora_target_modules": lacking("every matrix of a layer gets an adapter"),
    "chat_template": idle(c.OWN_TEMPLATE), "train_on_inputs": refused(
        "questions would be learned too", "Set it to false, or give the rows as plain `text`."),
    "chat_template_jinja": refused("a chat template of its own", "Write it into the model's tokenizer_config.json."),
    "lora_model_dir": refused("it goes on with an adapter", "Merge it and make a card of the merged model."),
    "unfrozen_parameters": lacking("the layers of --train-layers are trained whole, the vocabulary is not"),
    "lora_modules_to_save": lacking("the vocabulary is not trained"), "lora_target_parameters": lacking(
        "every matrix of a layer gets an adapter"), "eta_min": lacking("the learning rate falls to a tenth"),
    "tokens": refused("it adds words to the vocabulary, which is not trained here", "Take it out."),
    "special_tokens": idle("those of the model are taken"),
    "eot_tokens": idle("those of the chat template are taken"),
    "reward_model": refused("a model that judges", "Take it out, or train preferences: rl: dpo."),
    "process_reward_model": refused("a model that judges", "Take it out, or train preferences: rl: dpo."),
    "processor_type": refused("a model of pictures or sounds", "Take a model of texts."),
    **{name: refused("another way of learning", "Take it out.") for name in (
        "ebft", "diffusion", "relora", "lisa_n_layers", "qat", "use_eaft", "use_onebitllms", "reinit_weights",
        "llmcompressor", "trl", "num_labels", "curriculum_sampling", "model_quantization_config")},
    **dict.fromkeys(("bf16", "fp16", "tf32", "float16", "bfloat16", "torch_dtype"),
                    idle("the fastest proven precision is found")),
    **dict.fromkeys(("pad_to_sequence_len", "group_by_length", "min_sample_len", "dataset_exact_deduplication",
                     "shuffle_merged_datasets", "sample_packing_sequentially"),
                    idle("batches are made of texts of like length, near duplicates stay in one split")),
    **dict.fromkeys(("model_type", "tokenizer_type", "trust_remote_code", "is_llama_derived_model", "strict", "debug",
                     "tokenizer_config", "remove_unused_columns", "skip_prepare_dataset", "low_cpu_mem_usage",
                     "is_mistral_derived_model", "base_model_config", "base_model_ignore_patterns", "hub_model_id",
                     "device_map", "revision_of_model", "full_finetune", "cls_model_config", "experts_implementation",
                     "peft_layers_to_transform", "model_config", "batch_size"), idle("not needed here")),
    **dict.fromkeys(("adam_beta1", "adam_beta2", "adam_epsilon", "adam_eps", "cosine_min_lr_ratio",
                     "cosine_constant_lr_ratio", "lr_quadratic_warmup"), lacking("AdamW's usual value is taken")),
}
BEGINS: Mapping[str, tuple[str, ...]] = {
        c.TRACKS: ("wandb", "swanlab", "trackio", "mlflow", "logging", "use_wandb", "use_swanlab", "use_tensorboard",
        "use_otel", "otel"),
    c.KEEPS: ("save", "auto_resume"),
    "seedbed train --resume RUN": ("resume",),
    "each pass is judged": ("eval",),
    "it always judges": ("do_",),
    c.SPEED: ("dataset_", "gradient_checkpointing", "activation_"),
    "not needed here": ("tokenizer_",),
    "nothing leaves": ("push_",),
        c.SHARED: ("deepspeed", "fsdp", "ddp", "dp_", "tensor_par", "context_par", "expert_", "local_rank", "use_ray",
        "ray_", "accelerator"),
        c.NO_CPU: ("liger", "flash_", "attn_", "sdp_", "xformers", "plugins", "torch_compile", "lora_mlp", "lora_qkv",
        "lora_o_", "use_", "fused", "flex_", "tiled", "fp8", "gptq", "bnb_", "quantize_", "vllm"),
    "the vocabulary is computed in parts here too": ("cut_cross",),
    "a loss that is no number stops it": ("loss_watchdog",),
    "those of the model are taken": ("special_tokens",),
}
"""By the reason: how keys begin that are not needed here."""


def read(draft: Draft, found: Mapping[str, Entry]) -> None:
    """Read a config into a draft."""
    id = c.model(draft, found["base_model"]) if "base_model" in found else None
    if "load_in_4bit" in found:
        idle("see adapter")(draft, found["load_in_4bit"])
    if "load_in_8bit" in found:
        lacking(c.SIXTEEN)(draft, found["load_in_8bit"])
    for name in ("peft_use_dora", "peft_use_rslora"):
        if name in found and found[name].value not in OFF:
            draft.take(found[name], "adapter", name.removeprefix("peft_use_"))
    kind = found["adapter"].value if "adapter" in found else None
    if one := found.get("adapter", found.get("base_model")):
        if kind in (None, "", "lora"):
            c.method(draft, one, ["lora" if kind else "full"])
        elif kind == "qlora":
            c.method(draft, one, ["qlora", "lora"], c.SIXTEEN)
        else:
            draft.say(one, "refused", f"adapters of the kind {kind} are not there", "Take lora or qlora.")
        if kind in (None, "", "lora", "qlora"):
            c.layers(draft, one, id)
    if "rl" in found and found["rl"].value not in OFF:
        c.preference(draft, found["rl"], str(found["rl"].value))
    if "warmup_steps" in found:
        share = isinstance(found["warmup_steps"].value, float) and found["warmup_steps"].value < 1
        (flag("warmup", float) if share else lacking("the warm-up is a share of the steps: --warmup"))(
            draft, found["warmup_steps"])
    for name in ("datasets", "pretraining_dataset", "test_datasets"):
        if name in found and found[name].value not in OFF:
            _rows(draft, found[name], test=name == "test_datasets")
    apply(draft, TABLE, BEGINS, found.values(), DONE)


def _rows(draft: Draft, one: Entry, test: bool) -> None:
    """The file of rows that a list of data sets names; `test_datasets` is what training is stopped by."""
    sets = one.value if isinstance(one.value, list) else [one.value]
    about: Any = sets[0] if isinstance(sets[0], dict) else {"path": sets[0]}
    kind = about.get("type")
    odd = [name for name in about if name not in ROWS]
    if len(sets) > 1:
        c.several(draft, one)
    elif why := _form(draft, one, about, str(kind or "completion") if not isinstance(kind, dict) else kind):
        draft.say(one, "refused", why, "Write the rows in a form that docs/data-formats.md names.", "source")
    elif odd:
        draft.say(one, "refused", f"{odd[0]} is not known for rows", "Take it out.", "source")
    elif given := c.file(draft, one, str(about.get("data_files") or about.get("path")), draft.path.parent):
        if test:
            draft.take(one, "validation", given)
        else:
            draft.source = given
            draft.say(one, "taken", given)
            if kind in ("completion", "pretrain") or one.key == "pretraining_dataset":
                c.pretraining(draft, one)


def _form(draft: Draft, one: Entry, about: dict[str, Any], kind: Any) -> str:
    """Take the columns over where our reader does not find them by itself; why it cannot, if so."""
    if isinstance(kind, dict):  # columns of its own
        asked, answered = (kind.get(f"field_{name}", name) for name in ("instruction", "output"))
        if kind.get("format") or kind.get("system_prompt") or kind.get("field_input"):
            return "the prompt has a wording of its own"
        draft.options |= {"ask": (asked, one.line), "answer": (answered, one.line)}
        return ""
    if kind.split(".")[0].split(":")[0] not in READ:
        return f"rows of the type {kind} are not known"
    turns = about.get("field_messages", "messages")
    names = dict(about.get("message_property_mappings") or {})
    pair = (names.get("role", about.get("message_field_role", "role")),
            names.get("content", about.get("message_field_content", "content")))
    if turns not in ("messages", "conversations", "conversation") or pair not in (
            ("role", "content"), ("from", "value")):
        return f"the turns are in {turns} as {', '.join(pair)}"
    if about.get("field_thinking", "thinking") not in THOUGHTS:
        return f"thoughts are in {about['field_thinking']}"
    if about.get("field", "text") != "text":
        return f"plain texts are in {about['field']}, not in text"
    for name in ("field_chosen", "field_rejected"):
        if about.get(name, name[6:]) != name[6:]:
            return f"{name[6:]} answers are in {about[name]}"
    return ""
