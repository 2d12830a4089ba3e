// Small parts that every page is made of.
import { html, useEffect, useRef, useState } from "./view.js";

/** 12 345, 1.2 k, 3.4 M */
export function count(value) {
  if (value === null || value === undefined) return "–";
  if (value >= 1e6) return `${(value / 1e6).toFixed(1)} M`;
  if (value >= 1e5) return `${Math.round(value / 1e3)} k`;
  return Math.round(value).toLocaleString("en").replaceAll(",", " ");
}

/** 0.4, 12, 340 */
export const rate = (value) => (value === 0 ? "0" : value < 10 ? value.toFixed(1) : count(value));

/** 340 ms, 2.1 s, 4 min, 3 h, 2 d */
export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 60) return `${seconds.toFixed(seconds < 10 ? 1 : 0)} s`;
  if (seconds < 3600) return `${Math.round(seconds / 60)} min`;
  return seconds < 172800 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86400)} d`;
}

export function bytes(size) {
  if (size < 1024) return `${size} B`;
  return size < 1048576 ? `${(size / 1024).toFixed(1)} KiB` : `${(size / 1048576).toFixed(1)} MiB`;
}

/** How long ago (or ahead) a time lies; the exact one on hover. */
export function Ago({ at }) {
  if (!at) return "–";
  const seconds = (Date.now() - new Date(at)) / 1000;
  const text = seconds >= 0 ? `${duration(Math.max(seconds, 0.001))} ago` : `in ${duration(-seconds)}`;
  return html`<time dateTime=${at} title=${new Date(at).toLocaleString()}>${text}</time>`;
}

export const State = ({ value }) => html`<span class="state ${value}">${value}</span>`;

/** A problem document, or nothing. */
export function Trouble({ problem }) {
  if (!problem) return null;
  const document = problem.document || problem;
  const again = problem.retryAfter ? ` Try again in ${problem.retryAfter} s.` : "";
  return html`<div class="trouble" role="alert">
    <strong>${document.title || "Something went wrong"}</strong>
    <p>${document.detail || problem.message}${again}</p>
    ${(document.errors || []).map((error) => html`<p><code>${error.pointer || "the body"}</code> ${error.detail}</p>`)}
  </div>`;
}

/** Run `load` now and every `seconds`; forget what an older call brings. Returns [value, problem, reload]. */
export function usePolled(load, seconds, parameters) {
  const [found, find] = useState({ value: null, problem: null });
  const reload = useRef(() => {});
  useEffect(() => {
    let current = true;
    let timer = null;
    const look = async () => {
      clearTimeout(timer);
      try {
        const value = await load();
        if (current) find({ value, problem: null });
      } catch (problem) {
        if (current) find((before) => ({ ...before, problem }));
      }
      if (current && seconds && !document.hidden) timer = setTimeout(look, seconds * 1000);
    };
    const onShown = () => !document.hidden && look();
    reload.current = look;
    look();
    document.addEventListener("visibilitychange", onShown);
    return () => {
      current = false;
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", onShown);
    };
  }, parameters);
  return [found.value, found.problem, () => reload.current()];
}

/** A modal that asks for a yes; the native element brings focus and Escape. */
export function Dialog({ title, children, action, danger, busy, onDo, onClose }) {
  const box = useRef(null);
  useEffect(() => {
    box.current.showModal();
  }, []);
  const submit = (event) => {
    event.preventDefault();
    onDo(new FormData(event.target));
  };
  return html`<dialog ref=${box} onClose=${onClose} aria-labelledby="dialog-title">
    <form onSubmit=${submit}>
      <h2 id="dialog-title">${title}</h2>
      ${children}
      <div class="actions">
        <button type="button" onClick=${() => box.current.close()}>Cancel</button>
        ${action && html`<button class=${danger ? "danger" : "primary"} disabled=${busy}>${action}</button>`}
      </div>
    </form>
  </dialog>`;
}

export function Json({ value }) {
  return html`<pre class="json" tabIndex="0">${JSON.stringify(value, null, 2)}</pre>`;
}

export function Empty({ children }) {
  return html`<p class="empty">${children}</p>`;
}
