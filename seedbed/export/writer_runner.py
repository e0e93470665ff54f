"""Answer with the model in this folder: python generate.py "A text" ["Another" ...], or a text a line on stdin.

It needs the packages in requirements.txt, and nothing else. --json prints each answer as JSON, on a line of its own.
"""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
TASK = json.loads((HERE / "task.json").read_text("utf-8"))
Say = Callable[[str], Any]


def open_gguf() -> Callable[[list[Any], int, Say], None]:
    """A function that says its answer to some turns, piece by piece, of so many tokens at most."""
    import secrets

    import xllamacpp
    options = xllamacpp.CommonParams()
    model, *adapters = (str(HERE / name) for name in TASK["files"])
    options.model.path, options.n_ctx, options.cache_ram_mib = model, TASK["context"], 0
    options.lora_adapters = [xllamacpp.CommonAdapterLoraInfo(name, 1.0) for name in adapters]
    options.api_keys = [secrets.token_urlsafe()]  # it opens a port of this machine, which is for nobody
    options.warmup, options.ui, options.verbosity = False, False, -1
    server, how = xllamacpp.Server(options), {"temperature": 0, "stream": True, "reasoning_format": "none"}
    if TASK["schema"]:
        how["grammar"] = xllamacpp.json_schema_to_grammar(TASK["schema"])

    def answer(turns: list[Any], most: int, say: Say) -> None:
        problems = []

        def take(piece: Any) -> None:
            for one in piece.get("choices", ()):
                say(one.get("delta", one).get("content") or one.get("text") or "")
            problems.extend([piece] if "error" in piece else [])
        if TASK["chats"]:
            server.handle_chat_completions(how | {"messages": turns, "max_tokens": most}, take)
        else:
            server.handle_completions(how | {"prompt": rendered(turns), "max_tokens": most}, take)
        if problems:
            sys.exit(f"llama.cpp refuses: {problems[0]['error']['message']}")
    return answer


def open_openvino() -> Callable[[list[Any], int, Say], None]:
    """A function that says its answer to some turns, piece by piece, of so many tokens at most."""
    import openvino_genai as genai
    pipe = genai.LLMPipeline(str(HERE), "CPU")
    tokenizer, held = pipe.get_tokenizer(), genai.StructuredOutputConfig(json_schema=json.dumps(TASK["schema"]))
    more = {"structured_output_config": held} if TASK["schema"] else {}

    def answer(turns: list[Any], most: int, say: Say) -> None:
        chats = TASK["chats"]
        text = tokenizer.apply_chat_template(turns, add_generation_prompt=True) if chats else rendered(turns)
        pipe.generate(tokenizer.encode(text, add_special_tokens=not chats), max_new_tokens=most, do_sample=False,
                      streamer=lambda piece: say(piece) and None, **more)
    return answer


def open_onnx() -> Callable[[list[Any], int, Say], None]:
    """A function that says its answer to some turns, piece by piece, of so many tokens at most."""
    import onnxruntime_genai as genai
    genai.disable_telemetry_events()
    model = genai.Model(str(HERE))
    tokenizer = genai.Tokenizer(model)

    def answer(turns: list[Any], most: int, say: Say) -> None:
        chats, words = TASK["chats"], json.dumps(turns)
        text = tokenizer.apply_chat_template(words, add_generation_prompt=True) if chats else rendered(turns)
        ids, options = tokenizer.encode(text), genai.GeneratorParams(model)
        options.set_search_options(max_length=min(len(ids) + most, TASK["context"]), do_sample=False)
        if TASK["schema"]:
            options.set_guidance("json_schema", json.dumps(TASK["schema"]))
        generator, stream = genai.Generator(model, options), tokenizer.create_stream()
        generator.append_tokens(ids)
        while not generator.is_done():
            generator.generate_next_token()
            if (token := generator.get_next_tokens()[0]) not in tokenizer.eos_token_ids:
                say(stream.decode(token))
    return answer


def open_onnx_paired() -> Callable[[list[Any], int, Say], None]:
    """A function that says its answer to some turns, piece by piece, of so many tokens at most."""
    import onnxruntime
    graphs = {name: onnxruntime.InferenceSession(HERE / f"{name}.onnx", providers=["CPUExecutionProvider"])
              for name in ("encoder", "decoder")}
    inputs = {name: [one.name for one in graph.get_inputs()] for name, graph in graphs.items()}
    return paired(lambda name, given: graphs[name].run(None, dict(zip(inputs[name], given, strict=True))))


def open_openvino_paired() -> Callable[[list[Any], int, Say], None]:
    """A function that says its answer to some turns, piece by piece, of so many tokens at most."""
    import openvino
    graphs = {name: openvino.Core().compile_model(HERE / f"{name}.xml", "CPU") for name in ("encoder", "decoder")}
    return paired(lambda name, given: [*graphs[name](given).values()])


def paired(run: Callable[[str, list[Any]], list[Any]]) -> Callable[[list[Any], int, Say], None]:
    """An encoder-decoder: one graph reads a text once, the other goes on with what it has said."""
    import numpy as np
    from tokenizers import Tokenizer
    tokenizer = Tokenizer.from_file(str(HERE / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    tokenizer.encode_special_tokens = True  # marks in a text are letters
    settings = json.loads((HERE / "generation_config.json").read_text("utf-8"))

    def answer(turns: list[Any], most: int, say: Say) -> None:
        ids = tokenizer.encode("\n".join(turn["content"] for turn in turns)).ids
        if len(ids) > TASK["context"]:
            sys.exit(f"The text has {len(ids)} tokens and the model takes {TASK['context']}.")
        mask = np.ones((1, len(ids)), np.int64)
        cross = run("encoder", [np.array([ids], np.int64), mask])
        past: list[Any] = [np.zeros((1, one.shape[1], 0, one.shape[3]), np.float32) for one in cross]
        token, made, shown = settings["decoder_start_token_id"], list[int](), 0
        for _ in range(min(most, TASK["context"])):
            scores, *past = run("decoder", [np.array([[token]], np.int64), mask, *cross, *past])
            token = int(scores[0, -1].argmax())
            if token in settings["eos_token_id"]:
                break
            made.append(token)
            text = tokenizer.decode(made).rstrip("\ufffd")  # half a character
            say(text[shown:])
            shown = max(shown, len(text))
    return answer


def rendered(turns: list[Any]) -> str:
    """Of a model without a chat template: a turn a line."""
    return "".join(f"{turn['content']}\n" for turn in turns)


def asked(text: str) -> list[Any]:
    """The turns that ask for the answer to a text, as the model was trained."""
    return [{"role": turn["role"], "content": text.join(turn["around"])} for turn in TASK["turns"]]


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("texts", nargs="*")
    options.add_argument("--max-tokens", type=int, default=256)
    options.add_argument("--json", action="store_true")
    given, run = options.parse_args(), globals()[f"open_{TASK['kind']}"]()
    for line in given.texts or (line.rstrip("\n") for line in sys.stdin):
        pieces: list[str] = []
        run(asked(line), given.max_tokens, pieces.append if given.json else lambda piece: print(
            piece, end="", flush=True))
        print(json.dumps("".join(pieces), ensure_ascii=False) if given.json else "", flush=True)
