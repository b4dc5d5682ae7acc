"use strict";
// Drawing helpers, and the two charts over a numbered axis: the ladder and SQNR per layer.
// All text goes in as text nodes: names out of a model are never parsed.

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

function decibel(v) {
  return v === null ? "–" : v >= 200 ? "equal to float" : number(v) + " dB";
}

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

// A mark: filled circle (int8, kept), diamond (float), small ring (everything else).
function mark(parent, kind, x, y) {
  if (kind === "float") {
    element("path", {class: "dot float", d: `M${x - 5.5} ${y}l5.5 -5.5 5.5 5.5 -5.5 5.5z`}, parent);
  } else {
    element("circle", {class: "dot " + kind, cx: x, cy: y, r: kind === "none" ? 2.5 : 4}, parent);
  }
}

function key(parent, entries) {
  const box = element("div", {class: "key"}, parent);
  for (const [kind, text] of entries) {
    const entry = element("span", {}, box);
    const svg = element("svg", {width: kind === "limit" ? 22 : 14, height: 14, "aria-hidden": "true"}, entry);
    if (kind === "limit") element("line", {class: "limit", x1: 0, x2: 22, y1: 7, y2: 7}, svg);
    else mark(svg, kind, 7, 7);
    entry.append(text);
  }
}

// Panels one below the other over the same numbered columns. A panel: {title, height, ticks: [[value, text]],
// y(value) -> 0..1 from the bottom, of(item) -> value or null, limit, above}; items give kind(item) and tell(item).
function columnsChart(figure, items, panels, {kind, tell, joined, label}) {
  figure.replaceChildren();
  figure.tabIndex = 0;  // can be scrolled by keys where it is wider than the page
  const left = 58, right = 16, gap = 60, top = 26;
  const room = figure.parentElement.clientWidth - left - right;
  const step = Math.max(5, Math.min(80, room / items.length));
  const width = left + right + step * items.length;
  const height = panels.reduce((sum, p) => sum + p.height + gap, top) - gap + 28;
  const svg = element("svg", {width, height, role: "img", "aria-label": label}, figure);
  const x = (i) => left + step * (i + 0.5);
  let base = top;
  for (const panel of panels) {
    const y = (v) => base + panel.height * (1 - panel.y(v));
    element("text", {x: 0, y: base - 12}, svg, panel.title);
    for (const [value, text] of panel.ticks) {
      element("line", {class: "axis", x1: left, x2: width - right, y1: y(value), y2: y(value)}, svg);
      element("text", {x: left - 8, y: y(value) + 4, "text-anchor": "end"}, svg, text);
    }
    if (panel.limit !== undefined)
      element("line", {class: "limit", x1: left, x2: width - right, y1: y(panel.limit), y2: y(panel.limit)}, svg);
    const shown = items.map((item, i) => [item, i, panel.of(item)]).filter(([, , v]) => v !== null);
    const line = shown.filter(([item]) => joined(item)).map(([, i, v]) => `${x(i)} ${y(v)}`);
    if (line.length > 1) element("path", {class: "trace", d: "M" + line.join("L")}, svg);
    for (const [item, i, v] of shown) mark(svg, kind(item), x(i), y(v));
    base += panel.height + gap;
  }
  numberColumns(svg, items.length, step, x, panels, top, gap);
  items.forEach((item, i) => {
    const hit = element("rect", {class: "hit", x: x(i) - step / 2, y: top, width: step, height: height - top - 28}, svg);
    explain(hit, tell(item, i));
  });
}

// Numbers under each panel, as many as fit.
function numberColumns(svg, count, step, x, panels, top, gap) {
  const every = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000].find((n) => n * step >= 30) || 2000;
  let base = top;
  for (const panel of panels) {
    for (let i = 0; i < count; ++i)
      if ((i + 1) % every === 0 || (i === 0 && (every - 1) * step >= 30))
        element("text", {x: x(i), y: base + panel.height + 18, "text-anchor": "middle"}, svg, i + 1);
    base += panel.height + gap;
  }
}

function logTicks(lo, hi) {
  const ticks = [];
  const step = Math.max(1, Math.ceil((Math.log10(hi) - Math.log10(lo)) / 5));
  for (let e = Math.ceil(Math.log10(lo)); e <= Math.log10(hi) + 1e-9; e += step)
    ticks.push([10 ** e, e < -3 || e > 4 ? "1e" + e : String(Number((10 ** e).toPrecision(1)))]);
  return ticks;
}

function logPanel(title, height, values, of) {
  const some = values.filter((v) => v > 0);
  const lo = 10 ** Math.floor(Math.log10(Math.min(...some)) - 0.01), hi = 10 ** Math.ceil(Math.log10(Math.max(...some)) + 0.01);
  const y = (v) => (Math.log10(Math.max(v, lo)) - Math.log10(lo)) / (Math.log10(hi) - Math.log10(lo));
  return {title, height, ticks: logTicks(lo, hi), y, of};
}

// Losses near the tolerance on an even axis, those far beyond it on a logarithmic one.
function lossPanel(report, losses) {
  const unit = report.metric.tolerance || 0.01;
  const at = (v) => Math.asinh(v / unit);
  const hi = Math.max(1.6 * unit, ...losses), lo = Math.min(0, ...losses);
  const ticks = [-100, -30, -10, -3, -1, 0, 1, 3, 10, 30, 100, 300, 1000]
    .filter((k) => k * unit <= 1.2 * hi && k * unit >= 1.2 * lo).map((k) => [k * unit, percent(k * unit)]);
  const bottom = at(Math.min(lo, ticks[0][0])), top = at(Math.max(hi, ticks[ticks.length - 1][0]));
  return {title: "Loss of the metric", height: 170, ticks, y: (v) => (at(v) - bottom) / (top - bottom),
          of: (s) => s.loss, limit: report.metric.tolerance};
}

function drawLadder(figure, report) {
  const steps = report.ladder;
  const losses = steps.map((s) => s.loss).filter((v) => v !== null);
  const distortions = steps.map((s) => s.distortion).filter((v) => v > 0);
  const panels = [];
  if (losses.length) panels.push(lossPanel(report, losses));
  if (distortions.length)
    panels.push(logPanel("Distortion of the outputs", 150, distortions, (s) => (s.distortion > 0 ? s.distortion : null)));
  if (!panels.length) return;
  columnsChart(figure, steps, panels, {
    kind: (s) => (s.kept ? "kept" : "open"),
    joined: (s) => s.kept,
    label: "Loss and distortion of each step of the ladder; the table below has the numbers",
    tell: (s, i) => `${i + 1}. ${s.tried}\ndistortion ${number(s.distortion)}` +
      (s.loss === null ? "" : `\n${report.metric.name} ${number(s.metric)}, loss ${percent(s.loss)}`) +
      `\n${percent(s.int8_macs)} of MACs in int8` + (s.kept ? "\nkept" : ""),
  });
  key(figure, [["kept", "kept"], ["open", "tried, not kept"], ["limit", "tolerance"]]);
}

function drawLayers(figure, report) {
  const layers = report.layers;
  const values = layers.map((l) => l.sqnr_db).filter((v) => v !== null && v < 200);
  if (!values.length) return;
  const hi = 10 * Math.ceil(Math.max(20, ...values) / 10 + 0.3), lo = Math.min(0, 10 * Math.floor(Math.min(...values) / 10));
  const ticks = [];
  for (let v = lo; v <= hi; v += hi - lo > 80 ? 20 : 10) ticks.push([v, v + " dB"]);
  const panel = {title: "SQNR (values that are equal lie at the top)", height: 240, ticks, y: (v) => (Math.min(v, hi) - lo) / (hi - lo),
                 of: (l) => l.sqnr_db};
  columnsChart(figure, layers, [panel], {
    kind: (l) => l.precision || "none",
    joined: (l) => l.sqnr_db < 200,
    label: "SQNR of each layer; the table below has the numbers",
    tell: (l, i) => `${i + 1}. ${l.value}` + (l.operator ? `\n${l.operator}${l.precision ? " in " + l.precision : ""}` : "\ninput") +
      `\nSQNR ${decibel(l.sqnr_db)}, cosine ${number(l.cosine, 6)}\nmax error ${number(l.max_error, 3)}` +
      (l.macs > 0 ? `\n${percent(l.macs)} of MACs` : ""),
  });
  key(figure, [["int8", "layer in int8"], ["float", "layer in float"], ["none", "everything between"]]);
}
