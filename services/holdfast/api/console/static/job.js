// One job: where it stands, its attempts on one time line, and what it made.
import { call, objectUrl } from "./api.js";
import { Ago, Dialog, Empty, Json, State, Trouble, bytes, duration, usePolled } from "./parts.js";
import { html, useEffect, useState } from "./view.js";

const ENDED = ["succeeded", "cancelled", "dead"];

export function Job({ id }) {
  const [ended, end] = useState(false);
  const load = async () => {
    const [job, { attempts }] = await Promise.all([call("GET", `/v1/jobs/${encodeURIComponent(id)}`), call("GET", `/v1/jobs/${encodeURIComponent(id)}/attempts`)]);
    end(ENDED.includes(job.state));
    return { job, attempts };
  };
  const [found, problem, reload] = usePolled(load, ended ? 5 : 0.7, [id, ended]);
  if (!found) return problem ? html`<h1>Job</h1><${Trouble} problem=${problem} />` : html`<${Empty}>Looking…<//>`;
  const { job, attempts } = found;
  return html`
    <h1>${job.kind} <${State} value=${job.state} /></h1>
    <p class="under"><code>${job.id}</code> · key <code>${job.idempotency_key}</code> · accepted <${Ago} at=${job.created_at} /></p>
    <${Trouble} problem=${problem} />
    ${job.failure && html`<div class="trouble"><strong>${job.failure.error}</strong>${job.failure.reason && html` (${job.failure.reason})`}<p>${job.failure.message}</p></div>`}
    <${Actions} job=${job} reload=${reload} />
    <${Timeline} job=${job} attempts=${attempts} />
    <${Made} job=${job} />
    <${Facts} job=${job} />
  `;
}

function Actions({ job, reload }) {
  const [asking, ask] = useState(false);
  const [problem, complain] = useState(null);
  const cancel = async () => {
    try {
      await call("POST", `/v1/jobs/${job.id}/cancel`);
    } catch (refused) {
      complain(refused);
    }
    ask(false);
    reload();
  };
  return html`<p class="actions">
      ${!ENDED.includes(job.state) && html`<button onClick=${() => ask(true)}>Cancel…</button>`}
      ${job.state === "dead" && html`<a class="button" href="#/dead-letters?kind=${job.kind}">Its dead letter</a>`}
      <a class="button" href=${job.links.self} target="_blank" rel="noopener">JSON</a>
    </p>
    <${Trouble} problem=${problem} />
    ${asking && html`<${Dialog} title="Cancel this job?" action="Cancel the job" danger onDo=${cancel} onClose=${() => ask(false)}><p>A running attempt is ended within seconds; its effect may have happened already.</p><//>`}`;
}

/** Bars on one scale: the wait before each attempt, and its run. */
function Timeline({ job, attempts }) {
  if (attempts.length === 0) return html`<section><h2>Attempts</h2><${Empty}>None yet${job.due_at && html`; due <${Ago} at=${job.due_at} />`}.<//></section>`;
  const time = (text) => new Date(text).getTime();
  const start = time(job.created_at);
  const end = Math.max(start + 1, ...attempts.map((attempt) => (attempt.finished_at ? time(attempt.finished_at) : Date.now())));
  const share = (from, to) => `${Math.max(0, (100 * (to - from)) / (end - start))}%`;
  const rows = attempts.map((attempt, index) => {
    const began = time(attempt.started_at);
    const ended = attempt.finished_at ? time(attempt.finished_at) : Date.now();
    const before = index ? time(attempts[index - 1].finished_at || attempts[index - 1].started_at) : start;
    return { attempt, began, ended, before: Math.min(before, began) };
  });
  return html`<section aria-label="Attempts">
    <h2>Attempts</h2>
    <ol class="timeline">
      ${rows.map(
        ({ attempt, began, ended, before }) => html`<li key=${attempt.number}>
          <div class="line">
            <span class="what"><b>${attempt.number}</b> <${State} value=${attempt.state} /></span>
            <span class="track" role="img" aria-label="waited ${duration((began - before) / 1000)}, ran ${duration((ended - began) / 1000)}">
              <i style=${{ width: share(start, before) }}></i><i class="wait" style=${{ width: share(before, began) }}></i><i class="run tone-${attempt.state}" style=${{ width: share(began, ended) }}></i>
            </span>
            <span class="times">waited ${duration((began - before) / 1000)}, ran ${duration((ended - began) / 1000)}</span>
          </div>
          ${attempt.failure && html`<p class="why"><b>${attempt.failure.error}</b> ${attempt.failure.message}</p>`}
          ${attempt.detail && html`<details open=${job.kind === "webhook.dispatch" && attempts.length === 1}><summary>${attempt.detail.status ? `the receiver answered ${attempt.detail.status}` : "details"}</summary><${Json} value=${attempt.detail} /></details>`}
          <p class="small">${attempt.worker}${attempt.deliveries > 1 ? `, delivered ${attempt.deliveries} times: a worker died in it` : ""}</p>
        </li>`,
      )}
    </ol>
  </section>`;
}

function Made({ job }) {
  const artifacts = job.links.artifacts;
  return html`
    ${artifacts.length > 0 && html`<section aria-label="Artifacts"><h2>Artifacts</h2><div class="artifacts">${artifacts.map((artifact) => html`<${Artifact} key=${artifact.sha256} artifact=${artifact} />`)}</div></section>`}
    ${job.result && Object.keys(job.result).length > 0 && html`<section><h2>Result</h2><${Json} value=${job.result} /></section>`}
  `;
}

const SHOWN = ["image/png", "image/jpeg", "image/webp", "image/avif", "image/gif", "application/pdf"];
const LARGEST = 20 * 1048576;

/** A preview from the bytes (the download itself is always an attachment), and the download. */
function Artifact({ artifact }) {
  const [url, show] = useState(null);
  const shown = SHOWN.includes(artifact.media_type) && artifact.size <= LARGEST;
  useEffect(() => {
    if (!shown) return undefined;
    let made = null;
    let gone = false;
    objectUrl(artifact.href, artifact.media_type).then((found) => {
      made = found;
      if (gone) URL.revokeObjectURL(found);
      else show(found);
    }, () => {});
    return () => {
      gone = true;
      if (made) URL.revokeObjectURL(made);
    };
  }, [artifact.sha256]);
  const preview = url && (artifact.media_type === "application/pdf" ? html`<iframe src=${url} title=${artifact.name}></iframe>` : html`<img src=${url} alt=${artifact.name} />`);
  return html`<figure>
    ${preview}
    <figcaption><a href=${artifact.href} download=${artifact.name}>${artifact.name}</a> ${artifact.media_type}, ${bytes(artifact.size)}</figcaption>
  </figure>`;
}

function Facts({ job }) {
  const facts = [
    ["queue", job.queue],
    ["priority", job.priority],
    ["attempt", `${job.attempt} of ${job.max_attempts}`],
    ["waited to begin", duration(job.queue_wait_seconds)],
    ["began to end", duration(job.run_seconds)],
    ["due", job.due_at && html`<${Ago} at=${job.due_at} />`],
    ["deadline", job.deadline && html`<${Ago} at=${job.deadline} />`],
    ["callback", job.callback_url],
    ["tags", job.tags.join(", ")],
  ].filter(([, value]) => value !== null && value !== "" && value !== undefined);
  return html`<section><h2>Facts</h2><dl class="pairs boxed">${facts.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl></section>`;
}
