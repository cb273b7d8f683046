/* How Sphinx's search orders what it finds; it puts this file into searchtools.js.
 *
 * Procedures come first. Each is found under its title and its synonyms, and a procedure that has
 * the query itself among them comes before one that only has its letters somewhere.
 */
var Scorer = {
  score: ([, shown, , , score, , kind]) => {
    if (kind !== "object") return score;
    const query = new URLSearchParams(location.search).get("q").trim().toLowerCase();
    const names = shown.toLowerCase().split(/[:,] /);
    if (names.includes(query)) return score + 20;
    const words = name => ` ${name} `;
    return names.some(name => words(name).includes(words(query))) ? score + 10 : score;
  },
  objNameMatch: 30,
  objPartialMatch: 20,
  objPrio: { 0: 0 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
};
