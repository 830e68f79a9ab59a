// @ts-check
/**
 * An experiment's charts, which Python has laid out in light colours.
 * @param {Theme} theme
 */
function drawFigures(theme) {
  /** @param {string} [colour] */
  const inked = (colour) => (theme === "dark" && colour ? data.dark[colour] : colour);
  data.figures.forEach(({ words, data: traces, layout: own }, i) => {
    const layout = baseLayout(theme, "");
    Object.assign(layout.xaxis, { tickformat: "", exponentformat: "power" }, own.xaxis);
    Object.assign(layout.yaxis, { exponentformat: "power" }, own.yaxis);
    layout.showlegend = own.showlegend;
    layout.legend = own.beside ? {} : { orientation: "h", x: 0, y: 0, yref: "container", yanchor: "bottom" };
    const coloured = traces.map((trace) => ({
      ...trace,
      line: { ...trace.line, color: inked(trace.line.color) },
      ...(trace.marker && { marker: { ...trace.marker, color: inked(trace.marker.color) } }),
      ...(trace.fillcolor && { fillcolor: inked(trace.fillcolor) }),
    }));
    paint(byId(`plot-${i}`), words, coloured, layout);
  });
}

drawInSight(() => onTheme(drawFigures));
document.documentElement.dataset.ready = "true";
