"use strict";
// The page's controls. What is shown is a state: a base (a place on a morph, a place on the map, or
// a draw), and two edits of it (steps along a direction, dimensions set to a value). Every control
// changes the state and calls show(); the address's hash holds the same state.

const $ = (selector, within = document) => within.querySelector(selector);
const $$ = (selector, within = document) => [...within.querySelectorAll(selector)];
const page = JSON.parse($("#data").textContent);
const [channels, side] = page.shape;
const models = Object.entries(page.models).map(([name, told]) => ({ name, ...told }));
const OWN = "own";

// --- arrays ---------------------------------------------------------------------------------------

const HALVES = Float32Array.from({ length: 1 << 16 }, (_, bits) => {
  const [sign, exponent, fraction] = [bits >> 15 ? -1 : 1, (bits >> 10) & 31, bits & 1023];
  return sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -24 * fraction);
});

function bytesOf(text) {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes.buffer;
}

function arrayOf(buffer, { at, length, kind, scale }) {
  if (kind === "float32") return new Float32Array(buffer.slice(at, at + 4 * length));
  if (kind === "float16") return Float32Array.from(new Uint16Array(buffer, at, length), (b) => HALVES[b]);
  const scales = arrayOf(buffer, scale);
  return Float32Array.from(new Int8Array(buffer, at, length), (q, i) => q * scales[i % scales.length]);
}

// In a tree of what Python told, arrays in place of where they lie.
function withArrays(buffer, tree) {
  if (tree === null || typeof tree !== "object") return tree;
  if (tree.kind in { float32: 0, float16: 0, int8: 0 }) return arrayOf(buffer, tree);
  if (Array.isArray(tree)) return tree.map((each) => withArrays(buffer, each));
  return Object.fromEntries(Object.entries(tree).map(([key, each]) => [key, withArrays(buffer, each)]));
}

const row = (array, i, length) => array.subarray(i * length, (i + 1) * length);
const mix = (a, b, t) => a.map((value, i) => (1 - t) * value + t * b[i]);
const dot = (a, b) => a.reduce((sum, value, i) => sum + value * b[i], 0);
const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

// --- the models -----------------------------------------------------------------------------------

function start(model) {
  const source = new Blob([$("#net").textContent], { type: "text/javascript" });
  const asked = new Map();
  let count = 0;
  model.worker = new Worker(URL.createObjectURL(source));
  model.worker.onmessage = ({ data }) => {
    asked.get(data.id)(data);
    asked.delete(data.id);
  };
  model.worker.onerror = (event) => fail(event.message);
  const { encoder, decoder, likelihood } = model;
  model.worker.postMessage({ net: { encoder, decoder, likelihood } });
  model.ask = (question) =>
    new Promise((answer) => {
      asked.set(++count, answer);
      model.worker.postMessage({ id: count, ...question });
    });
}

function fail(reason) {
  $("#failure").hidden = false;
  $("#failure").textContent = `This browser does not run the models here: ${reason}`;
}

// --- the state and its codes ----------------------------------------------------------------------

let state = { base: { kind: "morph", from: 0, to: 1, path: "linear", t: 0 }, dims: {}, walk: null };
const pictures = []; // float pixels (H, W, C) of the test images; [OWN] of the person's
const own = {}; // model -> the encoding of the person's picture

function slerp(a, b, t) {
  const [normA, normB] = [Math.sqrt(dot(a, a)), Math.sqrt(dot(b, b))];
  const angle = Math.acos(clamp(dot(a, b) / (normA * normB), -1, 1));
  const sine = Math.sin(angle);
  if (!(normA * normB > 0 && sine > 1e-4)) return mix(a, b, t);
  const norm = (1 - t) * normA + t * normB;
  const [u, v] = [(norm * Math.sin((1 - t) * angle)) / sine / normA, (norm * Math.sin(t * angle)) / sine / normB];
  return a.map((value, i) => u * value + v * b[i]);
}

function alongData(model, from, to, t) {
  if (from === to) return null;
  const [low, high, steps] = [Math.min(from, to), Math.max(from, to), model.path_steps];
  const count = page.pictures.length; // pairs stand in the order (0, 1), (0, 2), ...
  const pair = low * count - (low * (low + 1)) / 2 + high - low - 1;
  const place = (from < to ? t : 1 - t) * (steps - 1);
  const i = Math.min(Math.floor(place), steps - 2);
  const at = (j) => row(model.paths, pair * steps + j, model.latent_dim);
  return mix(at(i), at(i + 1), place - i);
}

const encodingOf = (model, end) => (end === OWN ? own[model.name] : row(model.mu, end, model.latent_dim));

// Mulberry32, and Box and Muller's normals: the same seed gives every model the same noise.
function normals(seed, count) {
  const uniform = () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  return Float32Array.from({ length: count }, () =>
    Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform()),
  );
}

function placeOn(model, base) {
  if (model.name === base.model) return [base.u, base.v];
  const link = models.find((each) => each.name === base.model).links[model.name];
  return [base.u * link[0] + base.v * link[2], base.u * link[1] + base.v * link[3]];
}

function baseCode(model, base) {
  const length = model.latent_dim;
  if (base.kind === "draw") {
    const { source, number } = base;
    return source === "prior" ? normals(number, length) : row(model.draws[source], number, length);
  }
  if (base.kind === "map") {
    const [u, v] = placeOn(model, base);
    return model.origin.map((value, i) => value + u * model.axes[i] + v * model.axes[length + i]);
  }
  const { from, to, path, t } = base;
  const [a, b] = [encodingOf(model, from), encodingOf(model, to)];
  if (path === "slerp") return slerp(a, b, t);
  return (path === "geodesic" && hasPath(base) && alongData(model, from, to, t)) || mix(a, b, t);
}

const hasPath = ({ from, to }) => from !== OWN && to !== OWN;

function code(model) {
  let z = baseCode(model, state.base).slice();
  if (state.walk) {
    const { name, amount } = state.walk;
    z = z.map((value, i) => value + amount * model.directions[name][i]);
  }
  for (const [i, value] of Object.entries(state.dims[model.name] ?? {})) {
    z[i] = model.mean[i] + value * model.sd[i];
  }
  return z;
}

// --- the hash -------------------------------------------------------------------------------------

function toHash() {
  const { base, dims, walk } = state;
  const params = new URLSearchParams();
  for (const [key, value] of Object.entries(base)) {
    params.set(key, ["t", "u", "v"].includes(key) ? value.toFixed(3) : value);
  }
  for (const [model, values] of Object.entries(dims)) {
    for (const [i, value] of Object.entries(values)) params.set(`z.${model}.${i}`, value.toFixed(2));
  }
  if (walk) params.set(`walk.${walk.name}`, walk.amount.toFixed(2));
  return `#${params}`;
}

// Whatever stands in the hash, what comes back can be shown; null of a hash that says nothing.
function fromHash(hash) {
  const params = new URLSearchParams(hash.slice(1));
  const number = (key, low, high) => clamp(Number(params.get(key)) || 0, low, high);
  const end = (key) =>
    params.get(key) === OWN && pictures[OWN] ? OWN : Math.floor(number(key, 0, page.pictures.length - 1));
  const model = models.find((each) => each.name === params.get("model"));
  const source = params.get("source");
  const kinds = {
    morph: () => ({
      kind: "morph", from: end("from"), to: end("to"), t: number("t", 0, 1),
      path: $$("[name=path]").some(({ value }) => value === params.get("path")) ? params.get("path") : "linear",
    }),
    map: () => model && { kind: "map", model: model.name, u: number("u", -1e3, 1e3), v: number("v", -1e3, 1e3) },
    draw: () =>
      $(`[data-source="${CSS.escape(source)}"]`) && {
        kind: "draw", source, number: Math.floor(number("number", 0, countOf(source) - 1)),
      },
  };
  const kind = params.get("kind");
  const base = Object.hasOwn(kinds, kind) && kinds[kind]();
  if (!base) return null;
  const found = { base, dims: {}, walk: null };
  for (const key of params.keys()) {
    const [what, name, i] = key.split(".");
    if (what === "z" && $(`#dimensions [data-model="${CSS.escape(name)}"] [data-dimension="${CSS.escape(i)}"]`)) {
      (found.dims[name] ??= {})[i] = number(key, -3, 3);
    }
    const direction = key.slice("walk.".length);
    if (what === "walk" && Object.hasOwn(models[0].directions, direction)) {
      found.walk = { name: direction, amount: number(key, -2, 2) };
    }
  }
  return found;
}

const countOf = (source) =>
  source === "prior" ? 2 ** 31 : models[0].draws[source].length / models[0].latent_dim;

// --- showing --------------------------------------------------------------------------------------

function paint(canvas, values) {
  canvas.width = canvas.height = side;
  const image = new ImageData(side, side);
  for (let i = 0; i < side * side; i++) {
    for (let c = 0; c < 3; c++) image.data[4 * i + c] = 255 * values[i * channels + (c % channels)] + 0.5;
    image.data[4 * i + 3] = 255;
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
}

// The picture that the codes are of, where they are of one.
function pictureShown() {
  const { base, dims, walk } = state;
  if (base.kind !== "morph" || walk || Object.keys(dims).length) return null;
  return base.t === 0 ? pictures[base.from] : base.t === 1 ? pictures[base.to] : null;
}

function psnr(a, b) {
  const mse = a.reduce((sum, value, i) => sum + (value - b[i]) ** 2, 0) / a.length;
  return `${(-10 * Math.log10(Math.max(mse, 1e-10))).toFixed(1)} dB`;
}

// One decoding at a time; what was asked meanwhile is answered by the newest state alone.
async function draw(model) {
  model.stale = true;
  if (model.busy) return;
  model.busy = true;
  while (model.stale) {
    model.stale = false;
    const { values, milliseconds } = await model.ask({ decode: code(model) });
    const of = pictureShown();
    paint($("canvas", model.figure), values);
    $("span", model.figure).textContent = of && !model.stale ? psnr(values, of) : `${milliseconds.toFixed(0)} ms`;
  }
  model.busy = false;
}

function show() {
  const { base } = state;
  models.forEach(draw);
  const isMorph = base.kind === "morph";
  $("#source").style.visibility = isMorph ? "" : "hidden";
  if (isMorph) paint($("#source canvas"), mix(pictures[base.from], pictures[base.to], base.t));
  $("#source b").textContent = base.t === 0 || base.t === 1 ? "Picture" : "Cross-fade of pixels";
  $("#status").textContent = describe();
  sync();
  clearTimeout(show.timer);
  show.timer = setTimeout(() => history.replaceState(null, "", toHash()), 150);
}

const nameOf = (end) => (end === OWN ? "your picture" : page.pictures[end]);

function describe() {
  const { base, dims, walk } = state;
  const parts = [];
  if (base.kind === "morph") {
    const { from, to, t } = base;
    if (t === 0 || t === 1) parts.push(`Reconstructions of ${nameOf(t ? to : from)}`);
    else parts.push(`${Math.round(100 * t)} % of the way from ${nameOf(from)} to ${nameOf(to)}`);
  }
  if (base.kind === "map") parts.push("Decoded from the map");
  if (base.kind === "draw") parts.push(`A draw: ${$(`[data-source=${base.source}]`).textContent.toLowerCase()}`);
  if (walk) parts.push(`${walk.amount.toFixed(2)} steps towards ${walk.name}`);
  if (Object.keys(dims).length) parts.push("dimensions set by hand");
  return parts.join("; ");
}

function setSlider(input, value, digits = 2) {
  input.value = value;
  $("output", input.parentNode).textContent = format(Number(value), digits);
}

// The controls say what is shown, whichever of them was used.
function sync() {
  const { base, walk } = state;
  for (const model of models) {
    const z = code(model);
    for (const input of $$(`#dimensions [data-model=${model.name}] input`)) {
      const i = input.dataset.dimension;
      setSlider(input, (z[i] - model.mean[i]) / model.sd[i]);
    }
    const centred = z.map((value, i) => value - model.origin[i]);
    model.place = [0, 1].map((axis) => dot(centred, row(model.axes, axis, model.latent_dim)));
    const [u, v] = model.place.map((value) => clamp(value / model.reach, -1, 1));
    Object.assign(model.ring.style, { left: `${50 + 50 * u}%`, top: `${50 - 50 * v}%` });
  }
  if (base.kind === "morph") {
    for (const [name, value] of [["from", base.from], ["to", base.to], ["path", base.path]]) {
      $(`[name=${name}][value="${value}"]`).checked = true;
    }
    $("#no-path").hidden = base.path !== "geodesic" || hasPath(base);
  }
  setSlider($("#way"), base.kind === "morph" ? base.t : 0);
  if (walk) $("#direction").value = walk.name;
  if ($("#amount")) setSlider($("#amount"), walk?.amount ?? 0);
}

const setBase = (base) => {
  state = { base, dims: {}, walk: null };
  show();
};

function setMorph(change) {
  const now = state.base.kind === "morph" ? state.base : { from: chosen("from"), to: chosen("to"), path: chosen("path"), t: 0 };
  setBase({ kind: "morph", ...now, ...change });
}

function chosen(name) {
  const { value } = $(`[name=${name}]:checked`);
  return name === "path" || value === OWN ? value : Number(value);
}

// --- the controls ---------------------------------------------------------------------------------

function addEnd(list, end) {
  const label = document.createElement("label");
  label.innerHTML = `<input type="radio" name="${list.id}" value="${end}"><canvas class="pixels"></canvas>`;
  $("input", label).setAttribute("aria-label", nameOf(end));
  $("input", label).onchange = () => setMorph({ [list.id]: end, t: list.id === "from" ? 0 : 1 });
  paint($("canvas", label), pictures[end]);
  $(`[value=${OWN}]`, list)?.parentNode.remove();
  list.append(label);
}

function listenToMorph() {
  for (const list of [$("#from"), $("#to")]) page.pictures.forEach((_, i) => addEnd(list, i));
  $$("[name=path]").forEach((input) => (input.onchange = () => setMorph({ path: input.value })));
  $("#way").oninput = ({ target }) => setMorph({ t: Number(target.value) });
  const button = $("#run");
  let began = null;
  const step = (now) => {
    if (began === null) return;
    const phase = ((now - began) / 4000) % 2;
    setMorph({ t: phase < 1 ? phase : 2 - phase });
    requestAnimationFrame(step);
  };
  button.onclick = () => {
    const t = state.base.kind === "morph" ? state.base.t : 0;
    began = began === null ? performance.now() - 4000 * t : null;
    button.setAttribute("aria-pressed", began !== null);
    requestAnimationFrame(step);
  };
  // Any other control ends it, lest two of them pull at the picture.
  const stop = ({ target }) => target !== button && button.getAttribute("aria-pressed") === "true" && button.click();
  for (const kind of ["pointerdown", "keydown"]) $("#controls").addEventListener(kind, stop);
}

async function take(file) {
  if (!file) return;
  const picture = await createImageBitmap(file).catch(() => null);
  if (!picture) {
    $("#status").textContent = `${file.name} is no picture that this browser can read`;
    return;
  }
  const size = Math.min(picture.width, picture.height);
  const canvas = Object.assign(document.createElement("canvas"), { width: side, height: side });
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  const [x, y] = [(picture.width - size) / 2, (picture.height - size) / 2];
  context.fillStyle = "white"; // behind what is transparent
  context.fillRect(0, 0, side, side);
  context.drawImage(picture, x, y, size, size, 0, 0, side, side);
  pictures[OWN] = pixelsOf(context, 0);
  for (const model of models) {
    own[model.name] = (await model.ask({ encode: pictures[OWN] })).values;
  }
  for (const list of [$("#from"), $("#to")]) addEnd(list, OWN);
  setMorph({ from: OWN, t: 0 });
}

function listenToPictures() {
  $("#own").onchange = ({ target }) => take(target.files[0]);
  const dropping = (on) => (event) => {
    event.preventDefault();
    document.body.classList.toggle("dropping", on);
  };
  addEventListener("dragover", dropping(true));
  addEventListener("dragleave", dropping(false));
  addEventListener("drop", (event) => {
    dropping(false)(event);
    take(event.dataTransfer.files[0]);
  });
}

const PALETTE = ["#d9812b", "#4a8fdb", "#2e9b62", "#9a70c4", "#d0605d", "#7d9f2e", "#2aa3a3", "#c25aa0", "#8c6d4f", "#808890"];
const RAMP = ["#3b3fa8", "#2f7fb8", "#2fa58c", "#7fbf4f", "#e8c62e"];
const WHEEL = Array.from({ length: 13 }, (_, i) => `hsl(${30 * i} 70% 52%)`);

function colourOf({ kind, values, ends }, i) {
  if (kind === "kind") return PALETTE[values[i] % PALETTE.length];
  if (kind === "angle") return `hsl(${360 * values[i]} 70% 52%)`;
  const share = (values[i] - ends[0]) / (ends[1] - ends[0] || 1);
  return RAMP[clamp(Math.floor(share * RAMP.length), 0, RAMP.length - 1)];
}

function drawMaps() {
  const colour = page.colours[$("#colour").selectedIndex];
  for (const { map, points, reach } of models) {
    const canvas = $("canvas", map);
    const context = canvas.getContext("2d");
    const size = (canvas.width = canvas.height = 640);
    context.globalAlpha = 0.85;
    for (let i = 0; i < points.length / 2; i++) {
      context.fillStyle = colourOf(colour, i);
      context.beginPath();
      context.arc((size / 2) * (1 + points[2 * i] / reach), (size / 2) * (1 - points[2 * i + 1] / reach), 7, 0, 7);
      context.fill();
    }
  }
  const mark = (style, name = "") => {
    const found = Object.assign(document.createElement("i"), { className: name });
    found.style.background = style;
    return found;
  };
  const entry = (...parts) => {
    const found = document.createElement("span");
    found.append(...parts);
    return found;
  };
  const ramp = (colours) => mark(`linear-gradient(90deg, ${colours})`, "ramp");
  const [low, high] = colour.ends.map(String);
  $("#legend").replaceChildren(
    ...{
      kind: () => colour.names.map((text, i) => entry(mark(PALETTE[i % PALETTE.length]), text)),
      angle: () => [entry("one turn", ramp(WHEEL))],
      number: () => [entry(low, ramp(RAMP), high)],
    }[colour.kind](),
  );
}

function listenToMaps() {
  for (const model of models) {
    const { map, reach } = model;
    const go = (u, v) => setBase({ kind: "map", model: model.name, u: clamp(u, -reach, reach), v: clamp(v, -reach, reach) });
    const point = (event) => {
      const box = map.getBoundingClientRect();
      const [x, y] = [(event.clientX - box.x) / box.width, (event.clientY - box.y) / box.height];
      go(reach * (2 * x - 1), reach * (1 - 2 * y));
    };
    map.onpointerdown = (event) => {
      map.setPointerCapture(event.pointerId);
      point(event);
    };
    map.onpointermove = (event) => event.buttons && point(event);
    map.onkeydown = (event) => {
      const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
      if (!step) return;
      event.preventDefault();
      go(model.place[0] + (reach / 25) * step[0], model.place[1] + (reach / 25) * step[1]);
    };
  }
  $("#colour").onchange = drawMaps;
}

function listenToRest() {
  for (const input of $$("#dimensions input")) {
    const { model } = input.closest("[data-model]").dataset;
    input.oninput = () => {
      (state.dims[model] ??= {})[input.dataset.dimension] = Number(input.value);
      show();
    };
  }
  $("#reset").onclick = () => setBase(state.base);
  for (const button of $$("[data-source]")) {
    const { source } = button.dataset;
    button.onclick = () => setBase({ kind: "draw", source, number: Math.floor(Math.random() * countOf(source)) });
  }
  if (!$("#walk")) return;
  const walk = () => {
    state.walk = { name: $("#direction").value, amount: Number($("#amount").value) };
    show();
  };
  $("#amount").oninput = walk;
  $("#direction").onchange = walk;
}

// --- the curves -----------------------------------------------------------------------------------

const [WIDTH, HEIGHT, LEFT, TOP, BOTTOM] = [460, 180, 52, 8, 20];

function format(value, digits) {
  const options = { minimumFractionDigits: digits, maximumFractionDigits: digits };
  return value?.toLocaleString("en", options).replace("-", "−") ?? "–";
}

function drawCurves() {
  const names = [...new Set(page.curves.flatMap(({ lines }) => lines.map(({ model }) => model)))];
  const epochs = Math.max(...page.curves.flatMap(({ lines }) => lines.map(({ values }) => values.length)));
  const across = (i) => LEFT + (epochs > 1 ? i / (epochs - 1) : 0.5) * (WIDTH - LEFT);
  const panels = page.curves.map(({ heading, digits, lines }) => {
    // The first epoch of training, averaged over a net that knows nothing yet, would flatten the rest.
    const known = lines.flatMap(({ split, values }) => values.slice(split === "train" ? 1 : 0));
    const all = known.filter((value) => value !== null);
    const [low, high] = [Math.min(...all), Math.max(...all)];
    const down = (value) => TOP + (1 - (value - low) / (high - low || 1)) * (HEIGHT - TOP - BOTTOM);
    const figure = document.createElement("figure");
    const paths = lines.map(({ model, split, values }) => {
      const points = values.map((value, i) => [across(i), down(value), value]).filter(([, , value]) => value !== null && value >= low && value <= high);
      const path = points.map(([x, y]) => `${x.toFixed(1)} ${y.toFixed(1)}`).join("L");
      return `<path class="${split}" stroke="var(--model-${names.indexOf(model) % 4})" d="M${path}"/>`;
    });
    figure.innerHTML = `<b></b><svg viewBox="-2 0 ${WIDTH + 4} ${HEIGHT}" aria-hidden="true">
      <line x1="${LEFT}" x2="${WIDTH}" y1="${HEIGHT - BOTTOM}" y2="${HEIGHT - BOTTOM}"/>${paths.join("")}
      <line class="now" y1="${TOP}" y2="${HEIGHT - BOTTOM}"/>
      <text x="${LEFT - 6}" y="${TOP + 8}" text-anchor="end">${format(high, 0)}</text>
      <text x="${LEFT - 6}" y="${HEIGHT - BOTTOM}" text-anchor="end">${format(low, 0)}</text>
      <text x="${LEFT}" y="${HEIGHT - 3}">1</text><text x="${WIDTH}" y="${HEIGHT - 3}" text-anchor="end">${epochs}</text>
      </svg><figcaption></figcaption>`;
    $("b", figure).textContent = heading;
    figure.onpointermove = figure.onpointerdown = (event) => {
      const box = $("svg", figure).getBoundingClientRect();
      const share = ((event.clientX - box.x) / box.width) * WIDTH - LEFT;
      tell(1 + Math.round(clamp(share / (WIDTH - LEFT), 0, 1) * (epochs - 1)));
    };
    $("#curves").append(figure);
    return (epoch) => {
      for (const end of ["x1", "x2"]) $(".now", figure).setAttribute(end, across(epoch - 1));
      $("figcaption", figure).replaceChildren(
        ...names.map((name) => {
          const entry = document.createElement("div");
          const own_ = lines.filter(({ model }) => model === name);
          const texts = own_.map(({ split, values }) => `${split === "train" ? "training " : ""}${format(values[epoch - 1], digits)}`);
          entry.innerHTML = `<i style="background: var(--model-${names.indexOf(name) % 4})"></i>`;
          entry.append(`${own_[0]?.label ?? name} ${texts.reverse().join(", ")}`);
          return entry;
        }),
      );
    };
  });
  const input = $("#epoch");
  input.max = epochs;
  const tell = (epoch) => {
    setSlider(input, epoch, 0);
    panels.forEach((panel) => panel(epoch));
  };
  input.oninput = () => tell(Number(input.value));
  tell(epochs);
}

// --- the beginning --------------------------------------------------------------------------------

function pixelsOf(context, i) {
  const { data } = context.getImageData(i * side, 0, side, side);
  const grey = (at) => 0.299 * data[at] + 0.587 * data[at + 1] + 0.114 * data[at + 2];
  return Float32Array.from({ length: side * side * channels }, (_, j) => {
    const at = 4 * Math.floor(j / channels);
    return (channels === 1 ? grey(at) : data[at + (j % channels)]) / 255;
  });
}

async function begin() {
  drawCurves();
  if (!models.length) return;
  const buffer = bytesOf($("#arrays").textContent);
  page.colours = withArrays(buffer, page.colours);
  for (const model of models) {
    Object.assign(model, withArrays(buffer, model));
    model.figure = $(`#stage [data-model=${model.name}]`);
    model.map = $(`#maps [data-model=${model.name}] .map`);
    model.ring = $("i", model.map);
    model.reach = 1.15 * (model.points.reduce((most, value) => Math.max(most, Math.abs(value)), 0) || 1);
    start(model);
  }
  const strip = $("#strip");
  await strip.decode();
  const canvas = Object.assign(document.createElement("canvas"), { width: strip.naturalWidth, height: side });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(strip, 0, 0);
  page.pictures.forEach((_, i) => pictures.push(pixelsOf(context, i)));
  state.base.to = page.pictures.length > 1 ? 1 : 0;
  listenToMorph();
  listenToPictures();
  listenToMaps();
  listenToRest();
  drawMaps();
  const restore = () => {
    state = fromHash(location.hash) ?? state;
    show();
  };
  addEventListener("hashchange", restore);
  restore();
}

const ready = begin();
ready.catch((error) => fail(error.message));
