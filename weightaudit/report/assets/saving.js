// @ts-check
/**
 * Have the browser save `content` as a file.
 * @param {string} name
 * @param {string} type
 * @param {string} content
 */
function save(name, type, content) {
  const url = URL.createObjectURL(new Blob([content], { type }));
  element("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}
