// Dead letters: equal failures together, replayed or dropped one by one, or all that fit a filter.
import { call, query } from "./api.js";
import { Ago, Dialog, Empty, Json, Trouble, count, usePolled } from "./parts.js";
import { html, useState } from "./view.js";

const REASONS = ["exhausted", "rejected", "poisoned", "expired", "timed_out", "unparseable"];

export function DeadLetters({ parameters }) {
  const { kind = "", reason = "", error = "", fingerprint = "", cursor = "" } = parameters;
  const where = { kind, reason, error, fingerprint };
  const load = () => Promise.all([call("GET", `/v1/dead-letters/groups${query(where)}`), call("GET", `/v1/dead-letters${query({ ...where, cursor, limit: 50 })}`)]);
  const [found, problem, reload] = usePolled(load, 3, [kind, reason, error, fingerprint, cursor]);
  const [doing, begin] = useState(null);
  const filter = (event) => {
    event.preventDefault();
    location.hash = `#/dead-letters${query(Object.fromEntries(new FormData(event.currentTarget.closest("form"))))}`;
  };
  const [groups, page] = found || [null, null];
  const conditions = Object.fromEntries(Object.entries(where).filter(([, value]) => value));
  return html`
    <h1>Dead letters</h1>
    <form class="filters" onSubmit=${filter} role="search">
      <label>Reason <select name="reason" onChange=${filter}><option value="">any</option>${REASONS.map((each) => html`<option value=${each} selected=${each === reason}>${each}</option>`)}</select></label>
      <label>Kind <input name="kind" defaultValue=${kind} size="16" /></label>
      <label>Error <input name="error" defaultValue=${error} size="16" /></label>
      <button>Filter</button>
      <a class="button" href="#/dead-letters">All</a>
    </form>
    <${Trouble} problem=${problem} />
    ${page && page.dead_letters.length === 0 && html`<${Empty}>No open dead letter fits.<//>`}
    ${groups && groups.groups.length > 0 && html`<${Groups} groups=${groups.groups} begin=${begin} />`}
    ${page && page.dead_letters.length > 0 && html`
      <h2>Letters</h2>
      <p class="actions">
        <button onClick=${() => begin({ what: "replay", filter: conditions })}>Replay all that fit…</button>
        <button onClick=${() => begin({ what: "drop", filter: conditions })}>Drop all that fit…</button>
      </p>
      <${Letters} letters=${page.dead_letters} begin=${begin} />
      <p class="actions">${page.next_cursor && html`<a class="button" href="#/dead-letters${query({ ...where, cursor: page.next_cursor })}">Older</a>`}</p>`}
    ${doing && html`<${Act} doing=${doing} onDone=${() => (begin(null), reload())} onClose=${() => begin(null)} />`}
  `;
}

function Groups({ groups, begin }) {
  return html`<section aria-label="Groups"><h2>By failure</h2><div class="scroll"><table class="rows">
    <thead><tr><th class="number">letters</th><th>kind</th><th>reason</th><th>error</th><th>last seen</th><th></th></tr></thead>
    <tbody>${groups.map(
      (group) => html`<tr key=${group.fingerprint}>
        <td class="number">${count(group.count)}</td>
        <td>${group.kind || "–"}</td>
        <td>${group.reason}</td>
        <td><a href="#/dead-letters?fingerprint=${group.fingerprint}"><b>${group.error}</b></a> <span class="clip" title=${group.message}>${group.message}</span></td>
        <td><${Ago} at=${group.last_seen} /></td>
        <td class="row-actions"><button class="small" onClick=${() => begin({ what: "replay", filter: { fingerprint: group.fingerprint } })}>Replay…</button>
          <button class="small" onClick=${() => begin({ what: "drop", filter: { fingerprint: group.fingerprint } })}>Drop…</button></td>
      </tr>`,
    )}</tbody>
  </table></div></section>`;
}

function Letters({ letters, begin }) {
  const [open, show] = useState(null);
  return html`<div class="scroll"><table class="rows">
    <thead><tr><th>job</th><th>kind</th><th>reason</th><th>error</th><th class="number">attempts</th><th>died</th><th></th></tr></thead>
    <tbody>${letters.map(
      (letter) => html`<tr key=${letter.id}>
          <td>${letter.job_id ? html`<a href="#/jobs/${letter.job_id}"><code>${letter.job_id.slice(0, 13)}…</code></a>` : "–"}</td>
          <td>${letter.kind || "–"}</td><td>${letter.reason}</td>
          <td><b>${letter.error}</b> <span class="clip" title=${letter.message}>${letter.message}</span></td>
          <td class="number">${letter.attempts}</td><td><${Ago} at=${letter.died_at} /></td>
          <td class="row-actions">
            ${letter.job_id && html`<button class="small" onClick=${() => begin({ what: "replay", letter })}>Replay…</button>`}
            <button class="small" onClick=${() => begin({ what: "drop", letter })}>Drop…</button>
            <button class="small" aria-expanded=${open === letter.id} onClick=${() => show(open === letter.id ? null : letter.id)}>Headers</button>
          </td>
        </tr>
        ${open === letter.id && html`<tr><td colspan="7"><${Json} value=${{ headers: letter.headers, body: letter.body }} /></td></tr>`}`,
    )}</tbody>
  </table></div>`;
}

/** How many letters the action would be about: for a replay by its own dry run. */
async function countMatching(what, filter) {
  if (what === "replay") return (await call("POST", "/v1/dead-letters/replay", { filter, dry_run: true })).matched;
  const { groups } = await call("GET", `/v1/dead-letters/groups${query({ ...filter, limit: 200 })}`);
  return groups.reduce((total, group) => total + group.count, 0);
}

/** Drop them one after the other, each with the reason; a dropped one is not found any more. */
async function dropAll(filter, reason, tell) {
  for (let done = 0; ; ) {
    const { dead_letters: letters } = await call("GET", `/v1/dead-letters${query({ ...filter, limit: 200 })}`);
    if (letters.length === 0) return;
    for (const letter of letters) {
      await call("POST", `/v1/dead-letters/${letter.id}/drop`, { reason });
      tell((done += 1));
    }
  }
}

/** Ask before anything is done; for many, first count them with a dry run. */
function Act({ doing, onDone, onClose }) {
  const { what, letter, filter } = doing;
  const [problem, complain] = useState(null);
  const [busy, setBusy] = useState(false);
  const [done, tell] = useState(null); // of many that are dropped one after the other
  const [matched] = usePolled(() => (filter ? countMatching(what, filter) : Promise.resolve(null)), 0, []);
  const act = async (form) => {
    setBusy(true);
    try {
      const priority = form.get("priority") || null;
      if (filter && what === "drop") await dropAll(filter, form.get("reason"), tell);
      else if (filter) await call("POST", "/v1/dead-letters/replay", { filter, priority, rate: Number(form.get("rate")) || null });
      else if (what === "replay") await call("POST", `/v1/dead-letters/${letter.id}/replay`, { priority });
      else await call("POST", `/v1/dead-letters/${letter.id}/drop`, { reason: form.get("reason") });
      onDone();
    } catch (refused) {
      complain(refused);
      setBusy(false);
    }
  };
  const word = what === "replay" ? "Replay" : "Drop";
  const title = filter ? `${word} dead letters` : what === "replay" ? "Replay this job" : "Drop this letter";
  const action = filter ? (matched === null ? "Counting…" : `${word} ${count(matched)}`) : word;
  return html`<${Dialog} title=${title} action=${action} danger=${what === "drop"} busy=${busy || (filter && matched === null)} onDo=${act} onClose=${onClose}>
    <${Trouble} problem=${problem} />
    ${filter && html`<p>${Object.keys(filter).length ? html`All that fit <code>${JSON.stringify(filter)}</code>` : "All open dead letters"}: <b data-figure="matched">${matched === null ? "…" : count(matched)}</b> ${what === "replay" ? "can be replayed" : "would be dropped"}.</p>`}
    ${done !== null && html`<p role="status">${count(done)} dropped…</p>`}
    ${what === "replay" && html`<p>The job keeps its id and key, and gets a fresh budget of attempts.</p>
      <label>Priority <select name="priority"><option value="">as it was</option><option>low</option><option>default</option><option>high</option></select></label>`}
    ${filter && what === "replay" && html`<label>At most a second <input name="rate" type="number" min="1" max="1000" placeholder="no limit" /></label>`}
    ${what === "drop" && html`<label>Why <input name="reason" required maxlength="500" /></label><p>The row stays, with your name and the reason. The job stays dead.</p>`}
  <//>`;
}
