// Specimens in latent space: lasso, click, keyboard; all it shows is trait state, so a page loaded anew shows the same.

function inside(path, x, y) {
  let within = false;
  for (let i = 0, j = path.length - 1; i < path.length; j = i++) {
    const [xi, yi] = path[i], [xj, yj] = path[j];
    if (yi > y !== yj > y && x < ((xj - xi) * (y - yi)) / (yj - yi) + xi) within = !within;
  }
  return within;
}

export default {
  render({ model, el }) {
    el.classList.add("pima-map");
    let maps = null, path = null, start = null, cursor = -1, hover = -1, chosen = new Set();
    let x, y, values, dragged = null;
    const numberOf = (place) => model.get("numbers")[place] ?? place;
    const tip = document.createElement("div");
    tip.className = "pima-tip";
    const legendWidth = 118;

    // Specimens, populations and axes are kept as a picture: a lasso or a pointer moves on top of it.
    const still = document.createElement("canvas");
    const draw = (context, width, height, whole) => {
      const paint = ink(el);
      if (whole) {
        still.width = context.canvas.width;
        still.height = context.canvas.height;
        const below = still.getContext("2d");
        below.scale(still.width / width, still.height / height);
        drawStill(below, width, height, paint);
      }
      context.drawImage(still, 0, 0, width, height);
      drawTop(context, paint);
    };

    const drawStill = (context, width, height, paint) => {
      const n = x.length;
      const ellipses = model.get("ellipses"), numbers = model.get("numeric");
      const place = { left: 58, top: 10, right: width - legendWidth, bottom: height - 46 };
      const shown = model.get("shown");
      const xr = shown.length ? shown.slice(0, 2) : range([...x, ...ellipses.map((e) => e.x)], 0.06);
      const yr = shown.length ? shown.slice(2) : range([...y, ...ellipses.map((e) => e.y)], 0.06);
      maps = { ...frame(context, place, xr, yr, model.get("x_label"), model.get("y_label"), paint), place, xr, yr };
      within(context);
      const vr = range(values, 0), r = n > 3000 ? 1.8 : n > 400 ? 2.6 : 3.6;
      const some = chosen.size > 0;
      for (let pass = 0; pass < 2; pass++) {
        for (let i = 0; i < n; i++) {
          if (!Number.isFinite(x[i]) || !Number.isFinite(y[i])) continue;
          const picked = chosen.has(i);
          if (picked !== (pass === 1)) continue;
          context.globalAlpha = some && !picked ? 0.18 : 0.75;
          context.fillStyle = !Number.isFinite(values[i]) ? paint.line : numbers ? shade((values[i] - vr[0]) / (vr[1] - vr[0] || 1)) : colourOf(numberOf(values[i]));
          marker(context, numbers ? 0 : numberOf(values[i] || 0), maps.sx(x[i]), maps.sy(y[i]), picked ? r + 1 : r);
        }
      }
      context.globalAlpha = 1;
      context.lineWidth = 1.6;
      context.font = "bold 13px system-ui, sans-serif";
      context.textAlign = "center";
      context.textBaseline = "middle";
      for (const e of ellipses) {
        context.strokeStyle = colourOf(e.cluster);
        context.beginPath();
        const rx = Math.abs(maps.sx(e.x + 2 * e.x_std) - maps.sx(e.x)), ry = Math.abs(maps.sy(e.y + 2 * e.y_std) - maps.sy(e.y));
        context.ellipse(maps.sx(e.x), maps.sy(e.y), rx, ry, 0, 0, 7);
        context.stroke();
        context.lineWidth = 3;
        context.strokeStyle = getComputedStyle(el).getPropertyValue("--pima-paper") || "white";
        context.strokeText(e.label, maps.sx(e.x), maps.sy(e.y));
        context.lineWidth = 1.6;
        context.fillStyle = paint.text;
        context.fillText(e.label, maps.sx(e.x), maps.sy(e.y));
      }
      context.restore();
      legend(context, place.right + 12, paint, numbers, vr);
    };

    // What is drawn until `restore` stays within the frame.
    const within = (context) => {
      const { left, top, right, bottom } = maps.place;
      context.save();
      context.beginPath();
      context.rect(left, top, right - left, bottom - top);
      context.clip();
    };

    const drawTop = (context, paint) => {
      within(context);
      drawMarks(context, paint);
      context.restore();
    };

    const drawMarks = (context, paint) => {
      const spot = model.get("spot");
      if (spot.length === 2) cross(context, maps.sx(spot[0]), maps.sy(spot[1]), paint.text);
      for (const k of [cursor, hover]) {
        if (k < 0 || k >= x.length) continue;
        context.strokeStyle = paint.text;
        context.lineWidth = 1.5;
        context.beginPath();
        context.arc(maps.sx(x[k]), maps.sy(y[k]), 7, 0, 7);
        context.stroke();
      }
      if (path && path.length > 1) {
        context.strokeStyle = paint.text;
        context.fillStyle = paint.faint;
        context.setLineDash([4, 3]);
        context.beginPath();
        path.forEach(([px, py], k) => (k ? context.lineTo(px, py) : context.moveTo(px, py)));
        context.closePath();
        context.fill();
        context.stroke();
        context.setLineDash([]);
      }
    };

    const cross = (context, px, py, colour) => {
      context.strokeStyle = colour;
      context.lineWidth = 2;
      context.beginPath();
      context.moveTo(px - 8, py);
      context.lineTo(px + 8, py);
      context.moveTo(px, py - 8);
      context.lineTo(px, py + 8);
      context.stroke();
    };

    const legend = (context, left, paint, numbers, vr) => {
      context.textAlign = "left";
      context.textBaseline = "middle";
      context.font = "12px system-ui, sans-serif";
      context.fillStyle = paint.text;
      const words = model.get("colour_label");
      context.fillText(words.length > 16 ? words.slice(0, 15) + "…" : words, left, 18);
      if (numbers) {
        for (let k = 0; k < 100; k++) {
          context.fillStyle = shade(1 - k / 99);
          context.fillRect(left, 34 + k, 14, 1.5);
        }
        context.fillStyle = paint.text;
        context.fillText(vr[1].toPrecision(3), left + 20, 38);
        context.fillText(vr[0].toPrecision(3), left + 20, 130);
        return;
      }
      const groups = model.get("groups");
      groups.slice(0, 16).forEach((name, k) => {
        context.fillStyle = colourOf(numberOf(k));
        marker(context, numberOf(k), left + 6, 40 + 19 * k, 4.5);
        context.fillStyle = paint.text;
        context.fillText(name.length > 13 ? name.slice(0, 12) + "…" : name, left + 17, 40 + 19 * k);
      });
      if (groups.length > 16) context.fillText("and " + (groups.length - 16) + " more", left, 40 + 19 * 16);
    };

    const read = () => {
      x = floats(model.get("x"));
      y = floats(model.get("y"));
      values = floats(model.get("values"));
      chosen = new Set(model.get("selection"));
    };
    read();
    const canvasBoard = board(el, model.get("height"), draw);
    const { canvas, redraw } = canvasBoard;
    el.appendChild(tip);
    canvas.tabIndex = 0;
    canvas.setAttribute("role", "application");
    const tell = () => canvas.setAttribute("aria-label", "Map of " + x.length + " specimens, " + chosen.size + " selected. Arrow keys move between specimens, Enter selects, Shift and Enter adds, Escape clears, plus and minus zoom, 0 shows all.");
    tell();

    const choose = (indices, add) => {
      chosen = add ? new Set([...chosen, ...indices]) : new Set(indices);
      model.set("selection", [...chosen].sort((a, b) => a - b));
      model.save_changes();
      tell();
      redraw();
    };
    const nearest = (px, py, reach) => {
      let best = -1, closest = reach * reach;
      for (let i = 0; i < x.length; i++) {
        const d = (maps.sx(x[i]) - px) ** 2 + (maps.sy(y[i]) - py) ** 2;
        if (d < closest) { closest = d; best = i; }
      }
      return best;
    };
    const where = (event) => {
      const box = canvas.getBoundingClientRect();
      return [event.clientX - box.left, event.clientY - box.top];
    };
    const show = (k, px, py) => {
      tip.style.display = k < 0 ? "none" : "block";
      if (k < 0) return;
      tip.textContent = model.get("names")[k] || String(k);
      tip.style.left = Math.min(px + 12, canvas.clientWidth - 140) + "px";
      tip.style.top = py + 12 + "px";
    };

    // Zoom and pan: what is shown is state, so that a page loaded anew shows the same part.
    const look = (shown) => {
      model.set("shown", shown);
      model.save_changes();
      redraw();
    };
    const zoom = (factor, px, py) => {
      if (!maps) return;
      const { left, right, top, bottom } = maps.place;
      const [a, b] = px === undefined ? maps.back((left + right) / 2, (top + bottom) / 2) : maps.back(px, py);
      look([...maps.xr.map((v) => a + (v - a) * factor), ...maps.yr.map((v) => b + (v - b) * factor)]);
    };
    const pan = (dx, dy) => {
      const { left, right, top, bottom } = maps.place;
      const across = ((maps.xr[1] - maps.xr[0]) * dx) / (right - left), up = ((maps.yr[1] - maps.yr[0]) * dy) / (bottom - top);
      look([...maps.xr.map((v) => v - across), ...maps.yr.map((v) => v + up)]);
    };
    canvas.oncontextmenu = (event) => { event.preventDefault(); event.stopPropagation(); };
    canvas.addEventListener("wheel", (event) => {
      // Over a map that is not in use, the wheel scrolls the page.
      if (document.activeElement !== canvas && !event.ctrlKey) return;
      event.preventDefault();
      zoom(Math.exp(Math.max(-1, Math.min(1, event.deltaY / 400))), ...where(event));
    }, { passive: false });
    const tools = document.createElement("div");
    tools.className = "pima-map-tools";
    for (const [sign, words, does] of [["+", "Zoom in", () => zoom(1 / 1.5)], ["−", "Zoom out", () => zoom(1.5)], ["⌂", "Show all specimens", () => look([])]]) {
      const button = document.createElement("button");
      button.textContent = sign;
      button.title = words;
      button.setAttribute("aria-label", words);
      button.onclick = does;
      tools.appendChild(button);
    }
    el.appendChild(tools);

    canvas.onpointerdown = (event) => {
      if (!maps) return;
      if (event.button !== 0 || event.altKey) {
        // The right or middle button, or Alt, moves the plane.
        canvas.setPointerCapture(event.pointerId);
        dragged = where(event);
        return;
      }
      canvas.setPointerCapture(event.pointerId);
      canvas.focus({ preventScroll: true });
      start = where(event);
      path = [start];
    };
    canvas.onpointermove = (event) => {
      if (!maps) return;
      const [px, py] = where(event);
      if (dragged) {
        pan(px - dragged[0], py - dragged[1]);
        dragged = [px, py];
        return;
      }
      if (path) path.push([px, py]);
      else {
        const under = nearest(px, py, 9);
        if (under !== hover) { hover = under; show(under, px, py); }
        else return;
      }
      redraw(false);
    };
    canvas.onpointerleave = () => { hover = -1; show(-1); redraw(false); };
    canvas.onpointerup = (event) => {
      dragged = null;
      if (!path) return;
      const drawn = path, add = event.shiftKey || event.ctrlKey || event.metaKey;
      path = null;
      const [px, py] = where(event);
      const moved = Math.max(...drawn.map(([a, b]) => Math.hypot(a - start[0], b - start[1])));
      if (moved < 5) {
        const clicked = nearest(px, py, 9);
        if (clicked >= 0) choose([clicked], add);
        else {
          model.set("spot", maps.back(px, py));
          model.save_changes();
        }
      } else {
        const enclosed = [];
        for (let i = 0; i < x.length; i++) if (inside(drawn, maps.sx(x[i]), maps.sy(y[i]))) enclosed.push(i);
        choose(enclosed, add);
      }
      redraw(false);
    };
    canvas.onkeydown = (event) => {
      const size = { "+": 1 / 1.5, "-": 1.5 }[event.key];
      if (size) return zoom(size);
      if (event.key === "0") return look([]);
      const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
      if (way) {
        const px = cursor < 0 ? canvas.clientWidth / 2 : maps.sx(x[cursor]), py = cursor < 0 ? canvas.clientHeight / 2 : maps.sy(y[cursor]);
        let best = -1, least = Infinity;
        for (let i = 0; i < x.length; i++) {
          if (i === cursor) continue;
          const dx = maps.sx(x[i]) - px, dy = maps.sy(y[i]) - py, ahead = dx * way[0] + dy * way[1];
          const aside = Math.abs(dx * way[1]) + Math.abs(dy * way[0]);
          if (cursor < 0 ? Math.hypot(dx, dy) < least : ahead > 0 && ahead + 2 * aside < least) {
            least = cursor < 0 ? Math.hypot(dx, dy) : ahead + 2 * aside;
            best = i;
          }
        }
        if (best >= 0) { cursor = best; show(best, maps.sx(x[best]), maps.sy(y[best])); }
      } else if (event.key === "Enter" && cursor >= 0) choose([cursor], event.shiftKey);
      else if (event.key === "Escape") { cursor = -1; show(-1); choose([], false); }
      else return;
      event.preventDefault();
      redraw(false);
    };
    const names = ["x", "y", "values", "selection", "ellipses", "groups", "numbers", "numeric", "shown", "spot", "colour_label", "x_label", "y_label"];
    const changed = () => { read(); tell(); redraw(); };
    names.forEach((name) => model.on("change:" + name, changed));
    return () => { names.forEach((name) => model.off("change:" + name, changed)); canvasBoard.stop(); };
  },
};
