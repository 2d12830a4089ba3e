// What lies outside: the breaker and limits of each destination, and an operator's word that beats them for a while.
import { call } from "./api.js";
import { Ago, Dialog, Empty, State, Trouble, count, usePolled } from "./parts.js";
import { html, useState } from "./view.js";

const FAMILIES = { webhook: "webhooks to", "image-source": "pictures from", "pdf-asset": "PDF assets from", "pdf-engine": "the PDF engine" };

export function Downstreams() {
  const [found, problem, reload] = usePolled(() => call("GET", "/v1/breakers"), 2, []);
  const [doing, begin] = useState(null);
  return html`
    <h1>Downstreams</h1>
    <p class="under">Each is known from its first call on, for the whole pool of workers. One that fails is left alone: its jobs wait, and spend no attempt.</p>
    <${Trouble} problem=${problem} />
    ${found && found.breakers.length === 0 && html`<${Empty}>Nothing has been called yet.<//>`}
    ${found && found.breakers.length > 0 && html`<${Table} breakers=${troubledFirst(found.breakers)} begin=${begin} />`}
    ${doing && html`<${Force} doing=${doing} onDone=${() => (begin(null), reload())} onClose=${() => begin(null)} />`}
  `;
}

const well = (breaker) => breaker.state === "closed" && !breaker.override && !breaker.flagged;
const troubledFirst = (breakers) => [...breakers].sort((one, other) => well(one) - well(other) || one.name.localeCompare(other.name));
const percent = (share) => `${Math.round(share * 100)} %`;

function Table({ breakers, begin }) {
  return html`<div class="scroll"><table class="rows">
    <thead><tr><th>destination</th><th>breaker</th><th class="number">calls</th><th class="number">failed</th><th class="number">slow</th><th>limits</th><th></th></tr></thead>
    <tbody>${breakers.map((breaker) => html`<${Row} key=${breaker.name} breaker=${breaker} begin=${begin} />`)}</tbody>
  </table></div>`;
}

function Row({ breaker, begin }) {
  const [family, ...rest] = breaker.name.split(":");
  const { override } = breaker;
  return html`<tr data-breaker=${breaker.name}>
    <td>${FAMILIES[family] || family} <b>${rest.join(":")}</b></td>
    <td>
      <${State} value=${override ? override.state : breaker.state} />
      ${override && html` forced by ${override.by} until <${Ago} at=${override.until} />: ${override.reason}`}
      ${!override && breaker.open_until && html` may be called <${Ago} at=${breaker.open_until} />`}
      ${breaker.trips > 1 && html` <span class="small">tripped ${breaker.trips} times in a row</span>`}
      ${breaker.flagged && html` <span class="tone-warn">only ${breaker.flagged} sees it fail</span>`}
    </td>
    <td class="number">${count(breaker.calls)}</td>
    <td class="number">${percent(breaker.failure_rate)}</td>
    <td class="number">${percent(breaker.slow_rate)}</td>
    <td><${Limits} breaker=${breaker} /></td>
    <td class="row-actions">
      ${override
        ? html`<button class="small" onClick=${() => begin({ what: "clear", breaker })}>Take back…</button>`
        : html`<button class="small" onClick=${() => begin({ what: "open", breaker })}>Force open…</button>
            <button class="small" onClick=${() => begin({ what: "closed", breaker })}>Force closed…</button>`}
    </td>
  </tr>`;
}

function Limits({ breaker }) {
  const limits = [
    breaker.limit !== null && `${breaker.in_flight} of ${breaker.limit} at once`,
    breaker.per_second !== null && `${breaker.per_second.toFixed(1)} a second`,
  ].filter(Boolean);
  return html`${limits.join(", ") || "none"}${breaker.paused_until && html`, pauses until <${Ago} at=${breaker.paused_until} />`}`;
}

const TITLES = { open: "Send nothing there", closed: "Let every call through", clear: "Take back what was forced" };
const MEANING = {
  open: "Within a second its jobs are parked, and spend no attempt, until the time is over.",
  closed: "The breaker does not trip, whatever it sees, until the time is over.",
  clear: "The breaker goes on from where it is.",
};

function Force({ doing, onDone, onClose }) {
  const { what, breaker } = doing;
  const [problem, complain] = useState(null);
  const act = async (form) => {
    const path = `/v1/breakers/${encodeURIComponent(breaker.name)}/override`;
    const reason = form.get("reason");
    try {
      if (what === "clear") await call("DELETE", `${path}?${new URLSearchParams({ reason })}`);
      else await call("PUT", path, { state: what, ttl: Number(form.get("minutes")) * 60, reason });
      onDone();
    } catch (refused) {
      complain(refused);
    }
  };
  return html`<${Dialog} title=${TITLES[what]} action=${TITLES[what]} danger=${what === "open"} onDo=${act} onClose=${onClose}>
    <${Trouble} problem=${problem} />
    <p><code>${breaker.name}</code>: ${MEANING[what]}</p>
    ${what !== "clear" && html`<label>For, minutes <input name="minutes" type="number" min="1" max="10080" value="30" required /></label>`}
    <label>Why <input name="reason" required maxlength="500" /></label>
  <//>`;
}
