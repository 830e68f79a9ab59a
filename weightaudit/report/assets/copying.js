// @ts-check
// Buttons that put a text into the clipboard: what is copied is what is shown.

/**
 * @param {HTMLElement} node
 * @returns {Promise<boolean>} whether it was copied
 */
async function copied(node) {
  try {
    await navigator.clipboard.writeText(node.textContent ?? "");
    return true;
  } catch {
    // No clipboard for this page, or none that may be written: the older way, by what is selected.
    const selection = window.getSelection();
    selection?.selectAllChildren(node);
    return document.execCommand("copy");
  }
}

/**
 * A button that copies the text of `node`, which is called `name` in its label, and what a screen reader hears of it: a
 * button's own words are not spoken when they change.
 * @param {HTMLElement} node
 * @param {string} name
 * @returns {[button: HTMLElement, heard: HTMLElement]}
 */
function copyButton(node, name) {
  const heard = element("span", { class: "hidden", role: "status" });
  const button = element(
    "button",
    { type: "button", class: "copy", "aria-label": `Copy the ${name}`, title: `Copy the ${name}` },
    "Copy",
  );
  button.addEventListener("click", async () => {
    const done = await copied(node);
    button.textContent = done ? "Copied" : "Press Ctrl+C";
    heard.textContent = done ? `The ${name} was copied` : `The ${name} is selected: press Ctrl+C`;
    setTimeout(() => {
      button.textContent = "Copy";
      heard.textContent = "";
    }, 2000);
  });
  return [button, heard];
}

/**
 * `node` with its button beside it.
 * @param {HTMLElement} node
 * @param {string} name
 */
const copyable = (node, name) => element("div", { class: "copyable" }, node, ...copyButton(node, name));

// The commands that the page has from the first.
function startCopying() {
  for (const node of document.querySelectorAll("pre")) {
    const place = element("div", { class: "copyable" });
    node.replaceWith(place);
    place.append(node, ...copyButton(node, "command"));
  }
}
