// @ts-check
/**
 * Addresses of this page: #m-17 is row 17 of the report, #rule-2 are the matrices of one rule's findings. No element has
 * such an id, or the browser would move the focus there after us.
 * @param {{ reveal(i: number): void, only(number: number): void }} table
 */
function startAddresses(table) {
  function follow() {
    const [, kind, digits] = /^#(m|rule)-(\d+)$/.exec(window.location.hash) ?? [];
    const at = Number(digits);
    if (kind === "m" && at < rows.length) table.reveal(at);
    if (kind === "rule" && at < data.findings.groups.length) table.only(at);
  }

  window.addEventListener("hashchange", follow);
  // Pressed again, a link changes no address.
  document.addEventListener("click", (event) => {
    const link = event.target instanceof Element && event.target.closest("a[href^='#m-'], a[href^='#rule-']");
    if (!link || link.getAttribute("href") !== window.location.hash) return;
    event.preventDefault();
    follow();
  });
  follow();
}
