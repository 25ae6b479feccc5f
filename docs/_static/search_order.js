// What the search shows first: pages for users before decisions, measurements and the changelog. The numbers are Sphinx's own.
// `var`, as the search itself declares it, too, where it is not there.
var Scorer = {
  score: ([docname, , , , score]) => {
    if (/^(docs\/decisions|benchmarks|CHANGELOG)/.test(docname)) return score - 30;
    if (/^docs\/(tutorials|how-to|reference)\//.test(docname)) return score + 5;
    return score;
  },
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 15, 1: 5, 2: -5 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
};
