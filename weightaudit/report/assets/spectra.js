// @ts-check
// The spectrum of one chosen matrix: leading singular values with their bounds, and the distribution of all.
function startSpectra() {
  const host = document.getElementById("spectrum-choice");
  if (!host) return;
  const spectra = present(data.spectra);
  const known = rows.filter((row) => spectra.values[row.i] !== null);
  const firstLayered = known.findIndex((row) => !Number.isNaN(row.layer));
  const whole = document.getElementById("spectrum-eigenvalues");
  let chosen = known[0];
  if (whole) {
    onScale((figure) => {
      if (figure === EIGENVALUE_AXES) drawEigenvalues(chosen, currentTheme(), whole);
    });
  }
  chooseRow(host, known, placeWords, Math.max(0, firstLayered), (row, theme) => {
    const kind = spectra.estimated[row.i] ? "estimate" : "exact up to rounding";
    byId("spectrum-kind").textContent = `(${kind})`;
    byId("spectrum-numbers").textContent =
      `${text(row.i, "rows")} × ${text(row.i, "cols")}, ${spectrumWords(row).join(", ")}`;
    drawLeading(row, theme, byId("spectrum-leading"));
    drawDistribution(row, kind, theme, byId("spectrum-density"));
    chosen = row;
    if (whole) drawEigenvalues(row, theme, whole);
  });
}

/**
 * @param {Theme} theme
 * @param {string} across
 * @param {string} up
 * @returns {PlotlyObject}
 */
function spectrumLayout(theme, across, up) {
  const layout = baseLayout(theme, "");
  layout.margin.t = 16;
  layout.showlegend = false;
  layout.xaxis.title = { text: across };
  delete layout.xaxis.tickformat;
  Object.assign(layout.yaxis, { title: { text: up }, rangemode: "tozero" });
  return layout;
}

/**
 * @param {Row} row
 * @param {Theme} theme
 * @param {HTMLElement} node
 */
function drawLeading(row, theme, node) {
  const spectra = present(data.spectra);
  const [values, bounds] = [present(spectra.values[row.i]), present(spectra.bounds[row.i])];
  const colour = styleOfRole(row.role)[theme];
  const layout = spectrumLayout(theme, "number, from the largest", "σ");
  layout.xaxis.range = [0.5, Math.max(values.length, 4) + 0.5];
  layout.xaxis.tickformat = "d";
  const trace = {
    x: values.map((_, i) => i + 1),
    y: values,
    mode: "markers",
    marker: { color: colour, size: 6 },
    error_y: { type: "data", array: bounds, color: colour, thickness: 1.2, width: 4 },
    hoverinfo: "text",
    hovertext: values.map(
      (value, i) => `a singular value within<br>${digitsOf(value, 6)} ± ${digitsOf(bounds[i], 3, "up", false)}`,
    ),
  };
  if (!values.length) {
    layout.annotations = [
      {
        xref: "paper",
        yref: "paper",
        x: 0.5,
        y: 0.5,
        showarrow: false,
        text: "None is known within 5 %.",
        font: { color: data.ink[theme].muted },
      },
    ];
  }
  const [first, last] = [values[0], values[values.length - 1]].map((x) => digitsOf(x, 4));
  paint(
    node,
    `Leading singular values of ${placeWords(row)}: ` +
      (values.length ? `${values.length}, from ${first} down to ${last}` : "none is known within 5 %"),
    [trace],
    layout,
  );
}

/**
 * @param {Row} row
 * @param {string} kind
 * @param {Theme} theme
 * @param {HTMLElement} node
 */
function drawDistribution(row, kind, theme, node) {
  const spectra = present(data.spectra);
  const [nodes, shares] = [present(spectra.nodes[row.i]), present(spectra.cumulative[row.i])];
  const colour = styleOfRole(row.role)[theme];
  const layout = spectrumLayout(theme, "σ", "share of singular values ≤ σ");
  layout.xaxis.rangemode = "tozero";
  Object.assign(layout.yaxis, { range: [0, 1.03], tickformat: ".0%" });
  const trace = {
    x: [0, ...nodes],
    y: [0, ...shares],
    mode: "lines",
    line: { color: colour, width: 2, shape: "hv", dash: kind === "estimate" ? "dash" : "solid" },
    fill: "tozeroy",
    fillcolor: colour + "1c",
    hoverinfo: "text",
    hovertext: [
      "",
      ...nodes.map(
        (node_, i) => `${digitsOf(100 * shares[i], 3)} % of the singular values ≤ ${digitsOf(node_, 4)}<br>${kind}`,
      ),
    ],
  };
  const middle = nodes[shares.findIndex((share) => share >= 0.5)];
  paint(
    node,
    `Cumulative distribution of the singular values of ${placeWords(row)} (${kind}): half of them are at most ${digitsOf(middle, 3)}`,
    [trace],
    layout,
  );
}
