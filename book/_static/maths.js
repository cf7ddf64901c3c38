// Loads MathJax and typesets piece by piece, so that the page answers while a long chapter is being set.
(() => {
  const folder = document.currentScript.src.replace(/[^/]*$/, "");
  const root = document.documentElement;
  const settings = window.MathJax || {};

  const typesetAll = async () => {
    const pieces = [...document.querySelectorAll(".math")].filter((piece) => !piece.parentElement.closest(".math"));
    let start = performance.now();
    for (const piece of pieces) {
      await MathJax.typesetPromise([piece]);
      piece.classList.add("set");
      if (performance.now() - start > 25) {
        await new Promise((resolve) => setTimeout(resolve));
        start = performance.now();
      }
    }
    root.dataset.maths = "done";
    document.dispatchEvent(new Event("maths-done"));
  };

  // The widgets still call the interface of MathJax 2.
  const hub = { Queue: ([, , element]) => MathJax.startup.promise?.then(() => MathJax.typesetPromise([element])) };

  window.MathJax = {
    ...settings,
    // No menu: it would make every formula a stop of the Tab key.
    options: { ...settings.options, enableMenu: false },
    startup: {
      typeset: false,
      pageReady: typesetAll,
      ready: () => {
        MathJax.startup.defaultReady();
        MathJax.Hub = hub;
      },
    },
    Hub: hub,
  };
  root.classList.add("js-maths");
  const script = document.createElement("script");
  script.src = folder + "vendor/mathjax/tex-svg.js";
  script.onerror = () => root.classList.remove("js-maths"); // then the TeX itself is better than nothing
  document.head.append(script);
})();
