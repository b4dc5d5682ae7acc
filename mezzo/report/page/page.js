// Draws everything from the JSON the page carries, again when the width changes.

const report = JSON.parse(document.getElementById("report").textContent);
const place = (name) => document.querySelector(`[data-chart="${name}"]`);

function drawCharts() {
  drawLadder(place("ladder"), report);
  drawLayers(place("layers"), report);
}

let drawnWidth = document.body.clientWidth;
addEventListener("resize", () => {
  if (document.body.clientWidth === drawnWidth) return;
  drawnWidth = document.body.clientWidth;
  drawCharts();
});
drawCharts();
drawHistograms(place("histograms"), report);
