// @ts-check
// The ledger's groups are drawn when they are opened, or printed.
function startLedger() {
  const ledger = decodedTable(data.ledger);
  /**
   * @param {keyof PageData["ledger"]} name
   * @param {string} label
   * @returns {Field}
   */
  const field = (name, label) => ({
    name,
    label,
    title: label,
    numeric: false,
    show: (i) => printable(ledger[name](i)),
    key: ledger[name],
  });
  /** @type {Field[]} */
  const fields = [
    field("tensor", "Tensor"),
    field("shape", "Shape"),
    field("dtype", "Type"),
    {
      ...field("parameters", "Elements"),
      numeric: true,
      show: (i) => grouped(ledger.parameters(i)),
      key: (i) => Number(ledger.parameters(i)),
    },
    field("roles", "Roles"),
    field("detail", "Why"),
  ];
  /** @type {NodeListOf<HTMLDetailsElement>} */
  const ledgers = document.querySelectorAll("details[data-status]");
  for (const group of ledgers) {
    let filled = false;
    const fill = () => {
      if (filled || !group.open) return;
      filled = true;
      const indices = Array.from({ length: data.ledgerCount }, (_, i) => i).filter(
        (i) => ledger.status(i) === group.dataset.status,
      );
      const used = fields.filter((f) => f.numeric || indices.some((i) => f.key(i) !== ""));
      const host = present(group.querySelector(".ledger"));
      host.replaceChildren(...pagedTable(`Tensors: ${group.dataset.status}`, used, indices).nodes);
    };
    group.addEventListener("toggle", fill);
    fill();
  }
}
