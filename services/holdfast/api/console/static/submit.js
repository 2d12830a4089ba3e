// Submit a job: a form from the schema of its kind, or the same as JSON.
import { call } from "./api.js";
import { Empty, Trouble, duration } from "./parts.js";
import { Fields } from "./schema_form.js";
import { html, useEffect, useState } from "./view.js";

export function Submit({ parameters }) {
  const [kinds, setKinds] = useState(null);
  const [examples, setExamples] = useState({});
  const [problem, complain] = useState(null);
  useEffect(() => {
    call("GET", "/v1/kinds").then((answer) => setKinds(answer.kinds), complain);
    call("GET", "/openapi.json").then(({ components }) => setExamples(byKind(components.schemas.JobIn.examples || [])), () => setExamples({}));
  }, []);
  if (!kinds) return html`<h1>Submit a job</h1>${problem ? html`<${Trouble} problem=${problem} />` : html`<${Empty}>Looking…<//>`}`;
  const chosen = kinds.find((each) => each.kind === parameters.kind) || kinds.find((each) => each.kind === "pdf.render") || kinds[0];
  return html`
    <h1>Submit a job</h1>
    <nav class="tabs" aria-label="Kinds">${kinds.map((each) => html`<a href="#/submit?kind=${each.kind}" aria-current=${each === chosen ? "true" : null}>${each.kind}</a>`)}</nav>
    <p class="under">Up to ${chosen.max_attempts} attempts of at most ${duration(chosen.time_limit_seconds)} each, in the queue <code>${chosen.queue}</code>.</p>
    <${Form} key=${chosen.kind} kind=${chosen} example=${examples[chosen.kind]} />
  `;
}

/** The first example of each kind: a later one may name something that has to exist. */
const byKind = (examples) => Object.fromEntries([...examples].reverse().map((example) => [example.kind, example.payload]));

function Form({ kind, example }) {
  const [payload, setPayload] = useState({});
  const [text, write] = useState(null); // the payload as JSON while it is edited so
  const [problem, complain] = useState(null);
  const [busy, setBusy] = useState(false);
  const send = async (event) => {
    event.preventDefault();
    const form = new FormData(event.target);
    const body = { kind: kind.kind, priority: form.get("priority") };
    if (form.get("delay")) body.delay = Number(form.get("delay"));
    const tags = form.get("tags").split(",").map((tag) => tag.trim()).filter(Boolean);
    if (tags.length) body.tags = tags;
    setBusy(true);
    try {
      body.payload = text === null ? payload : JSON.parse(text);
      const key = form.get("key").trim() || crypto.randomUUID();
      const job = await call("POST", "/v1/jobs", body, { "idempotency-key": key });
      location.hash = `#/jobs/${job.id}`;
    } catch (refused) {
      complain(refused);
      setBusy(false);
    }
  };
  const toJson = () => write(JSON.stringify(payload, null, 2));
  const toForm = () => {
    try {
      setPayload(JSON.parse(text));
      write(null);
    } catch (error) {
      complain({ title: "Not JSON", detail: error.message });
    }
  };
  const fill = () => (text === null ? setPayload(example) : write(JSON.stringify(example, null, 2)));
  return html`<form class="job" onSubmit=${send}>
    <p class="actions">
      <button type="button" onClick=${text === null ? toJson : toForm}>${text === null ? "Edit as JSON" : "Edit in the form"}</button>
      ${example && html`<button type="button" onClick=${fill}>Fill in the example</button>`}
    </p>
    ${text === null
      ? html`<${Fields} key=${JSON.stringify(Object.keys(payload).length > 0)} schema=${kind.schema} root=${kind.schema} value=${payload} change=${setPayload} />`
      : html`<label class="field"><span class="label">payload</span><textarea class="code" name="payload" rows="16" spellcheck="false" value=${text} onInput=${(event) => write(event.target.value)}></textarea></label>`}
    <fieldset class="row"><legend>the job</legend>
      <label>Priority <select name="priority"><option>default</option><option>high</option><option>low</option></select></label>
      <label>Delay, s <input name="delay" type="number" min="0" step="any" size="6" /></label>
      <label>Tags <input name="tags" placeholder="a, b" size="12" /></label>
      <label>Idempotency-Key <input name="key" placeholder="made up if empty" size="20" maxlength="255" /></label>
    </fieldset>
    <${Trouble} problem=${problem} />
    <p class="actions"><button class="primary" disabled=${busy}>Submit ${kind.kind}</button></p>
  </form>`;
}
