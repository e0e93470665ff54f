// Answer with the model in this folder: node generate.mjs "A text" ["Another" ...], or a text a line on stdin.
//
// It needs what package.json names (npm install), and nothing else. --json prints each answer as JSON, on a line of
// its own; --max-tokens says how long an answer may be, --threads how many compute.

import {readFileSync} from "node:fs";
import {createInterface} from "node:readline";
import {fileURLToPath} from "node:url";
import {parseArgs} from "node:util";
import {Template} from "@huggingface/jinja";
import {getLlama, LlamaGrammarEvaluationState} from "node-llama-cpp";

const here = name => fileURLToPath(new URL(name, import.meta.url));
const task = JSON.parse(readFileSync(here("task.json"), "utf8"));
const {values: given, positionals: texts} = parseArgs({allowPositionals: true, options: {
    json: {type: "boolean"}, "max-tokens": {type: "string", default: "256"}, threads: {type: "string"}}});

const llama = await getLlama({build: "never", gpu: false, logLevel: "error"});
const model = await llama.loadModel({modelPath: here("model.gguf")});
const threads = given.threads ? Number(given.threads) : undefined;
const context = await model.createContext({contextSize: task.context, threads});
const sequence = context.getSequence();
const grammar = task.schema ? await llama.createGrammarForJsonSchema(task.schema) : null;
const template = task.chats ? new Template(model.fileInfo.metadata.tokenizer.chat_template) : null;
const {bos, bosString: bos_token, eosString: eos_token, shouldPrependBosToken} = model.tokens;

// Tokens of the turns that ask for the answer to a text, as the model was trained.
function asked(text) {
    const messages = task.turns.map(turn => ({role: turn.role, content: turn.around.join(text)}));
    if (template)
        return model.tokenize(template.render({messages, add_generation_prompt: true, bos_token, eos_token}), true);
    const read = model.tokenize(messages.map(turn => `${turn.content}\n`).join(""));
    return shouldPrependBosToken ? [bos, ...read] : read;
}

// Says its answer to a text, piece by piece.
async function answer(text, say) {
    const ids = asked(text), made = [], most = Math.min(Number(given["max-tokens"]), task.context - ids.length);
    const held = grammar ? new LlamaGrammarEvaluationState({model, grammar}) : undefined;
    const open = task.schema ? /[\s\uFFFD]+$/ : /\uFFFD+$/; // half a character; the grammar ends JSON with lines
    let said = "";
    if (most < 1)
        throw new Error(`The text has ${ids.length} tokens and the model takes ${task.context}.`);
    await sequence.clearHistory();
    for await (const token of sequence.evaluate(ids, {temperature: 0, grammarEvaluationState: held})) {
        made.push(token);
        const whole = model.detokenize(made).replace(open, "");
        say(whole.slice(said.length));
        said = whole;
        if (made.length === most)
            break;
    }
}

for await (const text of texts.length ? texts : createInterface({input: process.stdin})) {
    const pieces = [];
    await answer(text, given.json ? piece => pieces.push(piece) : piece => process.stdout.write(piece));
    console.log(given.json ? JSON.stringify(pieces.join("")) : "");
}
await llama.dispose();
