// @ts-check
// A click in the drawing of a card leads to the matrix of the layer that lies there.
function startCards() {
  /** @type {NodeListOf<HTMLElement>} */
  const cards = document.querySelectorAll(".profile[data-row]");
  for (const card of cards) {
    const { stack, role } = rows[Number(card.dataset.row)];
    const members = layered.filter((row) => row.stack === stack && row.role === role);
    const layers = [...new Set(members.map((row) => row.layer))];
    const [first, last] = [least(layers), most(layers)];
    for (const drawing of card.querySelectorAll("svg")) {
      drawing.addEventListener("click", (event) => {
        const { left, width } = drawing.getBoundingClientRect();
        // The drawing keeps 3 of its 100 units free on either side: see html/card_drawing.py.
        const share = ((event.clientX - left) / width - 0.03) / 0.94;
        const at = first + share * (last - first);
        const nearest = layers.reduce((a, b) => (Math.abs(b - at) < Math.abs(a - at) ? b : a));
        leadTo(addressOfRows(members.filter((row) => row.layer === nearest)));
      });
    }
  }
}
