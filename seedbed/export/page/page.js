// Opens the model that lies in this page, holds it against the bundle's stored answers, and only then answers.
const said = JSON.parse(document.getElementById("said").textContent);
const [text, answer, rows, about, proof] = ["text", "answer", "rows", "about", "proof"].map(
  name => document.getElementById(name));
const percent = new Intl.NumberFormat("en", { style: "percent", minimumFractionDigits: 1, maximumFractionDigits: 1 });
const figures = new Intl.NumberFormat("en", { maximumSignificantDigits: 2 });

// The bytes of a block of the page, which is then dropped: base64 of what gzip made.
async function part(name) {
  const block = document.getElementById(name), letters = block.textContent, bytes = [];
  block.remove();
  for (let at = 0; at < letters.length; at += 1 << 20) {
    const raw = atob(letters.slice(at, at + (1 << 20))), some = new Uint8Array(raw.length);
    for (let i = 0; i < raw.length; i++) some[i] = raw.charCodeAt(i);
    bytes.push(some);
  }
  return new Response(new Blob(bytes).stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
}

async function module(name) {
  const address = URL.createObjectURL(new Blob([await part(name)], { type: "text/javascript" }));
  try { return await import(address); } finally { URL.revokeObjectURL(address); }
}

async function opened() {
  const [ort, { Tokenizer }] = [await module("runtime"), await module("tokenizers")];
  Object.assign(ort.env.wasm, { numThreads: 1, wasmBinary: await part("wasm") });
  const tokenizer = new Tokenizer(JSON.parse(new TextDecoder().decode(await part("tokenizer"))), {});
  const model = await part("model");
  if (globalThis.crypto?.subtle) {  // some browsers have it for pages of a server only
    const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", model));
    if (Array.from(hash, byte => byte.toString(16).padStart(2, "0")).join("") !== said.sha256)
      throw new Error("the model in this page was changed: its SHA-256 is another");
  }
  const session = await ort.InferenceSession.create(new Uint8Array(model), { executionProviders: ["wasm"] });
  return async words => {
    const { tokens, cut } = read(tokenizer, words), shape = [1, tokens.length];
    const { logits } = await session.run({
      ids: new ort.Tensor("int64", BigInt64Array.from(tokens, BigInt), shape),
      mask: new ort.Tensor("int64", new BigInt64Array(tokens.length).fill(1n), shape) });
    return { tokens, cut, probabilities: probabilities(Array.from(logits.data)) };
  };
}

// Token ids as the bundle's engines make them: cut at the model's limit with what ends every text kept, never empty.
function read(tokenizer, words) {
  const ids = tokenizer.encode(words).ids, cut = ids.length > said.max_tokens;
  const tokens = cut ? [...ids.slice(0, said.max_tokens - said.ending), ...ids.slice(ids.length - said.ending)] : ids;
  return { tokens: tokens.length ? tokens : [said.empty], cut };
}

function probabilities(logits) {
  const scaled = logits.map(one => one / said.temperature), most = Math.max(...scaled);
  if (said.multi_label) return scaled.map(one => 1 / (1 + Math.exp(-one)));
  const each = scaled.map(one => Math.exp(one - most)), sum = each.reduce((a, b) => a + b);
  return each.map(one => one / sum);
}

// The certificate again, in this browser: the tokens and the probabilities of texts whose answers the bundle stored.
async function prove(classify) {
  let off = 0;
  for (const [i, one] of said.probes.entries()) {
    tell("", `Proving itself: stored text ${i + 1} of ${said.probes.length} …`);
    await new Promise(done => setTimeout(done));
    const { tokens, probabilities } = await classify(one.text);
    if (tokens.join() !== one.tokens.join())
      throw new Error(`stored text ${i + 1} of ${said.probes.length} gets other tokens here`);
    const far = Math.max(...probabilities.map((p, j) => Math.abs(p - one.probabilities[j])));
    if (!(far <= said.limit))
      throw new Error(`a probability of stored text ${i + 1} is off by ${figures.format(far)}, where ${said.limit} is allowed`);
    off = Math.max(off, far);
  }
  return off;
}

function tell(state, words, strong = "") {
  proof.className = `proof ${state}`;
  const bold = document.createElement("b"), line = document.createElement("p");
  bold.textContent = strong;
  line.append(bold, strong ? " " : "", words);
  proof.replaceChildren(line);
}

function show(found, milliseconds) {
  const order = found.probabilities.map((p, i) => [p, i]).sort(([p], [q]) => q - p);
  const chosen = order.filter(([p], place) => said.multi_label ? p >= 0.5 : place === 0);
  rows.replaceChildren(...order.map(([p, i], place) => {
    const row = document.createElement("tr"), name = document.createElement("th"), drawn = document.createElement("td"),
      figure = document.createElement("td"), bar = document.createElement("div"), fill = document.createElement("div");
    row.className = place < chosen.length ? "chosen" : "";
    name.scope = "row";
    name.dir = "auto";
    name.textContent = said.labels[i];
    bar.className = "bar";
    bar.setAttribute("aria-hidden", "true");
    fill.style.width = `${p * 100}%`;
    bar.append(fill);
    drawn.append(bar);
    figure.textContent = percent.format(p);
    row.append(name, drawn, figure);
    // said once more: on a phone rows are laid out as grids, which some browsers then call no rows
    [[row, "row"], [name, "rowheader"], [drawn, "cell"], [figure, "cell"]].forEach(
      ([one, role]) => one.setAttribute("role", role));
    return row;
  }));
  const named = chosen.map(([p, i]) => `\u2068${said.labels[i]}\u2069, ${percent.format(p)}`).join("; ");
  say(named || "None of the labels", false);
  const cut = found.cut ? `Longer than the model reads: only the first ${found.tokens.length} tokens count. ` : "";
  about.textContent = `${cut}${found.tokens.length} ${found.tokens.length === 1 ? "token" : "tokens"}, ` +
    `${milliseconds.toFixed(milliseconds < 10 ? 1 : 0)} ms on this machine.`;
}

function say(words, waits) {
  answer.classList.toggle("waits", waits);
  answer.textContent = words;
}

// One text at a time; of those typed meanwhile only the last is answered.
function listen(classify) {
  let busy = false, again = false, timer;
  const run = async () => {
    again = busy;
    if (busy) return;
    busy = true;
    const words = text.value, start = performance.now();
    if (words.trim()) show(await classify(words), performance.now() - start);
    else { rows.replaceChildren(); about.textContent = ""; say("Type a text, and its labels appear here.", true); }
    busy = false;
    if (again) run();
  };
  text.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(run, 200); });
  text.disabled = false;
  run();
}

try {
  const classify = await opened(), off = await prove(classify);
  tell("proven", `All ${said.probes.length} stored texts get the same tokens, and no probability is off by more than ` +
    `${figures.format(off)} (${said.limit} is allowed).`, "Agrees with its certificate in this browser.");
  globalThis.classify = classify;
  listen(classify);
} catch (problem) {
  tell("refused", `${problem?.message ?? problem}.`, "This page does not answer here:");
  say("This page does not answer here; the reason stands below.", true);
}
