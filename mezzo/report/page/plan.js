
// The front (two plots of all that was measured, over the size of the file) and the bits of each layer.

const kFront = {left: 58, right: 34, top: 30, bottom: 46, height: 330};

const seriesKind = (i) => "s" + (i % kSeries);

// Bits a weight are a straight line over bytes as far as all points count the same weights: least squares.
function bitsOver(points) {
  const some = points.filter((p) => p.average_bits !== null && p.bytes !== null);
  const mean = (of) => some.reduce((sum, p) => sum + of(p), 0) / some.length;
  const x = mean((p) => p.bytes), y = mean((p) => p.average_bits);
  const slope = mean((p) => (p.bytes - x) * (p.average_bits - y)) / mean((p) => (p.bytes - x) ** 2);
  return Number.isFinite(slope) ? (bytes) => y + slope * (bytes - x) : () => null;
}

function tellPoint(report, name, p) {
  return `${name}\n${byteCount(p.bytes)}, ${number(p.average_bits, 3)} bits a weight\n${report.metric.name} ${number(p.metric)}` +
    `\n${report.loss_name} ${number(p.output_loss, 3)}, predicted ${number(p.predicted_loss, 3)}`;
}

function frontAxes(svg, width, title, ticks, x, y, axis, bits) {
  const {left, right, top, height} = kFront;
  element("text", {x: 0, y: top - 14}, svg, title);
  for (const [value, text] of axis.ticks) {
    element("line", {class: "axis", x1: left, x2: width - right, y1: y(value), y2: y(value)}, svg);
    element("text", {x: left - 8, y: y(value) + 4, "text-anchor": "end"}, svg, text);
  }
  for (const [value, text] of ticks) {
    element("text", {x: x(value), y: top + height + 18, "text-anchor": "middle"}, svg, text);
    const b = bits(value);
    if (b > 0) element("text", {x: x(value), y: top + height + 34, "text-anchor": "middle"}, svg, number(b, 2) + " bits");
  }
}

// The points for which of(point) is a number, over bytes; `above` joins the hull's, if there is one.
function frontPlot(figure, report, {title, axisOf, of, float, hull}) {
  figure.replaceChildren();
  const defined = (p) => p.bytes !== null && of(p) !== null;
  const series = report.series.map((s, i) => ({...s, kind: seriesKind(i), points: s.points.filter(defined)}));
  const chosen = defined(report.chosen) ? [report.chosen] : [];
  const points = [...series.flatMap((s) => s.points), ...chosen];
  if (!points.length) return;
  const limits = report.budgets.filter((b) => b.unit === "B" && b.limit !== null).map((b) => b.limit);
  const {left, right, top, bottom, height} = kFront, width = figure.parentElement.clientWidth;
  const along = evenAxis([...points.map((p) => p.bytes), ...limits], byteCount, width < 480 ? 3 : 5);
  const axis = axisOf([...points.map(of), ...(float === null ? [] : [float])]);
  const x = (bytes) => left + (width - left - right) * along.y(bytes), y = (v) => top + height * (1 - axis.y(v));
  const svg = element("svg", {width, height: top + height + bottom, role: "img", "aria-label": title + " over file size; the table below has the numbers"}, figure);
  frontAxes(svg, width, title, along.ticks, x, y, axis, bitsOver([...report.series.flatMap((s) => s.points), report.chosen]));
  for (const bytes of limits) element("line", {class: "limit", x1: x(bytes), x2: x(bytes), y1: top, y2: top + height}, svg);
  if (float !== null) {
    element("line", {class: "hull", x1: left, x2: width - right, y1: y(float), y2: y(float)}, svg);
    element("text", {x: left + 4, y: y(float) - 5}, svg, "float");
  }
  const path = (kind, line) => { if (line.length > 1) element("path", {class: kind, d: "M" + line.join("L")}, svg); };
  const within = (v) => v >= 0 && v <= 1;
  path("hull", hull.filter(([bytes, v]) => within(along.y(bytes)) && within(axis.y(v))).map(([bytes, v]) => `${x(bytes)} ${y(v)}`));
  for (const s of [...series].reverse()) {  // the first on top
    path("line " + s.kind, s.points.map((p) => `${x(p.bytes)} ${y(of(p))}`));
    for (const p of s.points) mark(svg, s.kind, x(p.bytes), y(of(p)));
  }
  for (const p of chosen) mark(svg, "chosen", x(p.bytes), y(of(p)));
  const target = (name, p) => explain(element("circle", {class: "hit", cx: x(p.bytes), cy: y(of(p)), r: 11}, svg), tellPoint(report, name, p));
  for (const s of [...series].reverse()) for (const p of s.points) target(s.name, p);
  for (const p of chosen) target("chosen", p);
}

function drawMetric(figure, report) {
  frontPlot(figure, report, {title: figure.dataset.title, axisOf: evenAxis, of: (p) => p.metric, float: report.metric.float, hull: []});
}

function drawLoss(figure, report) {
  const hull = report.front.filter((p) => p.bytes !== null && p.predicted_loss > 0).map((p) => [p.bytes, p.predicted_loss]);
  frontPlot(figure, report, {title: figure.dataset.title, axisOf: logAxis, of: (p) => (p.output_loss > 0 ? p.output_loss : null), float: null, hull});
}

function drawSeriesKey(box, report) {
  const entries = report.series.map((s, i) => [seriesKind(i), s.name]);
  if (report.chosen.bytes !== null) entries.push(["chosen", "the plan"]);
  if (report.front.length) entries.push(["hull", "predicted"]);
  if (report.budgets.some((b) => b.unit === "B")) entries.push(["limit", "budget"]);
  key(box, entries);
}

function tellLayer(layer, i, of) {
  const option = (o) => `${o.format}: ${number(o.bits, 3)} bits, ${byteCount(o.bytes)}, loss ${number(o.loss, 3)}` +
    (o.nanoseconds > 0 ? `, ${number(o.nanoseconds / 1e6, 3)} ms` : "");
  return `${i + 1}. ${layer.node}\n${layer.operator}, ${count(layer.weights)} weights, ${count(layer.macs)} multiply-adds` +
    layer.options.map((o, k) => `\n${k === layer.chosen ? "▸ " : "   "}${option(o)}`).join("") +
    (layer.why_fixed ? `\nno choice: ${layer.why_fixed}` : "");
}

// Even up to about 8 bits, where the choices are; logarithmic beyond.
function bitsAxis(most) {
  const at = (v) => Math.asinh(v / 6), top = Math.max(most, 4);
  return {ticks: [0, 2, 3, 4, 6, 8, 16, 32].filter((v) => v <= top).map((v) => [v, String(v)]), y: (v) => at(v) / at(top)};
}

function drawBits(figure, report) {
  figure.replaceChildren();
  figure.tabIndex = 0;  // can be scrolled by keys where it is wider than the page
  const layers = report.layers.map((l, i) => ({...l, i, option: l.options[l.chosen]})).filter((l) => l.option && l.option.bits !== null);
  if (!layers.length) return;
  const left = 58, right = 16, top = 30, height = 220, least = 4, gap = 1;
  const all = layers.reduce((sum, l) => sum + (l.weights || 0), 0) || 1;
  const free = Math.max(0, figure.parentElement.clientWidth - left - right - least * layers.length);
  const width = left + right + least * layers.length + free;
  const axis = bitsAxis(Math.max(...layers.map((l) => l.option.bits)));
  const y = (v) => top + height * (1 - axis.y(v));
  const svg = element("svg", {width, height: top + height + 12, role: "img", "aria-label": "Bits of each layer; the table below has the numbers"}, figure);
  element("text", {x: 0, y: top - 14}, svg, "Bits a weight");
  for (const [value, text] of axis.ticks) {
    element("line", {class: "axis", x1: left, x2: width - right, y1: y(value), y2: y(value)}, svg);
    element("text", {x: left - 8, y: y(value) + 4, "text-anchor": "end"}, svg, text);
  }
  const bits = new Map(layers.map((l) => [l.option.format, l.option.bits]));
  const formats = [...bits.keys()].sort((a, b) => bits.get(b) - bits.get(a));
  let x = left;
  for (const layer of layers) {
    const wide = least + free * (layer.weights || 0) / all, over = y(layer.option.bits);
    element("rect", {class: "bar " + seriesKind(formats.indexOf(layer.option.format)), x, y: over, width: wide - gap, height: top + height - over}, svg);
    explain(element("rect", {class: "hit", x, y: top, width: wide, height}, svg), tellLayer(layer, layer.i));
    x += wide;
  }
  key(figure, formats.map((format, i) => ["bar " + seriesKind(i), format]));
}

drawPage({metric: drawMetric, loss: drawLoss, bits: drawBits}, {series: drawSeriesKey});
