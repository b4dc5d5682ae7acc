
// Times of the layers beside the least they could take, and the roofline plot.

const kPlot = {left: 58, right: 20, top: 30, bottom: 46};
const kArithmetic = {int8: ["s0", "int8"], float: ["s1", "float"], "": ["s5", "no multiply-adds"]};
const layerKind = (l) => kArithmetic[l.arithmetic][0];
const giga = (v, unit) => (v === null ? "–" : number(v / 1e9, 3) + " " + unit);

function tellLayer(l, i) {
  const roofline = l.share_of_roofline === null ? "" : `\n${percent(l.share_of_roofline)} of the roofline`;
  return `${i + 1}. ${l.name}\n${l.operator}${l.fused ? ", stands for " + l.fused : ""}\n${l.output_type} ${l.output_shape.join(" × ")}\n` +
    `${number(l.ms, 3)} ms\n` + (l.macs ? `${count(l.macs)} multiply-adds, ${giga(l.operations_per_second, "GOP/s")}\n` : "") +
    `${byteCount(l.bytes)}, ${giga(l.bytes_per_second, "GB/s")}${roofline}`;
}

function arithmeticKey(figure, layers, shape, more = []) {
  const used = Object.entries(kArithmetic).filter(([name]) => layers.some((l) => l.arithmetic === name));
  key(figure, [...used.map(([, [kind, text]]) => [shape + " " + kind, text]), ...more]);
}

function upAxis(svg, width, title, axis, y) {
  element("text", {x: 0, y: kPlot.top - 14}, svg, title);
  for (const [value, text] of axis.ticks) {
    element("line", {class: "axis", x1: kPlot.left, x2: width - kPlot.right, y1: y(value), y2: y(value)}, svg);
    element("text", {x: kPlot.left - 8, y: y(value) + 4, "text-anchor": "end"}, svg, text);
  }
}

function drawTimes(figure, report) {
  figure.replaceChildren();
  figure.tabIndex = 0;  // can be scrolled by keys where it is wider than the page
  const layers = report.layers || [];
  if (!layers.length) return;
  const {left, right, top} = kPlot, tall = 240;
  const step = Math.max(5, Math.min(60, (figure.parentElement.clientWidth - left - right) / layers.length));
  const width = left + right + step * layers.length, height = top + tall;
  const svg = element("svg", {width, height: height + 26, role: "img", "aria-label": "Time of each layer; the table below has the numbers"}, figure);
  const axis = evenAxis([0, ...layers.map((l) => l.ms)], String);
  const y = (v) => top + tall * (1 - axis.y(v)), gap = step > 8 ? 2 : 1;
  upAxis(svg, width, "ms", axis, y);
  const every = [1, 2, 5, 10, 20, 50, 100].find((n) => n * step >= 30) || 200;
  layers.forEach((l, i) => {
    const x = left + step * i;
    const bar = (ms, opacity) => element("rect", {class: "bar " + layerKind(l), opacity, x: x + gap / 2, y: y(ms), width: step - gap, height: y(0) - y(ms)}, svg);
    bar(l.ms, 0.45);
    if (l.roofline_ms !== null) bar(Math.min(l.roofline_ms, l.ms), 1);
    if ((i + 1) % every === 0) element("text", {x: x + step / 2, y: height + 18, "text-anchor": "middle"}, svg, i + 1);
    explain(element("rect", {class: "hit", x, y: top, width: step, height: tall}, svg), tellLayer(l, i));
  });
  arithmeticKey(figure, layers, "bar");
}

function drawRoofline(figure, report) {
  figure.replaceChildren();
  const layers = (report.layers || []).map((l, i) => ({...l, i})).filter((l) => l.macs > 0 && l.bytes > 0 && l.ms > 0);
  if (!layers.length) return;
  const {left, right, top, bottom} = kPlot, tall = 330, width = figure.parentElement.clientWidth;
  const machine = report.machine, gops = (l) => l.operations_per_second / 1e9, intensity = (l) => 2 * l.macs / l.bytes;
  const peaks = ["int8", "float"].filter((name) => layers.some((l) => l.arithmetic === name))
    .map((name) => ({name, gops: 2 * machine[name + "_macs_per_second"] / 1e9}));
  const along = logAxis(layers.map(intensity)), axis = logAxis([...layers.map(gops), ...peaks.map((p) => p.gops)]);
  const x = (v) => left + (width - left - right) * along.y(v), y = (v) => top + tall * (1 - axis.y(v));
  const svg = element("svg", {width, height: top + tall + bottom, role: "img", "aria-label": "Operations a second over operations a byte; the table below has the numbers"}, figure);
  upAxis(svg, width, "GOP/s", axis, y);
  for (const [value, text] of along.ticks) element("text", {x: x(value), y: top + tall + 18, "text-anchor": "middle"}, svg, text);
  element("text", {x: (left + width - right) / 2, y: top + tall + 38, "text-anchor": "middle"}, svg, "operations per byte");
  for (const p of peaks) {
    element("line", {class: "line " + kArithmetic[p.name][0], "stroke-dasharray": "6 4", x1: left, x2: width - right, y1: y(p.gops), y2: y(p.gops)}, svg);
    element("text", {x: width - right - 4, y: y(p.gops) - 5, "text-anchor": "end"}, svg, `${p.name} peak, ${number(p.gops, 3)} GOP/s`);
  }
  // Memory rises to the highest peak, as far as it lies within the plot.
  const perByte = machine.read_bytes_per_second / 1e9, most = Math.max(...peaks.map((p) => p.gops));
  const low = Math.max(along.low, axis.low / perByte), high = Math.min(along.high, most / perByte);
  if (low < high) element("line", {class: "hull", x1: x(low), y1: y(low * perByte), x2: x(high), y2: y(high * perByte)}, svg);
  const longest = Math.max(...layers.map((l) => l.ms)), radius = (l) => 3 + 11 * Math.sqrt(l.ms / longest);
  for (const l of [...layers].sort((a, b) => b.ms - a.ms)) {
    const place = {cx: x(intensity(l)), cy: y(gops(l)), r: radius(l)};
    element("circle", {class: "dot " + layerKind(l), "fill-opacity": 0.35, ...place}, svg);
    explain(element("circle", {class: "hit", ...place}, svg), tellLayer(l, l.i));
  }
  arithmeticKey(figure, layers, "circle", [["hull", `memory, ${number(perByte, 3)} GB/s`]]);
}

drawPage({times: drawTimes, roofline: drawRoofline});
