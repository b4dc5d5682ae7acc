"use strict";
// What every chart is drawn with: elements, marks, keys, axes, and text on what the pointer is at. All text goes in
// as text nodes: names out of a model are never parsed.

function element(tag, attributes, parent, text) {
  const svg = ["svg", "g", "path", "line", "circle", "rect", "text"].includes(tag);
  const e = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) e.setAttribute(name, value);
  if (text !== undefined) e.textContent = text;
  if (parent) parent.append(e);
  return e;
}

function number(v, digits = 4) {
  return v === null || v === undefined ? "–" : String(Number(v.toPrecision(digits)));
}

function percent(v, digits = 3) {
  return v === null || v === undefined ? "–" : number(Math.abs(v) < 1e-9 ? 0 : 100 * v, digits) + "%";
}

function scaled(v, units) {
  if (v === null || v === undefined) return "–";
  const unit = Math.min(units.length - 1, v >= 999.5 ? Math.floor(Math.log10(v / 0.9995) / 3) : 0);
  return number(v / 1000 ** unit, 3) + units[unit];
}
const byteCount = (v) => scaled(v, [" B", " kB", " MB", " GB", " TB"]);
const count = (v) => scaled(v, ["", " k", " M", " G", " T"]);

const tip = document.getElementById("tip");

function showTip(text, x, y) {
  tip.textContent = text;
  tip.hidden = false;
  const box = tip.getBoundingClientRect();
  tip.style.left = Math.max(8, Math.min(x + 14, innerWidth - box.width - 8)) + "px";
  tip.style.top = (y + 18 + box.height > innerHeight ? y - box.height - 12 : y + 18) + "px";
}

// Tells `text` while the pointer is on the element.
function explain(target, text) {
  target.addEventListener("pointermove", (event) => showTip(text, event.clientX, event.clientY));
  target.addEventListener("pointerleave", () => { tip.hidden = true; });
}

// Marks differ in shape as well as in colour; all others are filled circles.
const kShapes = {
  float: "M-5.5 0l5.5 -5.5 5.5 5.5 -5.5 5.5z", bar: "M-6 -6h12v12h-12z", none: "M-2.5 0a2.5 2.5 0 1 0 5 0a2.5 2.5 0 1 0 -5 0z",
  chosen: "M-9 0a9 9 0 1 0 18 0a9 9 0 1 0 -18 0z",
  s1: "M-3.5 -3.5h7v7h-7z", s2: "M0 -5l5 8.5h-10z", s3: "M-5 0l5 -5 5 5 -5 5z", s4: "M0 5l5 -8.5h-10z",
  s5: "M-4.5 -4.5L4.5 4.5M-4.5 4.5L4.5 -4.5", s6: "M-5 0H5M0 -5V5", s7: "M-2 -5h4v10h-4z",
};
const kSeries = 8;  // s0 to s7, then again

function mark(parent, kind, x, y) {
  const d = kShapes[kind.split(" ")[0]] || "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0 -8 0z";
  element("path", {class: "dot " + kind, d, transform: `translate(${x} ${y})`}, parent);
}

const kLines = ["limit", "hull"];  // kinds that are lines, not marks

function key(parent, entries) {
  const box = element("div", {class: "key"}, parent);
  for (const [kind, text] of entries) {
    const entry = element("span", {}, box);
    const svg = element("svg", {width: kLines.includes(kind) ? 22 : 18, height: 18, "aria-hidden": "true"}, entry);
    if (kLines.includes(kind)) element("line", {class: kind, x1: 0, x2: 22, y1: 9, y2: 9}, svg);
    else mark(svg, kind, 9, 9);
    entry.append(text);
  }
}

// An axis: {ticks: [[value, text]], y(value) -> 0..1 from its low end}; a logarithmic one has its ends too.
function evenAxis(values, text = (v) => String(v), parts = 5) {
  const lo = Math.min(...values), hi = Math.max(...values);
  const least = (hi - lo || Math.abs(hi) || 1) / parts, power = 10 ** Math.floor(Math.log10(least));
  const step = [1, 2, 2.5, 5, 10].map((k) => k * power).find((s) => s >= least * 0.999);
  const first = Math.floor(lo / step + 1e-9), last = Math.max(first + 1, Math.ceil(hi / step - 1e-9));
  const ticks = [];
  for (let i = first; i <= last; ++i) ticks.push([i * step, text(Number((i * step).toPrecision(6)))]);
  return {ticks, y: (v) => (v / step - first) / (last - first)};
}

function logTicks(lo, hi) {
  const ticks = [];
  const step = Math.max(1, Math.ceil((Math.log10(hi) - Math.log10(lo)) / 5));
  for (let e = Math.ceil(Math.log10(lo)); e <= Math.log10(hi) + 1e-9; e += step)
    ticks.push([10 ** e, e < -3 || e > 4 ? "1e" + e : String(Number((10 ** e).toPrecision(1)))]);
  return ticks;
}

function logAxis(values) {
  const some = values.filter((v) => v > 0);
  const lo = 10 ** Math.floor(Math.log10(Math.min(...some)) - 0.01), hi = 10 ** Math.ceil(Math.log10(Math.max(...some)) + 0.01);
  const y = (v) => (Math.log10(Math.max(v, lo)) - Math.log10(lo)) / (Math.log10(hi) - Math.log10(lo));
  return {ticks: logTicks(lo, hi), y, low: lo, high: hi};
}
