// Names and roles that the theme leaves out, for those who read by ear or by keyboard.
(() => {
  const each = (selector, change) => document.querySelectorAll(selector).forEach(change);

  each(".search-button-field", (button) => button.removeAttribute("aria-label")); // its text says it already
  each("#pst-primary-sidebar", (sidebar) => {
    sidebar.setAttribute("role", "complementary");
    sidebar.setAttribute("aria-label", "Search and contents of the book");
  });
  each("#pst-secondary-sidebar", (sidebar) => {
    sidebar.setAttribute("role", "complementary");
    sidebar.setAttribute("aria-label", "Contents of this page");
  });
  each(".primary-toggle", (button) => button.setAttribute("aria-label", "Contents of the book"));
  each(".secondary-toggle", (button) => button.setAttribute("aria-label", "Contents of this page"));

  // What scrolls inside its own box can be reached and scrolled by keys.
  const boxes = { "div.math mjx-container": "Equation", pre: "Code", ".pst-scrollable-table-container": "Table", ".output.text_html": "Table" };
  const reach = () => {
    for (const [selector, name] of Object.entries(boxes)) {
      each(`.bd-article ${selector}`, (box) => {
        const scrolls = box.scrollWidth > box.clientWidth;
        if (scrolls === (box.getAttribute("role") === "group")) return;
        for (const [key, value] of [["tabindex", "0"], ["role", "group"], ["aria-label", `${name}, scrolls sideways`]]) {
          scrolls ? box.setAttribute(key, value) : box.removeAttribute(key);
        }
      });
    }
  };
  const soon = () => requestAnimationFrame(reach);
  addEventListener("load", soon);
  addEventListener("resize", soon);
  document.addEventListener("maths-done", soon);
  document.addEventListener("toggle", soon, true); // a folded cell is opened
  document.addEventListener("click", soon); // a folded solution too
})();
