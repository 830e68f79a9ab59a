// @ts-check
// Weights that can be moved, and what they do: the models' numbers, where two of them meet, and the plane.
const models = data.models.map((name) => printable(name));
let weights = [...data.weights];
/** Models of whom the heat maps are. */
let pair = [0, Math.min(1, models.length - 1)];
/** What is told when the weights change. */
/** @type {(() => void)[]} */
const listeners = [];
const MOST_WEIGHT = 1.5;
/** Radii of equal disturbance in the plane. */
const RADII = [0.25, 0.5, 0.75, 1];
/** Contamination that a scale of colours reaches at least. */
const LEAST_CONTAMINATION = 1e-12;
/** Models of whom every role is named in the plane; of more only they are. */
const MOST_NAMED = 2;

/** @param {number} x */
const shortly = (x) => digitsOf(x, 3, "nearest", false);

/** @param {number[]} chosen */
function setWeights(chosen) {
  weights = data.weights.map((_, i) => chosen[i] ?? 0);
  for (const listener of listeners) listener();
}

/** @param {Meeting} meeting */
const placeOf = ({ place }) =>
  [
    place.stack,
    place.layer === null ? "" : `layer ${place.layer}`,
    place.expert === null ? "" : `expert ${place.expert}`,
  ]
    .concat(place.role)
    .filter(Boolean)
    .map((part) => printable(part))
    .join(data.constants.between);

function startWeights() {
  const host = byId("weights");
  /** @type {(() => void)[]} */
  const shown = [];
  models.forEach((name, i) => {
    const range = element("input", {
      type: "range",
      min: "0",
      max: String(MOST_WEIGHT),
      step: "0.01",
      "aria-label": `Weight of ${name}`,
      oninput: () => {
        setWeights(models.map((_, j) => (j === i ? Number(range.value) : weights[j])));
      },
    });
    const told = element("output", {}, "");
    host.append(element("label", {}, element("span", {}, name), range, told));
    shown.push(() => {
      range.value = String(weights[i]);
      told.textContent = weights[i].toFixed(2);
    });
  });
  /** @type {[string, number[]][]} */
  const choices = [
    ["1 each: the sum", models.map(() => 1)],
    [`1/${models.length} each: the average`, models.map(() => 1 / models.length)],
  ];
  if (data.suggested.length) choices.unshift(["suggested", data.suggested]);
  if (data.weights.length > models.length) choices.push(["the merge itself", data.weights]);
  else choices.push(["as asked", data.weights]);
  const buttons = choices.map(([words, chosen]) =>
    element("button", { type: "button", onclick: () => setWeights(chosen) }, words),
  );
  byId("weight-choices").append(...buttons);
  const body = byId("standings");
  const tell = () => {
    for (const show of shown) show();
    body.replaceChildren(
      ...models.map((name, a) => {
        const one = standingOf(data.meetings, a, weights);
        const numbers = [one.disturbance, one.retention, one.contamination, one.lift, one.first_layer];
        return element(
          "tr",
          {},
          element("td", {}, name),
          ...numbers.map((x) => element("td", { class: "n" }, shortly(x))),
        );
      }),
    );
  };
  listeners.push(tell);
  tell();
}

/**
 * Contamination of the matrices of model `a` by model `b`, by layer and role.
 * @param {number} a
 * @param {number} b
 */
function meetingOf(a, b) {
  const alone = only(data.weights.length > models.length ? models.map(() => 1).concat(0) : weights.map((w) => w || 1), [
    a,
    b,
  ]);
  const there = data.meetings.filter((meeting) => meeting.place.layer !== null && changedBy(meeting, a));
  const layers = [...new Set(there.map(({ place }) => Number(place.layer)))].sort((x, y) => x - y);
  const roles = [...new Set(there.map(({ place }) => [place.stack, place.role].filter(Boolean).join(" ")))];
  const cells = roles.map((role) =>
    layers.map((layer) => {
      const here = there.filter(
        ({ place }) => place.layer === layer && [place.stack, place.role].filter(Boolean).join(" ") === role,
      );
      const effects = here.map((meeting) => effectOf(meeting, a, alone));
      if (!effects.length) return null;
      const contamination = mean(effects.map((effect) => effect.contamination));
      const lift = mean(effects.map((effect) => effect.lift));
      const words = [
        `<b>${plotText(placeOf(here[0]))}</b>${here.length > 1 ? `, mean of ${here.length} experts` : ""}`,
        `contamination ${shortly(contamination)}, ${shortly(lift)} times chance`,
        `retention ${shortly(mean(effects.map((effect) => effect.retention)))}`,
        `disturbance ${shortly(mean(effects.map((effect) => effect.disturbance)))}`,
      ];
      return { contamination, words: words.join("<br>") };
    }),
  );
  const values = cells
    .flat()
    .flatMap((cell) => (cell && Number.isFinite(cell.contamination) ? [cell.contamination] : []));
  return { a, b, layers, roles, cells, values };
}

/**
 * @param {ReturnType<typeof meetingOf>} picture
 * @param {number} brightest contamination that has the lightest colour
 * @param {Theme} theme
 * @param {HTMLElement} node
 */
function drawMeeting({ a, b, layers, roles, cells }, brightest, theme, node) {
  const layout = baseLayout(theme, "");
  layout.margin.t = 56;
  // On two lines: one would be cut where two heat maps stand side by side on paper.
  const title = `on the inputs of ${plotText(data.models[a])},<br>by ${plotText(data.models[b])}`;
  layout.title = { text: title, x: 0, xref: "paper", font: { size: onPaper ? 11 : 14 } };
  layout.dragmode = false;
  Object.assign(layout.xaxis, { showgrid: false });
  Object.assign(layout.yaxis, { autorange: "reversed", showgrid: false, type: "category" });
  const trace = {
    type: "heatmap",
    x: layers,
    y: roles.map(plotText),
    z: cells.map((line) => line.map((cell) => cell?.contamination ?? null)),
    hovertext: cells.map((line) => line.map((cell) => cell?.words ?? "")),
    hoverinfo: "text",
    colorscale: "Cividis",
    zmin: 0,
    zmax: brightest,
    xgap: 2,
    ygap: 2,
    colorbar: {
      thickness: 12,
      outlinewidth: 0,
      nticks: roles.length < 4 ? 3 : 0,
      tickfont: { color: data.ink[theme].muted },
    },
  };
  paint(node, `Contamination of each role by layer on the inputs of ${models[a]} by ${models[b]}`, [trace], layout);
}

function startMeetings() {
  const host = document.getElementById("pair-choice");
  if (!host) return;
  const draw = () => {
    const theme = currentTheme();
    const pictures = [meetingOf(pair[0], pair[1]), meetingOf(pair[1], pair[0])];
    // One scale for both: which side suffers is seen by comparing them.
    const values = pictures.flatMap((picture) => picture.values);
    const brightest = values.length ? Math.max(most(values), LEAST_CONTAMINATION) : 1;
    pictures.forEach((picture, side) => {
      drawMeeting(picture, brightest, theme, byId(`plot-meet-${side}`));
    });
  };
  if (models.length > 2) {
    const chosen = [0, 1].map((side) =>
      element(
        "select",
        {
          "aria-label": side ? "Second model" : "First model",
          onchange: () => {
            const [mine, other] = [Number(chosen[side].value), pair[1 - side]];
            pair = mine === other ? [pair[1], pair[0]] : side ? [other, mine] : [mine, other];
            chosen.forEach((select, i) => {
              select.value = String(pair[i]);
            });
            draw();
          },
        },
        ...models.map((name, i) => element("option", { value: String(i) }, name)),
      ),
    );
    host.append(chosen[0], " and ", chosen[1]);
    chosen[1].value = "1";
  }
  listeners.push(draw);
  onTheme(draw);
}

/**
 * Retention and contamination of every matrix of each model, at the weights that are set.
 * @param {Theme} theme
 * @param {HTMLElement} node
 */
function drawPlane(theme, node) {
  const layout = baseLayout(theme, "");
  layout.showlegend = true;
  layout.legend = { orientation: "h", y: -0.2 };
  const symbols = ["circle", "diamond", "square", "triangle-up", "cross", "x", "star", "pentagon"];
  /** @type {RoleStyle[]} of each model the first role that it has */
  const first = [];
  const traces = models.flatMap((name, a) =>
    data.roles.flatMap((style) => {
      const own = data.meetings.filter((meeting) => meeting.place.role === style.role && changedBy(meeting, a));
      if (!own.length) return [];
      first[a] ??= style;
      const effects = own.map((meeting) => effectOf(meeting, a, weights));
      return [
        {
          x: effects.map((effect) => effect.retention),
          y: effects.map((effect) => effect.contamination),
          mode: "markers",
          type: "scatter",
          name: models.length > MOST_NAMED ? plotText(name) : `${plotText(name)} ${plotText(style.role)}`,
          showlegend: models.length <= MOST_NAMED || style === first[a],
          marker: { color: style[theme], symbol: symbols[a % symbols.length], size: 8, opacity: 0.8 },
          hoverinfo: "text",
          hovertext: effects.map(
            (effect, i) =>
              `<b>${plotText(name)}${plotText(data.constants.between)}${plotText(placeOf(own[i]))}</b><br>` +
              `retention ${shortly(effect.retention)}, contamination ${shortly(effect.contamination)}<br>` +
              `disturbance ${shortly(effect.disturbance)}`,
          ),
        },
      ];
    }),
  );
  const ink = data.ink[theme];
  layout.shapes = RADII.map((r) => ({
    type: "circle",
    x0: 1 - r,
    x1: 1 + r,
    y0: -r,
    y1: r,
    line: { color: ink.line, width: 1.2, dash: "dot" },
  }));
  layout.annotations = RADII.map((r) => ({
    x: 1 + r * Math.SQRT1_2,
    y: r * Math.SQRT1_2,
    text: `D ${r}`,
    showarrow: false,
    font: { size: 11, color: ink.muted },
  }));
  const finite = traces.flatMap((trace) => trace.y).filter(Number.isFinite);
  const across = traces.flatMap((trace) => trace.x).filter(Number.isFinite);
  Object.assign(layout.xaxis, {
    title: { text: "retention ρ" },
    tickformat: "",
    range: [Math.min(0, ...across) - 0.05, Math.max(1.3, ...across) + 0.1],
  });
  Object.assign(layout.yaxis, { title: { text: "contamination κ" }, range: [-0.03, Math.max(1, ...finite) * 1.08] });
  paint(
    node,
    "Retention and contamination of every matrix; the best place is retention 1, contamination 0",
    traces,
    layout,
  );
}

function startPlane() {
  const draw = () => drawPlane(currentTheme(), byId("plot-plane"));
  listeners.push(draw);
  onTheme(draw);
}
