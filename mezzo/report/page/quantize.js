// The two charts over a numbered axis: the ladder and SQNR per layer.

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
    panels.push({title: "Distortion of the outputs", height: 150, ...logAxis(distortions), of: (s) => (s.distortion > 0 ? s.distortion : null)});
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

drawPage({ladder: drawLadder, layers: drawLayers}, {histograms: drawHistograms});
