// Drawn by hand in SVG: a line over the last two minutes, and bars of shares. Nothing here needs a library.
import { html } from "./view.js";

const WIDTH = 240;
const HEIGHT = 48;

/** Lines over time. `lines` is [{name, values, tone}]; all share one scale that starts at 0. */
export function Sparkline({ lines, format, label }) {
  const longest = Math.max(2, ...lines.map((line) => line.values.length));
  const top = Math.max(1e-9, ...lines.flatMap((line) => line.values));
  const x = (index, length) => ((index + longest - length) / (longest - 1)) * WIDTH;
  const y = (value) => HEIGHT - 2 - (value / top) * (HEIGHT - 6);
  const last = lines.map((line) => `${line.name} ${format(line.values.at(-1) ?? 0)}`).join(", ");
  return html`<svg class="spark" viewBox="0 0 ${WIDTH} ${HEIGHT}" preserveAspectRatio="none" role="img" aria-label="${label}: ${last}">
    <title>${label}, the last ${longest} s, at most ${format(top)}</title>
    ${lines.map((line) => {
      const points = line.values.map((value, index) => `${x(index, line.values.length).toFixed(1)},${y(value).toFixed(1)}`);
      return html`<polyline class="tone-${line.tone}" points=${points.join(" ")} />`;
    })}
  </svg>`;
}

/** One bar whose parts are shares of a total. `parts` is [{name, value, tone}]. */
export function Shares({ parts, total, format }) {
  const whole = total || parts.reduce((sum, part) => sum + part.value, 0);
  if (!whole) return html`<div class="shares none"></div>`;
  const words = parts.map((part) => `${part.name} ${format(part.value)}`).join(", ");
  return html`<div class="shares" role="img" aria-label=${words} title=${words}>
    ${parts.map((part) => html`<span class="tone-${part.tone}" style=${{ width: `${(100 * part.value) / whole}%` }}></span>`)}
  </div>`;
}
