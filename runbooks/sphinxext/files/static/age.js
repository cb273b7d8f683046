/* Says how long ago each date on the page is. Whoever reads it has a clock; the page has none. */
(() => {
  "use strict";

  /* What was last run so many days ago may not be true any more. */
  const OLD = 90;
  const DAY = 24 * 60 * 60 * 1000;
  const said = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
  const day = time => Math.floor(time / DAY);

  function tell() {
    for (const time of document.querySelectorAll("time[datetime]")) {
      const age = day(Date.now()) - day(Date.parse(time.dateTime));
      time.querySelector(".age")?.remove();
      time.classList.toggle("old", age >= OLD);
      if (!(age >= 0)) continue; /* a clock is wrong */
      const words = document.createElement("span");
      words.className = "age";
      words.textContent = `, ${said.format(-age, "day")}`;
      time.append(words);
    }
  }

  /* Also when somebody comes back to a page that was left open. */
  addEventListener("pageshow", tell);
  addEventListener("visibilitychange", tell);
  tell();
})();
