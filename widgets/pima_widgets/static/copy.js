export default {
  render({ model, el }) {
    const button = document.createElement("button");
    button.className = "jupyter-button widget-button pima-copy";
    button.style.width = "max-content";
    const paint = () => (button.textContent = model.get("label"));
    button.onclick = async () => {
      try {
        await navigator.clipboard.writeText(model.get("text"));
        button.textContent = "Copied";
      } catch {
        // A page without the right to the clipboard: select the text instead, to be copied by hand.
        const box = document.createElement("textarea");
        box.value = model.get("text");
        el.appendChild(box);
        box.select();
        button.textContent = "Copy with Ctrl+C";
      }
      setTimeout(paint, 2000);
    };
    model.on("change:label", paint);
    paint();
    el.appendChild(button);
  },
};
