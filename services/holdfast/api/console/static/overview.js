// The platform at a glance: what comes in, what gets done, what waits and where, what died.
import { Shares, Sparkline } from "./charts.js";
import { depth } from "./live.js";
import { Empty, Trouble, count, duration, rate } from "./parts.js";
import { html } from "./view.js";

export function Overview({ live }) {
  const { stats, history, problem } = live;
  if (!stats) return problem ? html`<${Trouble} problem=${problem} />` : html`<${Empty}>Waiting for the first look…<//>`;
  return html`
    <h1 class="sr">Overview</h1>
    <${Trouble} problem=${problem} />
    <div class="cards">
      <${Throughput} history=${history} />
      <${Latency} history=${history} />
      <${Now} stats=${stats} />
      <${Dead} stats=${stats} />
    </div>
    <${Queues} stats=${stats} history=${history} />
    <div class="columns">
      <${Kinds} stats=${stats} />
      <${Workers} stats=${stats} />
      <${Waits} stats=${stats} />
      <${Downstreams} stats=${stats} />
      <${Admission} stats=${stats} />
    </div>
  `;
}

const of = (history, name, tone, label = name) => ({ name: label, tone, values: history.map((point) => point[name]) });

function Throughput({ history }) {
  const now = history.at(-1);
  return html`<section class="card" aria-label="Throughput">
    <h2>Throughput</h2>
    <p class="big" data-figure="succeeded">${rate(now.succeeded)}<small>/s done</small></p>
    <${Sparkline} label="Jobs per second" format=${rate}
      lines=${[of(history, "accepted", "dim"), of(history, "succeeded", "good"), of(history, "failed", "bad")]} />
    <p class="legend"><span class="tone-dim">accepted ${rate(now.accepted)}/s</span> <span class="tone-bad">failed ${rate(now.failed)}/s</span> parked ${rate(now.parked)}/s</p>
  </section>`;
}

function Latency({ history }) {
  const now = history.at(-1);
  return html`<section class="card" aria-label="Latency">
    <h2>Accepted to done, slowest kind</h2>
    <p class="big">${now.p95 ? duration(now.p95 / 1000) : "–"}<small>p95</small></p>
    <${Sparkline} label="Latency" format=${(ms) => duration(ms / 1000)} lines=${[of(history, "p95", "warn"), of(history, "p50", "good")]} />
    <p class="legend"><span class="tone-good">p50 ${now.p50 ? duration(now.p50 / 1000) : "–"}</span></p>
  </section>`;
}

function Now({ stats }) {
  const { jobs, places } = stats;
  const parts = [
    { name: "running", value: jobs.running, tone: "good" },
    { name: "queued", value: jobs.queued, tone: "info" },
    { name: "waiting", value: jobs.waiting, tone: "warn" },
    { name: "scheduled", value: jobs.scheduled, tone: "dim" },
    { name: "blocked", value: jobs.blocked, tone: "dim" },
  ];
  const open = parts.reduce((sum, part) => sum + part.value, 0);
  return html`<section class="card" aria-label="Open jobs">
    <h2>Not ended</h2>
    <p class="big">${count(open)}<small>jobs</small></p>
    <${Shares} parts=${parts} format=${count} />
    <dl class="pairs">
      ${parts.map((part) => html`<div><dt><i class="dot tone-${part.tone}"></i>${part.name}</dt><dd><a href="#/jobs?state=${part.name}">${count(part.value)}</a></dd></div>`)}
    </dl>
    ${places.rescue > 0 && html`<p class="note tone-warn">${count(places.rescue)} with a lease that ran out: their workers died</p>`}
  </section>`;
}

function Dead({ stats }) {
  const reasons = Object.entries(stats.dead_letters).sort(([, a], [, b]) => b - a);
  const total = reasons.reduce((sum, [, letters]) => sum + letters, 0);
  return html`<section class="card" aria-label="Dead letters">
    <h2>Dead letters</h2>
    <p class="big ${total ? "tone-bad" : ""}" data-figure="dead-letters">${count(total)}<small>open</small></p>
    ${reasons.length === 0 && html`<${Empty}>Nothing has died that nobody looked at.<//>`}
    <dl class="pairs">
      ${reasons.map(([reason, letters]) => html`<div><dt>${reason}</dt><dd><a href="#/dead-letters?reason=${reason}">${count(letters)}</a></dd></div>`)}
    </dl>
  </section>`;
}

function Queues({ stats, history }) {
  return html`<section aria-label="Queues">
    <h2>Queues <a class="small" href=${stats.rabbitmq_ui} target="_blank" rel="noopener noreferrer">in RabbitMQ</a></h2>
    <div class="scroll"><table>
      <thead><tr><th>queue</th><th class="number">ready to run</th><th class="wide">by priority</th><th class="number">oldest</th><th class="number">at workers</th><th class="number">consumers</th><th>two minutes</th></tr></thead>
      <tbody>${stats.queues.map((queue) => html`<${Queue} queue=${queue} history=${history} />`)}</tbody>
    </table></div>
    ${stats.queues[0].messages === null && html`<p class="note tone-warn">RabbitMQ's management API does not answer, so only the ledger's side is known.</p>`}
  </section>`;
}

const TONES = { high: "bad", default: "info", low: "dim" };

function Queue({ queue, history }) {
  const parts = queue.priorities.map((line) => ({
    name: line.name || `priority ${line.priority}`,
    value: line.jobs,
    tone: TONES[line.name] || "warn",
  }));
  const oldest = Math.max(0, ...queue.priorities.map((line) => line.oldest_seconds));
  const waiting = depth(queue);
  const lost = queue.messages && queue.messages.consumers === 0;
  return html`<tr>
    <th scope="row">${queue.name}</th>
    <td class="number">${count(waiting)}</td>
    <td class="wide"><${Shares} parts=${parts} format=${count} /><span class="legend">${parts.map((part) => html`<span class="tone-${part.tone}">${part.name} ${count(part.value)}</span> `)}</span></td>
    <td class="number">${waiting ? duration(oldest) : "–"}</td>
    <td class="number">${queue.messages ? count(queue.messages.unacked) : "–"}</td>
    <td class="number ${lost ? "tone-bad" : ""}">${queue.messages ? count(queue.messages.consumers) : "–"}</td>
    <td><${Sparkline} label="Depth of ${queue.name}" format=${count} lines=${[{ name: "waiting", tone: "info", values: history.map((point) => point.waiting[queue.name] ?? 0) }]} /></td>
  </tr>`;
}

function Kinds({ stats }) {
  const { kinds, window_seconds: seconds } = stats.activity;
  return html`<section aria-label="Kinds">
    <h2>The last ${seconds} s by kind</h2>
    ${kinds.length === 0 && html`<${Empty}>Nothing has ended. <a href="#/submit">Submit a job</a>.<//>`}
    ${kinds.length > 0 &&
    html`<div class="scroll"><table>
      <thead><tr><th>kind</th><th class="number">done</th><th class="number">failed</th><th class="number">dead</th><th class="number">run p50</th><th class="number">p95</th><th class="number">p99</th></tr></thead>
      <tbody>${kinds.map(
        (kind) => html`<tr>
          <th scope="row"><a href="#/jobs?kind=${kind.kind}">${kind.kind}</a></th>
          <td class="number">${count(kind.attempts.succeeded)}</td><td class="number">${count(kind.attempts.failed)}</td><td class="number">${count(kind.dead)}</td>
          ${["p50", "p95", "p99"].map((share) => html`<td class="number">${kind.run_ms ? duration(kind.run_ms[share] / 1000) : "–"}</td>`)}
        </tr>`,
      )}</tbody>
    </table></div>`}
  </section>`;
}

function Workers({ stats }) {
  const { workers } = stats;
  const pools = [...new Set((workers || []).map((worker) => worker.pool))].map((pool) => [pool, workers.filter((worker) => worker.pool === pool)]);
  const sum = (processes, name) => processes.reduce((total, worker) => total + worker[name], 0);
  return html`<section aria-label="Workers">
    <h2>Workers</h2>
    ${workers === null && html`<p class="note tone-warn">Redis does not answer, so the workers are not known.</p>`}
    ${workers?.length === 0 && html`<p class="note tone-bad">No worker is alive: no job runs.</p>`}
    ${pools.length > 0 &&
    html`<div class="scroll"><table>
      <thead><tr><th>pool</th><th class="number">instances</th><th class="number">processes</th><th class="number">busy</th><th class="wide">of all slots</th></tr></thead>
      <tbody>${pools.map(([pool, processes]) => {
        const [busy, slots] = [sum(processes, "busy"), sum(processes, "concurrency")];
        return html`<tr><th scope="row">${pool}</th><td class="number">${new Set(processes.map((worker) => worker.instance)).size}</td><td class="number">${processes.length}</td>
          <td class="number">${count(busy)}</td><td class="wide"><${Shares} total=${slots} format=${count} parts=${[{ name: `busy of ${slots}`, value: busy, tone: "good" }]} /></td></tr>`;
      })}</tbody>
    </table></div>`}
  </section>`;
}

function Downstreams({ stats }) {
  const troubled = (stats.downstreams || []).filter((one) => one.state !== "closed" || one.forced || one.flagged);
  if (troubled.length === 0) return null;
  return html`<section aria-label="Downstreams in trouble">
    <h2>Downstreams in trouble</h2>
    <dl class="pairs boxed">
      ${troubled.map((one) => html`<div><dt><a href="#/downstreams">${one.name}</a></dt><dd class="tone-warn">${one.forced ? `forced ${one.forced}` : one.state.replace("_", "-")}</dd></div>`)}
    </dl>
  </section>`;
}

function Admission({ stats }) {
  const { key_limit, tenant_limit, refused } = stats.admission;
  const some = Object.entries(refused).filter(([, requests]) => requests > 0);
  return html`<section aria-label="Admission">
    <h2>Let in and refused</h2>
    <dl class="pairs boxed">
      <div><dt>each API key may submit</dt><dd>${key_limit}</dd></div>
      <div><dt>each tenant may submit</dt><dd>${tenant_limit}</dd></div>
      ${some.map(([reason, requests]) => html`<div><dt>refused by this api since it started: ${reason.replaceAll("_", " ")}</dt><dd>${count(requests)}</dd></div>`)}
      ${some.length === 0 && html`<div><dt>refused by this api since it started</dt><dd>0</dd></div>`}
    </dl>
  </section>`;
}

function Waits({ stats }) {
  const { retries, outbox, dead_queue: dead, places } = stats;
  return html`<section aria-label="Waits">
    <h2>On the way</h2>
    <dl class="pairs boxed">
      <div><dt>waiting for their time (in the ledger)</dt><dd>${count(places.timer)}</dd></div>
      ${(retries || []).map((tier) => html`<div><dt>waiting ${tier.tier_seconds} s for a retry (in RabbitMQ)</dt><dd>${count(tier.ready)}</dd></div>`)}
      <div><dt>tickets that RabbitMQ has not confirmed</dt><dd class=${outbox.oldest_seconds > 5 ? "tone-warn" : ""}>${count(outbox.rows)}${outbox.rows > 0 ? `, oldest ${duration(outbox.oldest_seconds)}` : ""}</dd></div>
      <div><dt>dead messages to be filed</dt><dd>${count(dead)}</dd></div>
    </dl>
  </section>`;
}
