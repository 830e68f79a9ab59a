// @ts-check
/**
 * Addresses of this page: #layer-5-O is a row of the report (html/anchors.py names them; #m-17 is row 17 by its number),
 * #filter=layer+3&role=M1 what the table shows. No element has such an id, or the browser would move the focus there after
 * us.
 */
const anchorOf = decoded(data.anchors);
/** @type {(keyof View)[]} */
const VIEW_PARTS = ["filter", "role", "rule", "experts"];

/**
 * The row that an address without its # is of.
 * @param {string} address
 * @returns {number | undefined}
 */
function rowOfAddress(address) {
  const [, digits] = /^m-(\d{1,9})$/.exec(address) ?? [];
  if (digits) return Number(digits) < rows.length ? Number(digits) : undefined;
  const wanted = `#${address.toLowerCase()}`;
  return rows.find((row) => anchorOf(row.i).toLowerCase() === wanted)?.i;
}

/**
 * What an address without its # asks for that is no row of this report, in words; "" where it asks for something else.
 * @param {string} address
 */
function missingOfAddress(address) {
  const [, row] = /^m-(\d+)$/.exec(address) ?? [];
  if (row) return `row ${row}`;
  return /^(.+-)?layer-\d/i.test(address) ? address.replaceAll("-", " ") : "";
}

/**
 * What the table is to show, where an address without its # says so.
 * @param {string} address
 * @returns {View | null}
 */
function viewOfAddress(address) {
  const said = new URLSearchParams(address);
  if (!VIEW_PARTS.some((part) => said.has(part))) return null;
  const [filter, role, rule, experts] = VIEW_PARTS.map((part) => said.get(part) ?? "");
  return { filter, role, rule, experts };
}

/**
 * @param {Partial<View>} view
 * @returns {string}
 */
function addressOfView(view) {
  const said = new URLSearchParams();
  for (const part of VIEW_PARTS) if (view[part]) said.set(part, view[part]);
  return said.size ? `#${said}` : "";
}

/**
 * The address of what `members` show together: one row, or a layer's experts of one role.
 * @param {Row[]} members
 */
function addressOfRows(members) {
  const [first] = members;
  if (members.length === 1) return anchorOf(first.i);
  const roles = new Set(members.map((row) => row.role));
  const filter = `${first.stack} layer ${first.layer}`.trim();
  return addressOfView({ filter, role: roles.size === 1 ? first.role : "" });
}

/**
 * Go there, or again where the page is there already.
 * @param {string} address
 */
function leadTo(address) {
  if (window.location.hash === address) window.dispatchEvent(new Event("hashchange"));
  else window.location.hash = address;
}

/**
 * Have the address bar say what the table shows, without a step in the browser's history.
 * @param {Partial<View>} view
 */
function tellView(view) {
  try {
    window.history.replaceState(null, "", addressOfView(view) || window.location.pathname + window.location.search);
  } catch {
    // A page that is shown inside another, as in a notebook, has no address of its own.
  }
}

/** @param {{ reveal(i: number): void, show(view: View): void, tell(said: string): void }} table */
function startAddresses(table) {
  function follow() {
    const address = window.location.hash.slice(1);
    const view = viewOfAddress(address);
    if (view) table.show(view);
    const row = view ? undefined : rowOfAddress(address);
    if (row !== undefined) table.reveal(row);
    const missing = view || row !== undefined || document.getElementById(address) ? "" : missingOfAddress(address);
    if (missing) table.tell(`There is no ${printable(missing)} in this report`);
  }

  window.addEventListener("hashchange", follow);
  // Pressed again, a link changes no address.
  document.addEventListener("click", (event) => {
    const address = event.target instanceof Element && event.target.closest("a[href^='#']")?.getAttribute("href");
    if (!address || address !== window.location.hash) return;
    if (!viewOfAddress(address.slice(1)) && rowOfAddress(address.slice(1)) === undefined) return;
    event.preventDefault();
    follow();
  });
  follow();
}
