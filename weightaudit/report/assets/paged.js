// @ts-check
// Tables of any length: sorted by their headers, filtered, drawn one page at a time.
const { lines: PAGE, printed: PRINTED } = data.constants;
/** @returns {null} */
const NOTHING = () => null;

/** @param {Field} field */
const style = (field) => "c-" + field.name + (field.numeric ? " n" : "");

/**
 * `fields` are {name, label, title, numeric, show(i) → string or node, key(i) → number or string}; `indices` the lines.
 * The field marked `opener` opens a line: onto its `children(i)`, further lines that `parent` names again, or else onto
 * its `detail(i)`, a node. `cells(i)` may give a line cells of its own, or null; `arranged`
 * hears which lines are kept, in their order; `words()` says more of them, and `none()` why there are none.
 * @param {string} caption
 * @param {Field[]} fields
 * @param {number[]} indices
 * @param {TableOptions} [options]
 */
function pagedTable(caption, fields, indices, options = {}) {
  const {
    cells = NOTHING,
    arranged = () => {},
    children = NOTHING,
    parent = () => undefined,
    detail = null,
    words = () => "",
    none = () => "No row matches",
  } = options;
  /** @type {TableState} */
  const state = {
    field: null,
    ascending: true,
    page: 0,
    given: indices,
    sorted: indices,
    lines: indices,
    size: PAGE,
    open: new Set(),
    marked: null,
  };
  /** @type {Map<number, HTMLElement>} */
  const openers = new Map();
  const body = element("tbody");
  const status = element("span", { role: "status" });
  const previous = element("button", { type: "button", onclick: () => turn(-1) }, "‹ Previous");
  const next = element("button", { type: "button", onclick: () => turn(1) }, "Next ›");
  const heads = fields.map((field) =>
    element(
      "th",
      { scope: "col", class: style(field), "data-column": field.name },
      element("button", { type: "button", title: field.title, onclick: () => sortBy(field) }, field.label),
    ),
  );
  const scroller = element(
    "div",
    { class: "scroll", tabindex: "0", role: "group", "aria-label": caption },
    element(
      "table",
      {},
      element("caption", { class: "hidden" }, caption),
      element("thead", {}, element("tr", {}, ...heads)),
      body,
    ),
  );

  /** @param {number} by */
  function turn(by) {
    state.page += by;
    scroller.scrollTop = 0;
    draw();
  }

  /** @param {Field} field */
  function sortBy(field) {
    state.ascending = state.field === field ? !state.ascending : !field.numeric || field.name === "layer";
    state.field = field;
    state.page = 0;
    arrange();
  }

  /**
   * Unknown numbers go last in either direction; equal ones keep the report's order.
   * @param {number[]} ids
   * @returns {number[]}
   */
  function inOrder(ids) {
    const { field, ascending } = state;
    if (!field) return ids;
    const sign = ascending ? 1 : -1;
    const keyed = ids.map((i, place) => ({ i, place, key: field.key(i) }));
    /** @param {number | string} key */
    const missing = (key) => key === "" || Number.isNaN(key);
    keyed.sort((a, b) => {
      if (missing(a.key) || missing(b.key)) return Number(missing(a.key)) - Number(missing(b.key)) || a.place - b.place;
      return sign * (a.key < b.key ? -1 : a.key > b.key ? 1 : 0) || a.place - b.place;
    });
    return keyed.map(({ i }) => i);
  }

  function arrange() {
    heads.forEach((head, i) => {
      if (fields[i] === state.field) head.setAttribute("aria-sort", state.ascending ? "ascending" : "descending");
      else head.removeAttribute("aria-sort");
    });
    state.sorted = inOrder(state.given);
    arranged(state.sorted);
    unfold();
    draw();
  }

  function unfold() {
    /**
     * @param {number} i
     * @returns {number[]}
     */
    const below = (i) => (state.open.has(i) && children(i)) || [];
    state.lines = state.sorted.flatMap((i) => [i, ...inOrder(below(i))]);
  }

  /** @param {number} i */
  function toggle(i) {
    if (!state.open.delete(i)) state.open.add(i);
    unfold();
    draw();
    openers.get(i)?.focus({ preventScroll: true });
  }

  /**
   * @param {Field} field
   * @param {number} i
   */
  function cellOf(field, i) {
    const shown = field.show(i);
    if (!field.opener || !(children(i) || detail)) return element("td", { class: style(field) }, shown);
    const button = element(
      "button",
      { type: "button", class: "opener", "aria-expanded": String(state.open.has(i)), onclick: () => toggle(i) },
      shown,
    );
    openers.set(i, button);
    return element("td", { class: style(field) }, button);
  }

  /** @param {number} i */
  function lineOf(i) {
    const marks = [children(i) && "group", parent(i) !== undefined && "member", state.marked === i && "marked"]
      .filter(Boolean)
      .join(" ");
    const line = element("tr", marks ? { class: marks } : {}, ...(cells(i) ?? fields.map((field) => cellOf(field, i))));
    if (!detail || children(i) || !state.open.has(i)) return [line];
    return [line, element("tr", { class: "opened" }, element("td", { colspan: String(fields.length) }, detail(i)))];
  }

  function draw() {
    const start = state.page * state.size;
    const end = Math.min(start + state.size, state.lines.length);
    openers.clear();
    body.replaceChildren(...state.lines.slice(start, end).flatMap(lineOf));
    status.textContent = state.lines.length
      ? `${grouped(start + 1)}–${grouped(end)} of ${grouped(state.lines.length)}${words()}`
      : none();
    previous.disabled = start === 0;
    next.disabled = end >= state.lines.length;
    previous.hidden = next.hidden = state.lines.length <= state.size;
  }

  /** @param {number[]} ids */
  function show(ids) {
    state.given = ids;
    state.page = 0;
    arrange();
  }

  window.addEventListener("beforeprint", () => {
    state.size = PRINTED;
    state.page = 0;
    draw();
  });
  window.addEventListener("afterprint", () => {
    state.size = PAGE;
    draw();
  });
  unfold();
  draw();
  return {
    nodes: [scroller, element("p", { class: "pager" }, previous, status, next)],
    show,
    /**
     * Say something of the table, until it shows other lines.
     * @param {string} said
     */
    tell(said) {
      status.textContent = said;
      status.scrollIntoView({ block: "center", behavior: "instant" });
    },
    /** @param {(i: number) => boolean} wanted */
    keep: (wanted) => show(indices.filter(wanted)),
    /**
     * The line, opened and marked, in sight and in focus.
     * @param {number} i
     */
    reveal(i) {
      state.open.add(i);
      const group = parent(i);
      if (group !== undefined) state.open.add(group);
      state.marked = i;
      unfold();
      state.page = Math.floor(state.lines.indexOf(i) / state.size);
      draw();
      const opener = present(openers.get(i));
      present(opener.closest("tr")).scrollIntoView({ block: "start", behavior: "instant" });
      opener.focus({ preventScroll: true });
    },
  };
}
