// @ts-check
/**
 * An element; strings become text nodes, never markup.
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Record<string, string | ((event: Event) => void)>} [attributes]
 * @param {...(string | Node)} children
 * @returns {HTMLElementTagNameMap[T]}
 */
function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, given] of Object.entries(attributes)) {
    if (typeof given !== "string") node.addEventListener(name.slice(2), given);
    else node.setAttribute(name, given);
  }
  node.append(...children);
  return node;
}

/**
 * The element with this id, which the page has.
 * @param {string} id
 * @returns {HTMLElement}
 */
function byId(id) {
  return present(document.getElementById(id));
}
