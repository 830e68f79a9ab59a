// @ts-check
/**
 * What the page was given: see html/payload.py and comparison/collect.py.
 * @type {PageData}
 */
const data = JSON.parse(document.getElementById("data")?.textContent ?? "");
