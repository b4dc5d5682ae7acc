
// The metric over the mismatch, the energy by part, and what recovery paths take away layer by layer.

const kPlot = {left: 58, right: 20, top: 30, bottom: 46, height: 330};

const seriesKind = (i) => "s" + (i % kSeries);
const seriesName = (s) => s.recovery || "no paths";
const energyText = (femtojoules) => number(femtojoules / 1e6) + " nJ";

// An axis up the left side, with lines across.
function upAxis(svg, width, title, axis, y, top) {
  element("text", {x: 0, y: top - 14}, svg, title);
  for (const [value, text] of axis.ticks) {
    element("line", {class: "axis", x1: kPlot.left, x2: width - kPlot.right, y1: y(value), y2: y(value)}, svg);
    element("text", {x: kPlot.left - 8, y: y(value) + 4, "text-anchor": "end"}, svg, text);
  }
}

function drawSeries(svg, {kind, points}, x, y) {
  const path = (line) => "M" + line.join("L");
  for (const p of points)
    for (const v of p.values) element("circle", {class: "bar " + kind, opacity: 0.4, cx: x(p), cy: y(v), r: 2.5}, svg);
  if (points.length > 1) element("path", {class: "line " + kind, d: path(points.map((p) => `${x(p)} ${y(p.mean)}`))}, svg);
  for (const p of points) mark(svg, kind, x(p), y(p.mean));
}

// Its outline shows where only one sigma was measured.
function drawBand(svg, {kind, points}, x, y) {
  const some = points.filter((p) => p.half_width !== null);
  const edge = (ps, sign) => ps.map((p) => `${x(p)} ${y(p.mean + sign * p.half_width)}`);
  const outline = [...edge(some, 1), ...edge([...some].reverse(), -1)];
  if (some.length) element("path", {class: "dot " + kind, opacity: 0.15, d: "M" + outline.join("L") + "z"}, svg);
}

function tellSigma(report, series, sigma) {
  const line = (s, p) => `\n${seriesName(s)}: ${number(p.mean)}` + (p.half_width === null ? "" : ` ± ${number(p.half_width, 2)}`) +
    (p.values.length > 1 ? `, chips ${number(Math.min(...p.values))} to ${number(Math.max(...p.values))}` : "");
  return `sigma ${number(sigma)}` + series.map((s) => s.points.filter((p) => p.sigma === sigma).map((p) => line(s, p)).join("")).join("") +
    `\ninteger engine: ${number(report.metric.integer_engine)}`;
}

// A strip for the pointer about each sigma, up to the middle between it and the next.
function explainSigmas(svg, report, series, sigmas, width, x) {
  const {left, right, top, height} = kPlot;
  sigmas.forEach((sigma, i) => {
    const middle = (k) => (x({sigma: sigmas[k]}) + x({sigma: sigmas[k + 1]})) / 2;
    const from = i > 0 ? middle(i - 1) : left, to = i + 1 < sigmas.length ? middle(i) : width - right;
    explain(element("rect", {class: "hit", x: from, y: top, width: to - from, height}, svg), tellSigma(report, series, sigma));
  });
}

function drawMetric(figure, report) {
  figure.replaceChildren();
  const known = (v) => v !== null;
  const series = report.series.map((s, i) => ({...s, kind: seriesKind(i), points: s.points
    .filter((p) => known(p.mean) && known(p.sigma)).map((p) => ({...p, values: p.values.filter(known)}))}));
  const points = series.flatMap((s) => s.points);
  if (!points.length) return;
  const {left, right, top, bottom, height} = kPlot, width = figure.parentElement.clientWidth;
  const sigmas = [...new Set(points.map((p) => p.sigma))].sort((a, b) => a - b), engine = report.metric.integer_engine;
  const along = evenAxis([0, ...sigmas], number, width < 480 ? 3 : 6);
  const axis = evenAxis([...points.flatMap((p) => [p.mean, ...p.values]), engine].filter(known), number);
  const x = (p) => left + (width - left - right) * along.y(p.sigma);
  const y = (v) => top + height * (1 - Math.min(1, Math.max(0, axis.y(v))));  // wide bands end at the edge
  const title = figure.dataset.title;
  const svg = element("svg", {width, height: top + height + bottom, role: "img", "aria-label": title + " over sigma; the table below has the numbers"}, figure);
  upAxis(svg, width, title, axis, y, top);
  for (const [sigma, text] of along.ticks) element("text", {x: x({sigma}), y: top + height + 18, "text-anchor": "middle"}, svg, text);
  element("text", {x: (left + width - right) / 2, y: top + height + 38, "text-anchor": "middle"}, svg, "sigma");
  for (const s of series) drawBand(svg, s, x, y);
  if (engine !== null) {
    element("line", {class: "hull", "stroke-dasharray": "6 4", x1: left, x2: width - right, y1: y(engine), y2: y(engine)}, svg);
    element("text", {x: width - right - 4, y: y(engine) - 5, "text-anchor": "end"}, svg, "integer engine");
  }
  for (const s of [...series].reverse()) drawSeries(svg, s, x, y);  // the first on top
  explainSigmas(svg, report, series, sigmas, width, x);
  key(figure, series.map((s) => [s.kind, seriesName(s) + (s.recovery && s.meaning ? ": " + s.meaning : "")]));
}

function drawEnergy(figure, report) {
  figure.replaceChildren();
  const parts = report.energy.filter((p) => p.femtojoules > 0).map((p, i) => ({...p, kind: "bar " + seriesKind(i)}));
  if (!parts.length) return;
  const total = parts.reduce((sum, p) => sum + p.femtojoules, 0), width = figure.parentElement.clientWidth, height = 36, gap = 1;
  const svg = element("svg", {width, height: height + 30, role: "img", "aria-label": "Energy by part; the table below has the numbers"}, figure);
  element("text", {x: 0, y: 12}, svg, energyText(total));
  let x = 0;
  for (const p of parts) {
    const wide = width * p.femtojoules / total, share = percent(p.femtojoules / total);
    element("rect", {class: p.kind, x, y: 22, width: Math.max(wide - gap, 0.5), height}, svg);
    explain(element("rect", {class: "hit", x, y: 22, width: wide, height}, svg), `${p.name}\n${energyText(p.femtojoules)}, ${share}`);
    x += wide;
  }
  key(figure, parts.map((p) => [p.kind, `${p.name} ${percent(p.femtojoules / total)}`]));
}

const recovered = (layer) => (layer.noise > 0 && layer.left !== null ? 1 - layer.left / layer.noise : null);

function tellLayer(layer, i) {
  return `${i + 1}. ${layer.node}\n${count(layer.weights)} weights, ${count(layer.macs)} multiply-adds\n` +
    `noise ${percent(layer.noise)}, left ${percent(layer.left)}: ${percent(recovered(layer))} recovered by rank ${layer.rank}`;
}

// Nothing if no layer has a path.
function drawRecovered(figure, report) {
  figure.replaceChildren();
  const layers = report.layers;
  if (!layers.some((l) => l.rank > 0)) return;
  figure.tabIndex = 0;  // can be scrolled by keys where it is wider than the page
  const {left, right, top} = kPlot, gap = 50, heights = [170, 80];
  const step = Math.max(6, Math.min(80, (figure.parentElement.clientWidth - left - right) / layers.length));
  const width = left + right + step * layers.length, height = top + heights[0] + gap + heights[1];
  const svg = element("svg", {width, height: height + 26, role: "img", "aria-label": "Noise recovered and rank of each layer; the table below has the numbers"}, figure);
  const most = Math.max(...layers.map((l) => l.rank)), ranks = evenAxis([0, most], String, Math.min(most, 4));
  ranks.ticks = ranks.ticks.filter(([rank]) => Number.isInteger(rank));
  const bars = (title, base, tall, axis, of, kind) => {
    const y = (v) => base + tall * (1 - axis.y(v));
    upAxis(svg, width, title, axis, y, base);
    layers.forEach((l, i) => {
      const v = of(l);
      if (v !== null) element("rect", {class: "bar " + kind, x: left + step * i + 1, y: Math.min(y(0), y(v)), width: step - 2, height: Math.abs(y(v) - y(0))}, svg);
    });
  };
  const shares = layers.map(recovered).filter((v) => v !== null);
  bars("Noise recovered", top, heights[0], evenAxis([0, ...shares], percent, 4), recovered, "s0");
  bars("Rank", top + heights[0] + gap, heights[1], ranks, (l) => l.rank, "s2");
  const every = [1, 2, 5, 10, 20, 50, 100].find((n) => n * step >= 30) || 200;
  layers.forEach((l, i) => {
    const x = left + step * i;
    if ((i + 1) % every === 0) element("text", {x: x + step / 2, y: height + 18, "text-anchor": "middle"}, svg, i + 1);
    explain(element("rect", {class: "hit", x, y: top, width: step, height: height - top}, svg), tellLayer(l, i));
  });
}

drawPage({metric: drawMetric, energy: drawEnergy, recovered: drawRecovered});
