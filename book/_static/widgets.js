// Loads the widgets' 3.6 MB only when one comes near the screen or a key is pressed; gives every slider its name.
(() => {
  const folder = document.currentScript.src.replace(/[^/]*$/, "") + "vendor/widgets/";
  const views = document.querySelectorAll('script[type="application/vnd.jupyter.widget-view+json"]');

  const states = [...document.querySelectorAll('script[type="application/vnd.jupyter.widget-state+json"]')]
    .map((script) => script.textContent).join();

  const add = (name, attributes = {}) => new Promise((resolve, reject) => {
    const script = Object.assign(document.createElement("script"), { src: folder + name, onload: resolve, onerror: reject });
    Object.entries(attributes).forEach(([key, value]) => script.setAttribute(key, value));
    document.head.append(script);
  });

  let started = false;
  const load = async () => {
    if (started) return;
    started = true;
    await add("require.js");
    await add("embed-amd.js", { "data-jupyter-widgets-cdn-only": "" }); // renders all of the page once it is there
  };

  // noUiSlider gives its handle no name and tells a position instead of the label that is seen.
  const name = (slider) => {
    const handle = slider.querySelector(".noUi-handle");
    const label = slider.querySelector(".widget-label");
    const readout = slider.querySelector(".widget-readout");
    if (!handle || !label) return;
    label.removeAttribute("title"); // "null" otherwise
    handle.setAttribute("aria-label", label.textContent.trim());
    if (readout) handle.setAttribute("aria-valuetext", readout.textContent.trim());
  };

  for (const view of views) {
    const box = view.parentElement;
    box.classList.add("lrs-widget");
    const size = states.match(/width=\\"(\d+)\\" height=\\"(\d+)\\"/);
    if (size) box.style.minHeight = `${44 + Math.min(1, box.clientWidth / size[1]) * size[2]}px`; // nothing moves when it comes
    new MutationObserver(() => box.querySelectorAll(".widget-slider").forEach(name))
      .observe(box, { childList: true, characterData: true, subtree: true });
    new IntersectionObserver((entries, observer) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      observer.disconnect();
      load();
    }, { rootMargin: "600px" }).observe(box);
  }
  for (const kind of ["keydown", "pointerdown", "touchstart", "beforeprint"]) addEventListener(kind, load, { once: true, passive: true });
})();
