// Curves and bands, as traits say; hover reads the value.

export default {
  render({ model, el }) {
    el.classList.add("pima-chart");
    let maps = null, xs, ys;
    const tip = document.createElement("div");
    tip.className = "pima-tip";
    const draw = (context, width, height) => {
      const paint = ink(el), [n, T] = model.get("shape"), styles = model.get("styles"), bands = model.get("bands");
      const place = { left: 74, top: 12, right: width - 12, bottom: height - 46 };
      const xr = model.get("x_range").length ? model.get("x_range") : range([...xs, ...bands.flatMap((b) => b.x)], 0.02);
      const yr = model.get("y_range").length ? model.get("y_range") : range([...ys, ...bands.flatMap((b) => [...b.low, ...b.high])], 0.05);
      maps = frame(context, place, xr, yr, model.get("x_label"), model.get("y_label"), paint);
      context.save();
      context.beginPath();
      context.rect(place.left, place.top, place.right - place.left, place.bottom - place.top);
      context.clip();
      for (const b of bands) {
        context.fillStyle = colourOf(b.colour);
        context.globalAlpha = 0.2;
        context.beginPath();
        b.x.forEach((v, k) => context.lineTo(maps.sx(v), maps.sy(b.low[k])));
        for (let k = b.x.length - 1; k >= 0; k--) context.lineTo(maps.sx(b.x[k]), maps.sy(b.high[k]));
        context.fill();
      }
      for (let i = 0; i < n; i++) {
        const style = styles[Math.min(i, styles.length - 1)] || {};
        context.globalAlpha = style.alpha === undefined ? 1 : style.alpha;
        context.strokeStyle = style.colour === undefined || style.colour < 0 ? paint.text : colourOf(style.colour);
        context.lineWidth = style.width || 1;
        context.setLineDash(style.dash || []);
        context.beginPath();
        let pen = false;
        for (let k = 0; k < T; k++) {
          const a = xs[i * T + k], b = ys[i * T + k];
          if (!Number.isFinite(a) || !Number.isFinite(b)) { pen = false; continue; }
          pen ? context.lineTo(maps.sx(a), maps.sy(b)) : context.moveTo(maps.sx(a), maps.sy(b));
          pen = true;
        }
        context.stroke();
        if (style.marker === undefined) continue;
        context.fillStyle = context.strokeStyle;
        for (let k = Math.floor(T / 10); k < T; k += Math.ceil(T / 6))
          if (Number.isFinite(ys[i * T + k])) marker(context, style.marker, maps.sx(xs[i * T + k]), maps.sy(ys[i * T + k]), 4);
      }
      context.setLineDash([]);
      context.restore();
      context.globalAlpha = 1;
      legend(context, place, paint, styles, n);
    };
    const legend = (context, place, paint, styles, n) => {
      const entries = [];
      styles.slice(0, n).forEach((s) => { if (s.name && !entries.some((e) => e.name === s.name)) entries.push(s); });
      context.font = "12px system-ui, sans-serif";
      context.textAlign = "left";
      context.textBaseline = "middle";
      entries.slice(0, 8).forEach((s, k) => {
        const py = place.top + 14 + 17 * k;
        context.strokeStyle = s.colour === undefined || s.colour < 0 ? paint.text : colourOf(s.colour);
        context.globalAlpha = Math.max(s.alpha || 1, 0.5);
        context.lineWidth = s.width || 1;
        context.setLineDash(s.dash || []);
        context.beginPath();
        context.moveTo(place.left + 10, py);
        context.lineTo(place.left + 32, py);
        context.stroke();
        context.setLineDash([]);
        context.fillStyle = context.strokeStyle;
        if (s.marker !== undefined) marker(context, s.marker, place.left + 21, py, 4);
        context.globalAlpha = 1;
        context.fillStyle = paint.text;
        context.fillText(s.name, place.left + 38, py);
      });
    };
    const read = () => { xs = floats(model.get("x")); ys = floats(model.get("y")); };
    read();
    const place = board(el, model.get("height"), draw);
    el.appendChild(tip);
    place.canvas.setAttribute("role", "img");
    const tell = () => place.canvas.setAttribute("aria-label", model.get("summary") || model.get("y_label") + " against " + model.get("x_label"));
    tell();
    place.canvas.onpointermove = (event) => {
      if (!maps) return;
      const box = place.canvas.getBoundingClientRect(), [a, b] = maps.back(event.clientX - box.left, event.clientY - box.top);
      tip.style.display = "block";
      tip.textContent = a.toPrecision(4) + ", " + b.toPrecision(4);
      tip.style.left = Math.min(event.clientX - box.left + 12, place.canvas.clientWidth - 120) + "px";
      tip.style.top = event.clientY - box.top + 12 + "px";
    };
    place.canvas.onpointerleave = () => (tip.style.display = "none");
    const changed = () => { read(); tell(); place.redraw(); };
    const names = ["x", "y", "shape", "styles", "bands", "x_label", "y_label", "x_range", "y_range", "summary"];
    names.forEach((name) => model.on("change:" + name, changed));
    return () => { names.forEach((name) => model.off("change:" + name, changed)); place.stop(); };
  },
};
