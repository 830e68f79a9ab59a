// The pages' own scripts, run as the pages run them: one after the other in one scope, and no module among them.
import { readFileSync } from "node:fs";
import { createContext, runInContext } from "node:vm";

const ASSETS = new URL("../../weightaudit/report/assets/", import.meta.url);

/**
 * What `names` are after `files` ran. `data` is what the page would hold; scripts that need none of its elements run.
 * @param {string[]} files
 * @param {string[]} names
 * @param {unknown} [data]
 * @returns {any}
 */
export function load(files, names, data) {
  const document = { getElementById: (id) => (id === "data" ? { textContent: JSON.stringify(data) } : null) };
  const window = { matchMedia: () => ({ matches: false }), addEventListener: () => {} };
  const code = files.map((file) => readFileSync(new URL(file, ASSETS), "utf8")).join("\n");
  return runInContext(
    `(function () {\n'use strict';\n${code}\nreturn { ${names.join(", ")} };\n})()`,
    createContext({ document, window, Intl, URLSearchParams }),
  );
}

/**
 * A fixture that Python's own functions made, by the path in this variable of the environment.
 * @returns {any}
 */
export function fixture() {
  const path = process.env.PAGE_SCRIPT_FIXTURE;
  if (!path) throw new Error("PAGE_SCRIPT_FIXTURE names no file: run pytest tests/report/test_page_scripts.py");
  return JSON.parse(readFileSync(path, "utf8"));
}
