// The console: a bar that is always there, and the page that the fragment of the address names.
import { useKey } from "./api.js";
import { DeadLetters } from "./dead_letters.js";
import { Downstreams } from "./downstreams.js";
import { Job } from "./job.js";
import { Jobs } from "./jobs.js";
import { connect, hasKey, useLive } from "./live.js";
import { Overview } from "./overview.js";
import { Dialog } from "./parts.js";
import { Submit } from "./submit.js";
import { html, render, useEffect, useState } from "./view.js";

const PAGES = [
  ["", "Overview", Overview],
  ["jobs", "Jobs", Jobs],
  ["dead-letters", "Dead letters", DeadLetters],
  ["downstreams", "Downstreams", Downstreams],
  ["submit", "Submit", Submit],
];
const MODES = {
  connecting: "connecting…",
  live: "live",
  polling: "asking every 2 s",
  away: "no answer",
  refused: "needs a key",
};

/** `#/jobs/ID?state=dead` as {page, id, parameters}. */
function place() {
  const [path, search] = location.hash.replace(/^#\/?/, "").split("?");
  const [page = "", id] = path.split("/");
  return { page, id, parameters: Object.fromEntries(new URLSearchParams(search)) };
}

function App() {
  const [here, go] = useState(place());
  const [asking, ask] = useState(false);
  const live = useLive();
  useEffect(() => {
    const moved = () => {
      go(place());
      document.querySelector("main")?.focus({ preventScroll: true });
      scrollTo(0, 0);
    };
    addEventListener("hashchange", moved);
    return () => removeEventListener("hashchange", moved);
  }, []);
  const [, title, Page] = here.page === "jobs" && here.id ? [null, "Job", Job] : PAGES.find(([page]) => page === here.page) || PAGES[0];
  useEffect(() => {
    document.title = `${title} · Holdfast`;
  }, [title]);
  const badges = {
    "dead-letters": Object.values(live.stats?.dead_letters || {}).reduce((sum, letters) => sum + letters, 0),
    downstreams: (live.stats?.downstreams || []).filter((one) => (one.forced || one.state) !== "closed").length,
  };
  return html`
    <a class="skip" href="#main" onClick=${(event) => (event.preventDefault(), document.querySelector("main").focus())}>Skip to the content</a>
    <header>
      <a class="brand" href="#/"><img src="/console/icon.svg" alt="" width="24" height="24" /> Holdfast</a>
      <nav aria-label="Pages">
        ${PAGES.map(
          ([page, name]) => html`<a href="#/${page}" aria-current=${here.page === page ? "page" : null}>
            ${name}${badges[page] > 0 && html` <span class="badge">${badges[page]}</span>`}
          </a>`,
        )}
      </nav>
      <div class="tools">
        <span class="mode mode-${live.mode}" role="status">${MODES[live.mode]}</span>
        <button class="quiet" onClick=${toggleTheme} aria-label="Switch between light and dark">◐</button>
        <button class="quiet" onClick=${() => ask(true)} aria-label="API key">${hasKey() ? "Key ✓" : "Key"}</button>
        <a class="quiet" href="/docs">API</a>
      </div>
    </header>
    <main id="main" tabIndex="-1"><${Page} key=${here.page + (here.id || "")} id=${here.id} parameters=${here.parameters} live=${live} /></main>
    ${asking && html`<${AskForKey} onClose=${() => ask(false)} />`}
  `;
}

function AskForKey({ onClose }) {
  const keep = (form) => {
    useKey(form.get("key").trim());
    onClose();
    connect();
    dispatchEvent(new HashChangeEvent("hashchange"));
  };
  return html`<${Dialog} title="API key" action="Use it" onDo=${keep} onClose=${onClose}>
    <p>Kept in this tab until it is closed. An empty one removes it. The overview needs the role <code>operate</code>.</p>
    <label>Key <input name="key" type="password" placeholder="hf_…" autocomplete="off" /></label>
  <//>`;
}

function toggleTheme() {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  localStorage.setItem("holdfast-theme", root.dataset.theme);
}

const kept = localStorage.getItem("holdfast-theme");
if (kept) document.documentElement.dataset.theme = kept;
connect();
render(html`<${App} />`, document.body);
