// The jobs of the key's tenant, newest first.
import { call, query } from "./api.js";
import { Ago, Empty, State, Trouble, duration, usePolled } from "./parts.js";
import { html, useEffect, useState } from "./view.js";

const STATES = ["blocked", "scheduled", "queued", "running", "waiting", "succeeded", "cancelled", "dead"];
const LIMIT = 50;

export function Jobs({ parameters }) {
  const { state = "", kind = "", tag = "", cursor = "" } = parameters;
  const [kinds, setKinds] = useState([]);
  useEffect(() => {
    call("GET", "/v1/kinds").then((answer) => setKinds(answer.kinds.map((each) => each.kind)), () => {});
  }, []);
  const load = () => call("GET", `/v1/jobs${query({ state, kind, tag, cursor, limit: LIMIT })}`);
  const [found, problem] = usePolled(load, cursor ? 0 : 2, [state, kind, tag, cursor]);
  const filter = (event) => {
    event.preventDefault();
    location.hash = `#/jobs${query(Object.fromEntries(new FormData(event.currentTarget.closest("form"))))}`;
  };
  return html`
    <h1>Jobs</h1>
    <form class="filters" onSubmit=${filter} role="search">
      <label>State <select name="state" value=${state} onChange=${filter}><option value="">any</option>${STATES.map((each) => html`<option value=${each} selected=${each === state}>${each}</option>`)}</select></label>
      <label>Kind <select name="kind" value=${kind} onChange=${filter}><option value="">any</option>${kinds.map((each) => html`<option value=${each} selected=${each === kind}>${each}</option>`)}</select></label>
      <label>Tag <input name="tag" defaultValue=${tag} size="14" /></label>
      <button>Filter</button>
      <${FindById} />
    </form>
    <${Trouble} problem=${problem} />
    ${found && found.jobs.length === 0 && html`<${Empty}>No job fits. <a href="#/submit">Submit one</a>.<//>`}
    ${found && found.jobs.length > 0 && html`<${Table} jobs=${found.jobs} />`}
    <p class="actions">
      ${cursor && html`<a class="button" href="#/jobs${query({ state, kind, tag })}">Newest</a>`}
      ${found?.next_cursor && html`<a class="button" href="#/jobs${query({ state, kind, tag, cursor: found.next_cursor })}">Older</a>`}
    </p>
  `;
}

function FindById() {
  const find = (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    location.hash = `#/jobs/${event.target.value.trim()}`;
  };
  return html`<label class="push">Id <input placeholder="job id, Enter" size="20" onKeyDown=${find} /></label>`;
}

function Table({ jobs }) {
  return html`<div class="scroll"><table class="rows">
    <thead><tr><th>job</th><th>kind</th><th>state</th><th class="number">priority</th><th class="number">attempt</th><th>accepted</th><th class="number">wait</th><th class="number">run</th><th>tags, error</th></tr></thead>
    <tbody>${jobs.map(
      (job) => html`<tr key=${job.id}>
        <td><a href="#/jobs/${job.id}"><code>${job.id.slice(0, 13)}…</code></a></td>
        <td>${job.kind}</td>
        <td><${State} value=${job.state} /></td>
        <td class="number">${job.priority}</td>
        <td class="number">${job.attempt} / ${job.max_attempts}</td>
        <td><${Ago} at=${job.created_at} /></td>
        <td class="number">${duration(job.queue_wait_seconds)}</td>
        <td class="number">${duration(job.run_seconds)}</td>
        <td>${job.tags.map((tag) => html`<a class="tag" href="#/jobs?tag=${encodeURIComponent(tag)}">${tag}</a> `)}${job.failure && html`<span class="tone-bad">${job.failure.error}</span>`}</td>
      </tr>`,
    )}</tbody>
  </table></div>`;
}
