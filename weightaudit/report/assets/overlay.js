// @ts-check
// Profiles over depth, one line a model. Up to eight have a colour each; more have their family's, until some are kept:
// then these are coloured and the others stand back.
const MOST_LINES = 60;
const FEW = data.palette.length;
/** @type {Record<string, string>} */
const GLYPHS = {
  circle: "●",
  square: "■",
  diamond: "◆",
  "triangle-up": "▲",
  star: "★",
  "triangle-down": "▼",
  hexagon: "⬢",
  cross: "✚",
};
const QUANTILES = 21;
/** @type {{ metric: number, role: number, order: number[], kept: number[], drawn: number[], beyond: number, focus: number | null }} */
const overlay = { metric: 0, role: 0, order: [], kept: [], drawn: [], beyond: 0, focus: null };

/** @type {{ label: string, from: "stable_rank" | "frobenius_norm", axis: string, scale: string, over(i: number, ys: number[]): number }[]} */
const ALL_METRICS = [
  { label: "Stable rank", from: "stable_rank", axis: "stable rank", scale: "log", over: () => 1 },
  {
    label: "Stable rank ÷ dimension",
    from: "stable_rank",
    axis: "stable rank ÷ model dimension",
    scale: "log",
    over: (i) => Number(data.metrics.hidden?.[i] ?? NaN),
  },
  { label: "Frobenius norm", from: "frobenius_norm", axis: "Frobenius norm", scale: "linear", over: () => 1 },
  {
    label: "Norm ÷ its median",
    from: "frobenius_norm",
    axis: "Frobenius norm ÷ the model's median",
    scale: "linear",
    over: (_, ys) => median([...ys].sort((a, b) => a - b)),
  },
];
const METRICS = ALL_METRICS.filter(({ label }) => label !== "Stable rank ÷ dimension" || data.metrics.hidden);

/**
 * Map model → {x, y} for the chosen role and number.
 * @returns {Map<number, Profile>}
 */
function chosenProfiles() {
  const metric = METRICS[overlay.metric];
  const [owners, grids, values] = data.profiles[metric.from][overlay.role];
  const found = new Map();
  owners.forEach((i, at) => {
    const scale = metric.over(i, values[at]);
    if (!(scale > 0)) return;
    found.set(i, {
      x: data.profiles.grids[grids[at]].map((x) => x / data.profiles.depths),
      y: values[at].map((y) => y / scale),
    });
  });
  return found;
}

// Families of most models get a colour each, as long as there are colours; they keep it however the table is filtered.
const familyStyle = (() => {
  const counts = new Map();
  models.family.forEach((family, i) => {
    if (!models.failed[i] && family) counts.set(family, (counts.get(family) ?? 0) + 1);
  });
  const ranked = [...counts]
    .sort((a, b) => b[1] - a[1])
    .slice(0, FEW)
    .map(([family]) => family);
  return new Map(ranked.map((family, at) => [family, data.palette[at]]));
})();

/**
 * @param {number} i
 * @param {number} place
 * @returns {(ModelStyle & { strong?: boolean }) | null}
 */
function styleOf(i, place) {
  const { kept, drawn } = overlay;
  if (kept.length) return kept.includes(i) ? { ...data.palette[kept.indexOf(i) % FEW], strong: true } : null;
  if (drawn.length <= FEW) return { ...data.palette[place], strong: true };
  return familyStyle.get(models.family[i]) ?? null;
}

function choose() {
  const known = chosenProfiles();
  const wanted = [...overlay.kept, ...overlay.order.filter((i) => !overlay.kept.includes(i))].filter((i) =>
    known.has(i),
  );
  overlay.drawn = wanted.slice(0, MOST_LINES);
  overlay.beyond = wanted.length - overlay.drawn.length;
  return known;
}

/**
 * @param {number} i
 * @param {number} place
 * @param {Profile} profile
 * @param {Theme} theme
 * @returns {PlotlyObject}
 */
function lineOf(i, place, profile, theme) {
  const style = styleOf(i, place);
  const metric = METRICS[overlay.metric];
  const colour = style ? style[theme] : data.ink[theme].muted;
  const where = `<b>${plotText(models.name[i])}</b><br>${plotText(data.profiles.roles[overlay.role])}, depth `;
  return {
    uid: "m" + i,
    ...profile,
    mode: style?.strong || profile.x.length === 1 ? "lines+markers" : "lines",
    opacity: style ? (style.strong ? 1 : 0.8) : 0.35,
    line: { color: colour, width: style?.strong ? 2.2 : 1.4 },
    marker: { color: colour, size: profile.x.length > 30 ? 4 : 6, symbol: style?.strong ? style.symbol : "circle" },
    hoverinfo: "text",
    hovertext: profile.x.map((x, at) => `${where}${x.toFixed(2)}<br>${metric.axis} ${digitsOf(profile.y[at], 4)}`),
  };
}

/**
 * Where the middle of all models lies, shown when only some of them are drawn: 10 to 90 % of them, and their median.
 * @param {Map<number, Profile>} known
 * @param {Theme} theme
 * @returns {PlotlyObject[]}
 */
function bandOf(known, theme) {
  if (known.size <= overlay.drawn.length || known.size < 10) return [];
  const ink = data.ink[theme];
  const depths = Array.from({ length: QUANTILES }, (_, k) => k / (QUANTILES - 1));
  const at = depths.map((depth) => {
    const ys = [...known.values()]
      .map((profile) => interpolated(profile, depth))
      .filter((y) => y > 0)
      .sort((a, b) => a - b);
    return [0.1, 0.5, 0.9].map((share) => ys[Math.round(share * (ys.length - 1))] ?? null);
  });
  const edge = { x: depths, mode: "lines", hoverinfo: "skip", line: { width: 0 } };
  return [
    { ...edge, uid: "low", y: at.map(([low]) => low) },
    { ...edge, uid: "high", y: at.map(([, , high]) => high), fill: "tonexty", fillcolor: ink.muted + "26" },
    { ...edge, uid: "middle", y: at.map(([, middle]) => middle), line: { color: ink.muted, width: 1.6, dash: "dot" } },
  ];
}

/**
 * @param {Profile} profile
 * @param {number} depth
 * @returns {number}
 */
function interpolated({ x, y }, depth) {
  if (depth < x[0] || depth > x[x.length - 1]) return x.length === 1 && depth === x[0] ? y[0] : NaN;
  const after = Math.max(
    1,
    x.findIndex((one) => one >= depth),
  );
  if (x.length === 1) return y[0];
  const [x0, x1] = [x[after - 1], x[after]];
  return x1 === x0 ? y[after] : y[after - 1] + ((y[after] - y[after - 1]) * (depth - x0)) / (x1 - x0);
}

/** @param {Theme} theme */
function drawOverlay(theme) {
  const node = byId("overlay");
  const metric = METRICS[overlay.metric];
  const known = choose();
  const { drawn } = overlay;
  // Those that stand out are drawn last, on top.
  const lines = drawn
    .map((i, place) => lineOf(i, place, present(known.get(i)), theme))
    .sort((a, b) => a.opacity - b.opacity);
  const band = bandOf(known, theme);
  const layout = baseLayout(theme, "");
  Object.assign(layout, { height: 480, showlegend: false, margin: { l: 56, r: 12, t: 16, b: 44 } });
  Object.assign(layout.xaxis, { title: { text: "relative depth" }, range: [-0.02, 1.02], tickformat: ".1f" });
  layout.yaxis.title = { text: metric.axis };
  const ys = [...lines, ...band].flatMap((line) => line.y).filter((y) => y > 0);
  if (ys.length) {
    const low = ys.reduce((a, b) => Math.min(a, b));
    const high = ys.reduce((a, b) => Math.max(a, b));
    if (metric.scale === "log" || high > 30 * low) {
      const ticks = logTicks(low, high);
      const room = 0.05 * Math.max(0.4, Math.log10(high / low));
      Object.assign(layout.yaxis, {
        type: "log",
        range: [Math.log10(low) - room, Math.log10(high) + room],
        tickvals: ticks,
        ticktext: tickTexts(ticks),
      });
    } else {
      layout.yaxis.range = [0, high * 1.06];
    }
  } else {
    layout.annotations = [
      {
        xref: "paper",
        yref: "paper",
        x: 0.5,
        y: 0.5,
        showarrow: false,
        text: "None of the models shown has this number.",
        font: { color: data.ink[theme].muted },
      },
    ];
  }
  byId("overlay-title").textContent =
    `${sentence(metric.axis)} of ${printable(data.profiles.roles[overlay.role])} over depth`;
  overlay.focus = null;
  Plotly.react(node, [...band, ...lines], layout, SETTINGS);
  listModels(known, theme, band.length > 0);
}

/**
 * @param {Map<number, Profile>} known
 * @param {Theme} theme
 * @param {boolean} band
 */
function listModels(known, theme, band) {
  const { drawn, kept, beyond } = overlay;
  const items = drawn.map((i, place) => {
    const style = styleOf(i, place);
    const glyph = element(
      "span",
      { class: "glyph", "aria-hidden": "true" },
      style?.strong ? GLYPHS[style.symbol] : "━",
    );
    glyph.style.color = style ? style[theme] : data.ink[theme].muted;
    const ys = present(known.get(i))
      .y.filter(Number.isFinite)
      .sort((a, b) => a - b);
    const button = element(
      "button",
      {
        type: "button",
        "aria-pressed": String(kept.includes(i)),
        "data-model": String(i),
        title: "median over depth; press to keep it",
        onmouseenter: () => focusOn(i),
        onmouseleave: () => focusOn(null),
        onfocus: () => focusOn(i),
        onblur: () => focusOn(null),
        onclick: () => keep(i),
      },
      glyph,
      element("span", { class: "who" }, printable(models.name[i], 80)),
      element("span", { class: "n" }, ys.length ? digitsOf(median(ys), 3) : UNKNOWN),
    );
    return element("li", {}, button);
  });
  const list = byId("overlay-models");
  const focused = document.activeElement;
  const pressed = focused instanceof HTMLElement ? focused.dataset.model : undefined;
  list.replaceChildren(...items);
  /** @type {HTMLElement | null} */
  const again = pressed === undefined ? null : list.querySelector(`[data-model="${pressed}"]`);
  again?.focus({ preventScroll: true });
  const told = [
    beyond
      ? `${grouped(drawn.length)} of ${grouped(drawn.length + beyond)} models drawn.`
      : `${grouped(drawn.length)} ${drawn.length === 1 ? "model" : "models"} drawn, with the median over depth.`,
  ];
  if (band) told.push(`Shaded: 10 to 90 % of all ${grouped(known.size)}; dotted: their median.`);
  byId("overlay-status").textContent = told.join(" ");
  listFamilies(theme);
  if (kept.length)
    byId("overlay-status").append(
      " ",
      element(
        "button",
        {
          type: "button",
          onclick: () => {
            overlay.kept = [];
            drawOverlay(currentTheme());
          },
        },
        "Let all go",
      ),
    );
}

/**
 * The key of the colours where these are the families', each bringing its models forward.
 * @param {Theme} theme
 */
function listFamilies(theme) {
  const { drawn, kept } = overlay;
  const host = byId("overlay-families");
  /** @type {[name: string, mine: (i: number) => boolean, colour: string][]} */
  const groups = [...familyStyle].map(([family, style]) => [family, (i) => models.family[i] === family, style[theme]]);
  groups.push(["others", (i) => !familyStyle.has(models.family[i]), data.ink[theme].muted]);
  const shown = groups.filter(([, mine]) => drawn.some(mine));
  host.hidden = kept.length > 0 || drawn.length <= FEW || shown.length < 2;
  host.replaceChildren(
    ...shown.map(([family, mine, colour]) => {
      const glyph = element("span", { class: "glyph", "aria-hidden": "true" }, "━");
      glyph.style.color = colour;
      const forward = () => bringForward(new Set(drawn.filter(mine)));
      const back = () => bringForward(new Set());
      return element(
        "button",
        { type: "button", onmouseenter: forward, onfocus: forward, onmouseleave: back, onblur: back },
        glyph,
        " " + printable(family, 40),
      );
    }),
  );
}

/** @param {number} i */
function keep(i) {
  overlay.kept = overlay.kept.includes(i) ? overlay.kept.filter((other) => other !== i) : [...overlay.kept, i];
  drawOverlay(currentTheme());
}

/** @param {number | null} i */
function focusOn(i) {
  if (overlay.focus === i) return;
  overlay.focus = i;
  bringForward(new Set(i === null ? [] : [i]));
}

/**
 * Bring some models' lines forward without drawing anew: plotly's own groups, found by the names given to the traces.
 * @param {Set<number>} chosen
 */
function bringForward(chosen) {
  /** @type {NodeListOf<SVGElement>} */
  const traces = document.querySelectorAll("#overlay .scatterlayer .trace");
  for (const group of traces) {
    const model = /\btracem(\d+)\b/.exec(group.getAttribute("class") ?? "");
    if (!model) continue;
    const mine = chosen.has(Number(model[1]));
    group.style.filter = chosen.size && !mine ? "grayscale(1) opacity(0.25)" : "";
    /** @type {NodeListOf<SVGElement>} */
    const paths = group.querySelectorAll("path.js-line");
    for (const path of paths) {
      path.dataset.width ??= path.style.strokeWidth;
      path.style.strokeWidth = mine ? "3.5px" : path.dataset.width;
    }
  }
  /** @type {NodeListOf<HTMLElement>} */
  const buttons = document.querySelectorAll("#overlay-models button");
  for (const button of buttons) button.classList.toggle("focus", chosen.has(Number(button.dataset.model)));
}

/**
 * @param {HTMLElement} host
 * @param {string[]} labels
 * @param {"metric" | "role"} name
 * @param {() => void} draw
 */
function choices(host, labels, name, draw) {
  if (labels.length > 14) {
    const select = element(
      "select",
      {
        "aria-label": host.getAttribute("aria-label") ?? "",
        onchange: () => {
          overlay[name] = Number(select.value);
          draw();
        },
      },
      ...labels.map((label, at) => element("option", { value: String(at) }, label)),
    );
    select.value = String(overlay[name]);
    host.classList.remove("choice");
    host.replaceChildren(select);
    return;
  }
  host.replaceChildren(
    ...labels.map((label, at) =>
      element(
        "button",
        {
          type: "button",
          "aria-pressed": String(at === overlay[name]),
          onclick() {
            overlay[name] = at;
            [...host.children].forEach((button, other) => {
              button.setAttribute("aria-pressed", String(other === at));
            });
            draw();
          },
        },
        label,
      ),
    ),
  );
}

/**
 * What the table calls when it shows other models, or the same in another order.
 * @returns {(order: number[]) => void}
 */
function startOverlay() {
  const { roles, stable_rank: found } = data.profiles;
  overlay.role = roles.reduce((best, _, at) => (found[at][0].length > found[best][0].length ? at : best), 0);
  let ready = false;
  let waiting = 0;
  const draw = () => drawOverlay(currentTheme());
  choices(
    byId("overlay-metric"),
    METRICS.map(({ label }) => label),
    "metric",
    draw,
  );
  choices(
    byId("overlay-role"),
    roles.map((role) => printable(role, 40)),
    "role",
    draw,
  );
  return (order) => {
    overlay.order = order;
    clearTimeout(waiting);
    if (ready) {
      waiting = setTimeout(draw, 150);
      return;
    }
    ready = true;
    onTheme(drawOverlay);
    const node = /** @type {PlotlyElement} */ (byId("overlay"));
    /** @param {PlotlyEvent} event */
    const modelOf = (event) => /^m(\d+)$/.exec(event.points[0].data.uid ?? "")?.[1];
    node.on("plotly_hover", (event) => {
      if (modelOf(event) !== undefined) focusOn(Number(modelOf(event)));
    });
    node.on("plotly_unhover", () => focusOn(null));
    node.on("plotly_click", (event) => {
      if (modelOf(event) !== undefined) keep(Number(modelOf(event)));
    });
  };
}
