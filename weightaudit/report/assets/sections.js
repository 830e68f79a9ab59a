// @ts-check
// The navigation stays in sight and marks the section that is read.
function startSections() {
  const links = new Map(
    [...document.querySelectorAll("nav a")].map((link) => [link.getAttribute("href")?.slice(1) ?? "", link]),
  );
  /** @param {string} id */
  function mark(id) {
    for (const [one, link] of links) {
      if (one !== id) {
        link.removeAttribute("aria-current");
      } else if (!link.hasAttribute("aria-current")) {
        link.setAttribute("aria-current", "true");
        // Not scrollIntoView, which would stop the page where it is scrolling to.
        const bar = link.parentElement;
        if (bar && link instanceof HTMLElement) bar.scrollLeft = link.offsetLeft - bar.clientWidth / 2;
      }
    }
  }
  const seen = new IntersectionObserver(
    (changes) => {
      for (const { isIntersecting, target } of changes) if (isIntersecting) mark(target.id);
    },
    { rootMargin: "-15% 0px -80% 0px" },
  );
  for (const id of links.keys()) {
    const section = document.getElementById(id);
    if (section) seen.observe(section);
  }
}
