
// Draws what `once` and `charts` say into the places of those names, from the JSON that the page carries; the charts
// again when the width changes.
function drawPage(charts, once = {}) {
  const report = JSON.parse(document.getElementById("report").textContent);
  const draw = (drawers) => {
    for (const [name, drawer] of Object.entries(drawers)) drawer(document.querySelector(`[data-chart="${name}"]`), report);
  };
  let drawnWidth = document.body.clientWidth;
  addEventListener("resize", () => {
    if (document.body.clientWidth === drawnWidth) return;
    drawnWidth = document.body.clientWidth;
    draw(charts);
  });
  draw(charts);
  draw(once);
}
