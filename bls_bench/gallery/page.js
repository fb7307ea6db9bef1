"use strict";
// What a run did with its samples. All numbers lie in columns, a value for each sample ("row") of the page.
const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);

function bytes(text) {
  const binary = atob(text), found = new Uint8Array(binary.length);
  for (let i = 0; i < found.length; i++) found[i] = binary.charCodeAt(i);
  return found;
}
const integers = (text) => new Uint32Array(bytes(text).buffer);
const floats = (text) => new Float32Array(bytes(text).buffer);

// IEEE 754 half precision.
function halves(text) {
  return Float32Array.from(new Uint16Array(bytes(text).buffer), (bits) => {
    const sign = bits & 0x8000 ? -1 : 1, exponent = (bits >> 10) & 31, fraction = bits & 1023;
    if (exponent === 0) return sign * fraction * 2 ** -24;
    if (exponent === 31) return fraction ? NaN : sign * Infinity;
    return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
  });
}

const { columns, media } = data;
const number = integers(columns.number), times = integers(columns.times), absent = integers(columns.absent);
const mean = floats(columns.mean), spread = floats(columns.spread), excess = floats(columns.excess);
const target = columns.target ? integers(columns.target) : null;
const count = number.length;

// Where in the media a row is; -1: nowhere.
const place = new Int32Array(count).fill(-1);
integers(data.places).forEach((row, at) => { place[row] = at; });

// The columns of one epoch, decoded when it is first chosen.
const decoded = new Map();
function epochOf(at) {
  if (!decoded.has(at)) {
    const one = data.chosen[at], bits = bytes(one.kept);
    const kept = Uint8Array.from({ length: count }, (_, i) => (bits[i >> 3] >> (7 - (i & 7))) & 1);
    decoded.set(at, { number: one.number, scores: halves(one.scores), kept });
  }
  return decoded.get(at);
}

// What is chosen above: a class or null, an epoch or null.
const chosen = { target: null, epoch: null };
const among = (i) => chosen.target === null || target[i] === chosen.target;

// The rows of the lowest keys, the first ones of equal keys; NaN is no key. As `first` in lists.py.
function lowest(key, admitted, length = data.length) {
  const rows = [], keys = [];
  for (let i = 0; i < count; i++) {
    const value = key(i);
    if (Number.isNaN(value) || !admitted(i)) continue;
    if (rows.length === length && value >= keys[length - 1]) continue;
    let at = rows.length;
    while (at > 0 && keys[at - 1] > value) at--;
    rows.splice(at, 0, i);
    keys.splice(at, 0, value);
    if (rows.length > length) { rows.pop(); keys.pop(); }
  }
  return rows;
}

function element(name, parent, text = "", kind = "") {
  const made = document.createElement(name);
  if (text) made.textContent = text;
  if (kind) made.className = kind;
  parent.append(made);
  return made;
}
const short = (value) => (Number.isNaN(value) ? "none" : Number(value.toPrecision(3)).toString());

// Cards of samples.
const sheets = new Map();
function sheetOf(at) {
  if (!sheets.has(at)) sheets.set(at, URL.createObjectURL(new Blob([bytes(media.sheets[at])], { type: "image/jpeg" })));
  return sheets.get(at);
}

function picture(at, card) {
  const side = media.columns, within = at % (side * side), zoom = 128 / media.cell;
  const style = element("div", card, "", "picture").style;
  const wide = Math.min(side, media.labels.length - (at - within));
  style.backgroundImage = `url(${sheetOf((at - within) / (side * side))})`;
  style.backgroundSize = `${wide * 128}px auto`;
  style.backgroundPosition = `-${(within % side) * 128}px -${Math.floor(within / side) * 128}px`;
  if (zoom > 2) style.imageRendering = "pixelated";
}

function sound([file, outline], card) {
  const canvas = element("canvas", card), loud = bytes(outline), pen = canvas.getContext("2d");
  canvas.width = loud.length * 2;
  canvas.height = 64;
  pen.fillStyle = "#2a6fb0";
  loud.forEach((value, i) => pen.fillRect(2 * i, 32 - value / 8, 1.5, Math.max(value / 4, 1)));
  const player = element("audio", card);
  player.controls = true;
  player.preload = "none";
  player.src = "data:audio/wav;base64," + file;
}

function card(row, parent) {
  const made = element("figure", parent, "", "card"), at = place[row];
  if (at >= 0) {
    if (media.cell) picture(at, made);
    if (media.sounds[at]) { sound(media.sounds[at], made); made.classList.add("wide"); }
    if (media.texts[at]) { element("blockquote", made, media.texts[at]); made.classList.add("wide"); }
  }
  const label = at >= 0 && media.labels[at] ? media.labels[at] : target ? data.classes[target[row]] : "";
  element("b", made, label);
  element("div", made, `sample ${number[row]}`);
  element("div", made, `trained ${times[row]} of ${data.epochs}`);
  element("div", made, `score ${short(mean[row])} ± ${short(spread[row])}`);
  if (chosen.epoch !== null) element("div", made, `now ${short(epochOf(chosen.epoch).scores[row])}`);
  if (absent[row]) element("div", made, `absent for up to ${absent[row]}`);
}

function cards(rows, parent) {
  parent.replaceChildren();
  for (const row of rows) card(row, parent);
  if (!rows.length) element("p", parent, "none");
}

// Lists.
function drawLists() {
  const parent = byId("lists");
  parent.replaceChildren();
  for (const [title, rows] of lists()) {
    const list = element("div", parent, "", "list");
    element("h2", list, title);
    cards(rows, element("div", list, "", "cards"));
  }
  byId("wrong").hidden = !target || chosen.epoch !== null;
  if (target) cards(lowest((i) => -excess[i], among), byId("wrong").querySelector(".cards"));
}

function lists() {
  if (chosen.epoch === null) {
    return [
      ["Most often trained on", lowest((i) => -times[i], among)],
      ["Least often trained on", lowest((i) => times[i], among)],
      ["Highest mean score", lowest((i) => -mean[i], among)],
      ["Lowest mean score", lowest((i) => mean[i], among)],
      ["Longest absent", lowest((i) => -absent[i], among)],
    ];
  }
  const { number: at, scores, kept } = epochOf(chosen.epoch);
  const trained = (i) => kept[i] && among(i), left = (i) => !kept[i] && among(i);
  return [
    [`Trained on in epoch ${at + 1}: highest scores after it`, lowest((i) => -scores[i], trained)],
    [`Trained on in epoch ${at + 1}: lowest scores after it`, lowest((i) => scores[i], trained)],
    [`Left out in epoch ${at + 1}: highest scores`, lowest((i) => -scores[i], left)],
    [`Left out in epoch ${at + 1}: lowest scores`, lowest((i) => scores[i], left)],
  ];
}

function drawAlike() {
  const groups = new Map();
  integers(data.places).forEach((row, at) => {
    const alike = media.alike[at];
    if (!groups.has(alike)) groups.set(alike, []);
    groups.get(alike).push(row);
  });
  const shown = media.cell || media.texts.some(Boolean) || media.sounds.some(Boolean);
  const found = [...groups.values()].filter((rows) => rows.length > 1).sort((a, b) => b.length - a.length);
  byId("alike").hidden = !shown || !found.length;
  if (shown) cards(found.flat().slice(0, 96), byId("alike").querySelector(".cards"));
}

// Plots.
const BLUE = [42, 111, 176], ORANGE = [214, 106, 30], PALE = [190, 205, 222];
const rgb = (colour) => `rgb(${colour.join(",")})`;
const mixed = (share) => PALE.map((from, i) => Math.round(from + (BLUE[i] - from) * share));
const MARGIN = { left: 66, right: 12, top: 8, bottom: 34 };

// An axis over values: where each lies in [0, 1], logarithmic where they span far and are all above 0.
function axisOf(values) {
  const sorted = values.filter((value) => !Number.isNaN(value)).sort();
  if (!sorted.length) return { at: () => NaN, ticks: [] };
  const within = (share) => sorted[Math.round(share * (sorted.length - 1))];
  let low = within(0.001), high = within(0.999);
  const log = low > 0 && high / low > 50;
  const forth = log ? Math.log10 : (value) => value;
  if (!(high > low)) { low -= 0.5; high += 0.5; }
  const from = forth(low), span = forth(high) - from;
  const ticks = [0, 0.25, 0.5, 0.75, 1].map((at) => [at, log ? 10 ** (from + at * span) : from + at * span]);
  return { log, ticks, at: (value) => Math.min(1, Math.max(0, (forth(value) - from) / span)) };
}

function prepared(canvas) {
  const { width, height } = canvas.getBoundingClientRect(), scale = window.devicePixelRatio || 1;
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  const pen = canvas.getContext("2d");
  pen.scale(scale, scale);
  return { pen, width, height };
}

function axes(pen, width, height, across, up, names) {
  pen.fillStyle = "#566274";
  pen.strokeStyle = "#e1e5ea";
  pen.font = "11px system-ui, sans-serif";
  const right = width - MARGIN.right, bottom = height - MARGIN.bottom;
  for (const [at, value] of across) {
    const x = MARGIN.left + at * (right - MARGIN.left);
    pen.textAlign = at === 1 ? "right" : "center";
    pen.fillText(short(value), x, bottom + 14);
  }
  pen.textAlign = "right";
  for (const [at, value] of up) {
    const y = bottom - at * (bottom - MARGIN.top);
    pen.beginPath();
    pen.moveTo(MARGIN.left, y);
    pen.lineTo(right, y);
    pen.stroke();
    pen.fillText(short(value), MARGIN.left - 6, y + 4);
  }
  pen.textAlign = "center";
  pen.fillText(names[0], (MARGIN.left + right) / 2, height - 4);
  pen.save();
  pen.translate(10, (MARGIN.top + bottom) / 2);
  pen.rotate(-Math.PI / 2);
  pen.fillText(names[1], 0, 0);
  pen.restore();
}

// Where the samples lie on the map, in CSS pixels; NaN for those that are not on it.
const where = { x: new Float32Array(count), y: new Float32Array(count) };
const across = axisOf(mean), up = axisOf(spread);

function drawMap() {
  const { pen, width, height } = prepared(byId("map"));
  const name = (text, axis) => text + (axis.log ? " (logarithmic)" : "");
  axes(pen, width, height, across.ticks, up.ticks, [name("mean score", across), name("spread of the score", up)]);
  const w = width - MARGIN.left - MARGIN.right, h = height - MARGIN.top - MARGIN.bottom;
  const epoch = chosen.epoch === null ? null : epochOf(chosen.epoch);
  const dot = count > 20000 ? 1.5 : count > 3000 ? 2 : 3;
  pen.globalAlpha = count > 20000 ? 0.45 : 0.7;
  const buckets = new Map();
  for (let i = 0; i < count; i++) {
    const on = among(i) && !Number.isNaN(mean[i]);
    where.x[i] = on ? MARGIN.left + across.at(mean[i]) * w : NaN;
    where.y[i] = on ? MARGIN.top + (1 - up.at(spread[i])) * h : NaN;
    if (!on) continue;
    const colour = epoch ? (epoch.kept[i] ? 0 : 1) : Math.round((8 * times[i]) / data.epochs);
    if (!buckets.has(colour)) buckets.set(colour, []);
    buckets.get(colour).push(i);
  }
  for (const [colour, rows] of buckets) {
    pen.fillStyle = rgb(epoch ? [BLUE, ORANGE][colour] : mixed(colour / 8));
    for (const i of rows) pen.fillRect(where.x[i] - dot / 2, where.y[i] - dot / 2, dot, dot);
  }
  const legend = byId("legend");
  legend.replaceChildren();
  const swatch = (style, kind = "") => { element("i", legend, "", kind).style.background = style; };
  if (epoch) {
    swatch(rgb(BLUE));
    element("span", legend, "trained on in it");
    swatch(rgb(ORANGE));
    element("span", legend, "left out");
  } else {
    element("span", legend, "trained on never");
    swatch(`linear-gradient(90deg, ${rgb(PALE)}, ${rgb(BLUE)})`, "ramp");
    element("span", legend, "in every epoch");
  }
}

const bars = { width: 1, at: (value) => value };
function drawTimes() {
  const { pen, width, height } = prepared(byId("times"));
  const found = new Uint32Array(data.epochs + 1);
  for (let i = 0; i < count; i++) if (among(i)) found[times[i]]++;
  const most = Math.max(1, ...found);
  const w = width - MARGIN.left - MARGIN.right, h = height - MARGIN.top - MARGIN.bottom;
  bars.width = w / found.length;
  bars.at = (value) => MARGIN.left + value * bars.width;
  const middle = (value) => [(value + 0.5) / found.length, value];
  const ticks = [0, Math.round(data.epochs / 2), data.epochs].map(middle);
  axes(pen, width, height, ticks, [0, 0.5, 1].map((at) => [at, at * most]), ["epochs that trained on it", "samples"]);
  found.forEach((value, i) => {
    pen.fillStyle = rgb(mixed(i / data.epochs));
    const tall = (value / most) * h;
    pen.fillRect(bars.at(i), MARGIN.top + h - tall, Math.max(bars.width - 1, 0.5), tall);
  });
}

// Brushing: a frame dragged on a plot picks samples; the other plot's frame goes.
function brush(id, other, inside) {
  const canvas = byId(id + "-frame");
  let start = null, end = null, waiting = false;
  const point = (event) => {
    const box = canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  const clear = () => { start = end = null; prepared(canvas); };
  function update() {
    waiting = false;
    const { pen } = prepared(canvas);
    if (!start || !end) return;
    const box = [0, 1].flatMap((i) => [Math.min(start[i], end[i]), Math.max(start[i], end[i])]);
    if (box[1] - box[0] < 3 && box[3] - box[2] < 3) { show(null); return; }
    pen.fillStyle = "rgba(42,111,176,.12)";
    pen.strokeStyle = rgb(BLUE);
    const drawn = id === "map" ? box : [box[0], box[1], MARGIN.top, canvas.clientHeight - MARGIN.bottom];
    pen.fillRect(drawn[0], drawn[2], drawn[1] - drawn[0], drawn[3] - drawn[2]);
    pen.strokeRect(drawn[0], drawn[2], drawn[1] - drawn[0], drawn[3] - drawn[2]);
    const rows = [];
    for (let i = 0; i < count; i++) if (among(i) && inside(i, box)) rows.push(i);
    show(rows);
  }
  const soon = () => { if (!waiting) { waiting = true; requestAnimationFrame(update); } };
  canvas.addEventListener("pointerdown", (event) => {
    start = end = point(event);
    if (event.isTrusted) canvas.setPointerCapture(event.pointerId);
    brushes[other].clear();
    soon();
  });
  canvas.addEventListener("pointermove", (event) => { if (start && event.buttons) { end = point(event); soon(); } });
  return { clear };
}

const brushes = {
  map: brush("map", "times", (i, box) => where.x[i] >= box[0] && where.x[i] <= box[1] && where.y[i] >= box[2] && where.y[i] <= box[3]),
  times: brush("times", "map", (i, box) => bars.at(times[i]) + bars.width >= box[0] && bars.at(times[i]) <= box[1]),
};

// The samples of the frame; those that have something to be seen come first.
const SHOWN = 48;
let later = 0;
function show(rows) {
  const section = byId("brushed");
  section.hidden = rows === null;
  if (rows === null) { clearTimeout(later); return; }
  section.querySelector("h2").textContent = `${rows.length.toLocaleString("en")} samples in the frame`;
  const average = rows.reduce((sum, i) => sum + times[i], 0) / Math.max(rows.length, 1);
  const words = [`trained on in ${short(average)} of ${data.epochs} epochs, on average`];
  if (target && rows.length) {
    const counts = new Map();
    for (const i of rows) counts.set(target[i], (counts.get(target[i]) || 0) + 1);
    const top = [...counts].sort((a, b) => b[1] - a[1]).slice(0, 6);
    words.push(top.map(([one, some]) => `${some} of ${data.classes[one]}`).join(", "));
  }
  const first = [];
  for (const wanted of [true, false]) {
    for (const i of rows) {
      if (first.length === SHOWN) break;
      if (place[i] >= 0 === wanted) first.push(i);
    }
  }
  if (rows.length > SHOWN) words.push(`${SHOWN} of them below`);
  section.querySelector("p").textContent = words.join("; ");
  // Once the pointer rests: cards take longer than a frame.
  clearTimeout(later);
  later = setTimeout(() => cards(first, section.querySelector(".cards")), 40);
}

function draw() {
  drawMap();
  drawTimes();
  for (const one of Object.values(brushes)) one.clear();
  show(null);
  drawLists();
}

function begin() {
  const seen = media.labels.length, everyone = data.samples.toLocaleString("en");
  const kind = media.cell ? "a picture" : media.texts.some(Boolean) ? "their text" : media.sounds.some(Boolean) ? "their sound" : "";
  const rules = [];
  if (count < data.samples) rules.push(`The page has ${count.toLocaleString("en")} of ${everyone} samples.`);
  if (kind) {
    rules.push(seen === count ? `All ${seen.toLocaleString("en")} samples have ${kind}.`
      : `${seen.toLocaleString("en")} samples have ${kind}, as many as fit: those of the lists first, the others drawn at random.`);
  }
  if (data.chosen.length < data.epochs) rules.push(`Of ${data.epochs} epochs, ${data.chosen.length} can be chosen; the whole run counts them all.`);
  byId("rule").textContent = rules.join(" ");
  data.classes.forEach((name, at) => { element("option", byId("class"), name).value = at; });
  byId("class").parentElement.hidden = !target;
  data.chosen.forEach((one, at) => { element("option", byId("epoch"), one.number + 1).value = at; });
  byId("class").addEventListener("change", (event) => { chosen.target = event.target.value === "" ? null : +event.target.value; draw(); });
  byId("epoch").addEventListener("change", (event) => { chosen.epoch = event.target.value === "" ? null : +event.target.value; draw(); });
  let width = window.innerWidth;
  window.addEventListener("resize", () => { if (window.innerWidth !== width) { width = window.innerWidth; draw(); } });
  drawAlike();
  draw();
}
begin();
