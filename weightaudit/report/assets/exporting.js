// @ts-check
// A button at each figure that saves its charts as SVG, as they are seen.

/** @param {PlotlyElement} node */
async function saveChart(node) {
  const layout = { ...node.layout, paper_bgcolor: data.ink[currentTheme()].card };
  const size = { width: node.clientWidth, height: node.clientHeight };
  const svg = await Plotly.toImage({ data: node.data, layout }, { ...size, format: "svg", imageDataOnly: true });
  save(`${data.file.replace(/\.csv$/, "")}-${node.id.replace(/^plot-/, "")}.svg`, "image/svg+xml", svg);
}

function startExporting() {
  for (const figure of document.querySelectorAll("figure:has(.plot)")) {
    const title = figure.querySelector("h3")?.textContent ?? "chart";
    const button = element(
      "button",
      { type: "button", class: "save", "aria-label": `Save as SVG: ${title}` },
      "Save as SVG",
    );
    button.addEventListener("click", async () => {
      /** @type {NodeListOf<PlotlyElement>} */
      const drawn = figure.querySelectorAll(".js-plotly-plot");
      for (const node of drawn) await saveChart(node);
    });
    figure.querySelector("figcaption")?.append(button);
  }
}
