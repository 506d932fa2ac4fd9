// What the map and the chart share: theme, ticks, a frame with labels, and a canvas as sharp as the screen.

const CIVIDIS = [[0, 34, 78], [53, 69, 108], [102, 105, 112], [148, 142, 119], [197, 183, 103], [254, 232, 56]];

// On a dark page the colours are mixed with white; each drawing begins with `ink`, which looks at the page.
let dark = false;
function colourOf(number) {
  const colour = COLOURS[((number % COLOURS.length) + COLOURS.length) % COLOURS.length];
  if (!dark) return colour;
  return "rgb(" + [1, 3, 5].map((k) => Math.round(0.7 * parseInt(colour.slice(k, k + 2), 16) + 76)).join(",") + ")";
}

// The markers of the figures, in their order: with its colour one repeats only after ninety.
const TURNS = { "^": -90, D: -90, v: 90, "<": 180, ">": 0 };
function marker(context, number, x, y, r) {
  const shape = MARKERS[((number % MARKERS.length) + MARKERS.length) % MARKERS.length];
  context.beginPath();
  if (shape === "o") context.arc(x, y, r, 0, 7);
  else if (shape === "s") context.rect(x - r, y - r, 2 * r, 2 * r);
  else if (shape in TURNS) {
    const count = shape === "D" ? 4 : 3;
    for (let k = 0; k < count; k++) {
      const angle = ((TURNS[shape] + (360 * k) / count) * Math.PI) / 180;
      context.lineTo(x + 1.3 * r * Math.cos(angle), y + 1.3 * r * Math.sin(angle));
    }
    context.closePath();
  } else {
    // Twelve corners of a thick plus; the cross is the same, turned by an eighth.
    const a = 0.45 * r, b = 1.25 * r, turn = shape === "X" ? Math.PI / 4 : 0;
    for (const [u, v] of [[a, a], [a, b], [-a, b], [-a, a], [-b, a], [-b, -a], [-a, -a], [-a, -b], [a, -b], [a, -a], [b, -a], [b, a]])
      context.lineTo(x + u * Math.cos(turn) - v * Math.sin(turn), y + u * Math.sin(turn) + v * Math.cos(turn));
    context.closePath();
  }
  context.fill();
}

function shade(share) {
  const at = Math.min(Math.max(share, 0), 1) * (CIVIDIS.length - 1), k = Math.min(Math.floor(at), CIVIDIS.length - 2);
  return "rgb(" + CIVIDIS[k].map((c, i) => Math.round(c + (at - k) * (CIVIDIS[k + 1][i] - c))).join(",") + ")";
}

// The page's own ink: right in a light and in a dark theme, without being told which.
function ink(el) {
  const colour = getComputedStyle(el).color || "rgb(40,40,40)";
  dark = (colour.match(/[\d.]+/g) || []).slice(0, 3).reduce((sum, v) => sum + Number(v), 0) > 382;
  return { text: colour, line: colour.replace(/^rgb\(([^)]+)\)$/, "rgba($1,0.35)"), faint: colour.replace(/^rgb\(([^)]+)\)$/, "rgba($1,0.12)") };
}

function ticks(low, high, wanted) {
  // The finest step that leaves room for the words.
  const raw = (high - low) / Math.max(wanted, 3), power = Math.pow(10, Math.floor(Math.log10(raw)));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= raw * 0.999) || 10 * power;
  const out = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; k++) out.push(k * step);
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  const large = Math.max(Math.abs(low), Math.abs(high));
  const text = (v) => (large >= 1e5 || large < 1e-3 ? v.toExponential(1) : v.toFixed(digits));
  return out.map((v) => [v, text(Math.abs(v) < 1e-12 * large ? 0 : v)]);
}

function range(values, margin) {
  let low = Infinity, high = -Infinity;
  for (const v of values) if (Number.isFinite(v)) { if (v < low) low = v; if (v > high) high = v; }
  if (low > high) return [0, 1];
  const pad = (high - low || Math.abs(low) || 1) * margin;
  return [low - pad, high + pad];
}

function floats(view) {
  if (!view || !view.byteLength) return new Float32Array(0);
  const buffer = view.buffer ? view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength) : view;
  return new Float32Array(buffer);
}

// Boxes and sliders whose visible label is elsewhere, or none: readers of screens are told what the tooltip says.
function nameControls(el) {
  let panel = el.closest(".pima-panel");
  while (panel?.parentElement.closest(".pima-panel")) panel = panel.parentElement.closest(".pima-panel");
  if (!panel || panel.dataset.named) return;
  panel.dataset.named = "yes";
  const name = () => {
    for (const one of panel.querySelectorAll("input:not([type=checkbox]), select, textarea, .noUi-handle")) {
      const label = one.closest(".jupyter-widgets")?.querySelector("label");
      if (one.hasAttribute("aria-label") || (one.id && label?.textContent)) continue;
      const words = label?.textContent || label?.title || one.title;
      if (words) one.setAttribute("aria-label", words);
    }
  };
  new MutationObserver(name).observe(panel, { childList: true, subtree: true });
  name();
}

// A canvas that follows the width of its place. `draw(context, width, height, whole)` is called whenever it must be drawn
// again; `whole` is false after `redraw(false)`, when only what lies on top has changed.
function board(el, height, draw) {
  const canvas = document.createElement("canvas");
  canvas.style.cssText = "display:block;width:100%;height:" + height + "px;touch-action:none";
  el.appendChild(canvas);
  let waiting = 0, stale = true;
  const paint = () => {
    waiting = 0;
    const width = canvas.clientWidth, scale = window.devicePixelRatio || 1;
    if (!width) return;
    nameControls(canvas);
    if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
      stale = true;
      canvas.width = Math.round(width * scale);
      canvas.height = Math.round(height * scale);
    }
    const context = canvas.getContext("2d");
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.clearRect(0, 0, width, height);
    const whole = stale;
    stale = false;
    draw(context, width, height, whole);
  };
  const redraw = (whole = true) => {
    stale = stale || Boolean(whole);
    if (!waiting) waiting = requestAnimationFrame(paint);
  };
  const watchers = [new ResizeObserver(redraw)];
  watchers[0].observe(canvas);
  const theme = new MutationObserver(redraw);
  theme.observe(document.body, { attributes: true });
  theme.observe(document.documentElement, { attributes: true });
  watchers.push(theme);
  const scheme = window.matchMedia("(prefers-color-scheme: dark)");
  scheme.addEventListener("change", redraw);
  const stop = () => { watchers.forEach((w) => w.disconnect()); scheme.removeEventListener("change", redraw); cancelAnimationFrame(waiting); };
  return { canvas, redraw, stop };
}

// Frame, ticks and labels; returns the maps between data and pixels.
function frame(context, place, xr, yr, xlabel, ylabel, paint) {
  const { left, top, right, bottom } = place;
  const sx = (v) => left + ((v - xr[0]) / (xr[1] - xr[0])) * (right - left);
  const sy = (v) => bottom - ((v - yr[0]) / (yr[1] - yr[0])) * (bottom - top);
  context.font = "12px system-ui, sans-serif";
  context.lineWidth = 1;
  context.strokeStyle = paint.line;
  context.fillStyle = paint.text;
  context.strokeRect(left + 0.5, top + 0.5, right - left, bottom - top);
  context.textAlign = "center";
  context.textBaseline = "top";
  for (const [v, text] of ticks(xr[0], xr[1], (right - left) / 80)) {
    context.fillRect(sx(v), bottom, 1, 4);
    context.fillText(text, sx(v), bottom + 6);
  }
  context.textAlign = "right";
  context.textBaseline = "middle";
  for (const [v, text] of ticks(yr[0], yr[1], (bottom - top) / 32)) {
    context.fillRect(left - 4, sy(v), 4, 1);
    context.fillText(text, left - 7, sy(v));
  }
  context.textAlign = "center";
  context.textBaseline = "alphabetic";
  context.fillText(xlabel, (left + right) / 2, bottom + 36);
  context.save();
  context.translate(13, (top + bottom) / 2);
  context.rotate(-Math.PI / 2);
  context.fillText(ylabel, 0, 0);
  context.restore();
  const back = (px, py) => [xr[0] + ((px - left) / (right - left)) * (xr[1] - xr[0]), yr[0] + ((bottom - py) / (bottom - top)) * (yr[1] - yr[0])];
  return { sx, sy, back };
}
