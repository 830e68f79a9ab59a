// @ts-check
// The coverage's groups are drawn when they are opened, or printed.
function startCoverage() {
  const coverage = decodedTable(data.coverage);
  /**
   * @param {keyof PageData["coverage"]} name
   * @param {string} label
   * @returns {Field}
   */
  const field = (name, label) => ({
    name,
    label,
    title: label,
    numeric: false,
    show: (i) => printable(coverage[name](i)),
    key: coverage[name],
  });
  /** @type {Field[]} */
  const fields = [
    field("tensor", "Tensor"),
    field("shape", "Shape"),
    field("dtype", "Type"),
    {
      ...field("parameters", "Elements"),
      numeric: true,
      show: (i) => grouped(coverage.parameters(i)),
      key: (i) => Number(coverage.parameters(i)),
    },
    field("roles", "Roles"),
    field("detail", "Why"),
  ];
  /** @type {NodeListOf<HTMLDetailsElement>} */
  const groups = document.querySelectorAll("details[data-status]");
  for (const group of groups) {
    let filled = false;
    const fill = () => {
      if (filled || !group.open) return;
      filled = true;
      const indices = Array.from({ length: data.coverageCount }, (_, i) => i).filter(
        (i) => coverage.status(i) === group.dataset.status,
      );
      const used = fields.filter((f) => f.numeric || indices.some((i) => f.key(i) !== ""));
      const host = present(group.querySelector(".coverage"));
      host.replaceChildren(...pagedTable(`Tensors: ${group.dataset.status}`, used, indices).nodes);
    };
    group.addEventListener("toggle", fill);
    fill();
  }
}
