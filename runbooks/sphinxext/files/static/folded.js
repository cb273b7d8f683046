/* Folds what a reader may not want, and opens it for a link to something inside, and for paper. */
(() => {
  "use strict";

  const all = [...document.querySelectorAll("article details")];

  /* The fragment may have what was typed behind its anchor: see typed.js. */
  function target() {
    const [anchor] = location.hash.slice(1).split("?");
    try {
      return document.getElementById(decodeURIComponent(anchor));
    } catch {
      return null; /* a percent sign that encodes nothing */
    }
  }

  function reveal() {
    const found = target();
    const closed = all.filter(one => !one.open && one.contains(found));
    for (const one of closed) one.open = true;
    if (closed.length) found.scrollIntoView({ behavior: "instant" });
  }

  for (const one of all) one.open = false;
  reveal();
  addEventListener("hashchange", reveal);
  /* A link to where the reader is already changes no fragment. */
  document.addEventListener("click", event => {
    if (event.target.closest?.('a[href*="#"]')) setTimeout(reveal);
  });

  let printed = [];
  addEventListener("beforeprint", () => {
    printed = all.filter(one => !one.open);
    for (const one of printed) one.open = true;
  });
  addEventListener("afterprint", () => {
    for (const one of printed) one.open = false;
  });
})();
