// @ts-check
// The charts by layer and the heat map, each in its place; a click on what they show leads to its matrix.

/** @param {PlotlyElement} node */
function startLeads(node) {
  if (node.dataset.leads) return;
  node.dataset.leads = "true";
  /** @param {PlotlyEvent} event */
  const addressAt = ({ points }) => points.map(({ customdata }) => customdata).find(Boolean);
  node.on("plotly_click", (event) => {
    const address = addressAt(event);
    if (address) leadTo(address);
  });
  node.on("plotly_hover", (event) => node.classList.toggle("leads", Boolean(addressAt(event))));
  node.on("plotly_unhover", () => node.classList.remove("leads"));
}

/**
 * Draws a plot for every stack into its element; null where the page has none, for want of a finite number.
 * @param {string} id
 * @param {(stack: string, theme: Theme, node: HTMLElement) => void} draw
 * @returns {((theme: Theme) => void) | null}
 */
function plots(id, draw) {
  /** @type {[stack: string, node: HTMLElement][]} */
  const nodes = stacks.flatMap((stack, i) => {
    const node = document.getElementById(`plot-${id}-${i}`);
    return node ? [[stack, node]] : [];
  });
  if (!nodes.length) return null;
  return (theme) => {
    for (const [stack, node] of nodes) {
      draw(stack, theme, node);
      startLeads(/** @type {PlotlyElement} */ (node));
    }
  };
}

/** @returns {Map<string, ((theme: Theme) => void) | null>} how each chart is drawn, by the name of its figure */
function chartsByLayer() {
  const lines = data.lines.map(
    (figure) => /** @type {const} */ ([figure.id, plots(figure.id, (...there) => drawLines(figure, ...there))]),
  );
  return new Map([...lines, ["heat", plots("heat", drawHeat)]]);
}

function startPlots() {
  if (!layered.length) return;
  const charts = chartsByLayer();
  const buttons = [...byId("heat-choice").children];
  buttons.forEach((button, i) => {
    button.addEventListener("click", () => {
      showInHeat(data.heat[i].column);
      for (const other of buttons) other.setAttribute("aria-pressed", String(other === button));
      charts.get("heat")?.(currentTheme());
    });
  });
  onTheme((theme) => {
    for (const draw of charts.values()) draw?.(theme);
  });
  onScale((figure) => charts.get(figure)?.(currentTheme()));
}
