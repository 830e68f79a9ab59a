// Tables of any length: sorted by their headers, filtered, drawn one page at a time.
const PAGE = 100;
const PRINTED = 5000;

const style = (field) => "c-" + field.name + (field.numeric ? " n" : "");

// `fields` are {name, label, title, numeric, show(i) → string or node, key(i) → number or string}; `indices` the rows.
// `cells(i)` may give a row cells of its own, or null; `arranged` hears which rows are kept, in their order.
function pagedTable(caption, fields, indices, { cells = () => null, arranged = () => {} } = {}) {
  const state = { field: null, ascending: true, page: 0, shown: indices, size: PAGE };
  const body = element("tbody");
  const status = element("span", { role: "status" });
  const previous = element("button", { type: "button", onclick: () => turn(-1) }, "‹ Previous");
  const next = element("button", { type: "button", onclick: () => turn(1) }, "Next ›");
  const heads = fields.map((field) =>
    element("th", { scope: "col", class: style(field), "data-column": field.name },
      element("button", { type: "button", title: field.title, onclick: () => sortBy(field) }, field.label)),
  );
  const scroller = element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    element("table", {}, element("caption", { class: "hidden" }, caption), element("thead", {}, element("tr", {}, ...heads)), body));

  function turn(by) {
    state.page += by;
    scroller.scrollTop = 0;
    draw();
  }

  function sortBy(field) {
    state.ascending = state.field === field ? !state.ascending : !field.numeric || field.name === "layer";
    state.field = field;
    state.page = 0;
    arrange();
  }

  // Unknown numbers go last in either direction; equal ones keep the report's order.
  function arrange() {
    const { field, ascending } = state;
    heads.forEach((head, i) => {
      if (fields[i] === field) head.setAttribute("aria-sort", ascending ? "ascending" : "descending");
      else head.removeAttribute("aria-sort");
    });
    state.shown = state.kept ?? indices;
    if (field) {
      const sign = ascending ? 1 : -1;
      const keyed = state.shown.map((i, place) => ({ i, place, key: field.key(i) }));
      const missing = (key) => key === "" || Number.isNaN(key);
      keyed.sort((a, b) => {
        if (missing(a.key) || missing(b.key)) return missing(a.key) - missing(b.key) || a.place - b.place;
        return sign * (a.key < b.key ? -1 : a.key > b.key ? 1 : 0) || a.place - b.place;
      });
      state.shown = keyed.map(({ i }) => i);
    }
    arranged(state.shown);
    draw();
  }

  function draw() {
    const start = state.page * state.size;
    const end = Math.min(start + state.size, state.shown.length);
    const lines = [];
    for (let at = start; at < end; at++) {
      const i = state.shown[at];
      lines.push(element("tr", {}, ...(cells(i) ?? fields.map((field) => element("td", { class: style(field) }, field.show(i))))));
    }
    body.replaceChildren(...lines);
    status.textContent = state.shown.length ? `${grouped(start + 1)}–${grouped(end)} of ${grouped(state.shown.length)}` : "No row matches";
    previous.disabled = start === 0;
    next.disabled = end >= state.shown.length;
    previous.hidden = next.hidden = state.shown.length <= state.size;
  }

  window.addEventListener("beforeprint", () => { state.size = PRINTED; state.page = 0; draw(); });
  window.addEventListener("afterprint", () => { state.size = PAGE; draw(); });
  draw();
  return {
    nodes: [scroller, element("p", { class: "pager" }, previous, status, next)],
    keep(wanted) {
      state.kept = indices.filter(wanted);
      state.page = 0;
      arrange();
    },
  };
}
