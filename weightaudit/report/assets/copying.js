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
 * A button that copies the text of `node`, which is called `name` in its label.
 * @param {HTMLElement} node
 * @param {string} name
 */
function copyButton(node, name) {
  const said = element("span", { role: "status" }, "Copy");
  const button = element(
    "button",
    { type: "button", class: "copy", "aria-label": `Copy the ${name}`, title: `Copy the ${name}` },
    said,
  );
  button.addEventListener("click", async () => {
    said.textContent = (await copied(node)) ? "Copied" : "Select it";
    setTimeout(() => {
      said.textContent = "Copy";
    }, 2000);
  });
  return button;
}

/**
 * `node` with its button beside it.
 * @param {HTMLElement} node
 * @param {string} name
 */
const copyable = (node, name) => element("div", { class: "copyable" }, node, copyButton(node, name));

// The commands that the page has from the first.
function startCopying() {
  for (const node of document.querySelectorAll("pre")) {
    const place = element("div", { class: "copyable" });
    node.replaceWith(place);
    place.append(node, copyButton(node, "command"));
  }
}
