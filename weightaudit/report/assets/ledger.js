// The ledger's groups are drawn when they are opened, or printed.
function startLedger() {
  const ledger = decodedTable(data.ledger);
  const field = (name, label) => ({ name, label, title: label, numeric: false, show: (i) => printable(ledger[name](i)), key: ledger[name] });
  const fields = [
    field("tensor", "Tensor"), field("shape", "Shape"), field("dtype", "Type"),
    { ...field("parameters", "Elements"), numeric: true, show: (i) => grouped(ledger.parameters(i)), key: (i) => Number(ledger.parameters(i)) },
    field("roles", "Roles"), field("detail", "Why"),
  ];
  for (const group of document.querySelectorAll("details[data-status]")) {
    let filled = false;
    const fill = () => {
      if (filled || !group.open) return;
      filled = true;
      const indices = Array.from({ length: data.ledgerCount }, (_, i) => i).filter((i) => ledger.status(i) === group.dataset.status);
      const used = fields.filter((f) => f.numeric || indices.some((i) => f.key(i) !== ""));
      group.querySelector(".ledger").replaceChildren(...pagedTable(`Tensors: ${group.dataset.status}`, used, indices).nodes);
    };
    group.addEventListener("toggle", fill);
    fill();
  }
}
