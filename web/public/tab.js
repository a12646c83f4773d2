// Says which tab the address opens, before anything is painted: style sheets hide what is marked as
// the other one's (data-for).
(() => {
  const mark = () => {
    document.documentElement.dataset.tab = location.hash.slice(1);
  };
  addEventListener("hashchange", mark);
  mark();
})();
