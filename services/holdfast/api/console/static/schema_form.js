// A form made from a JSON Schema, as far as pydantic's go; what it has no field for is edited as JSON.
//
// The value is a plain object that the parent holds; a field that is left empty is left out of it.
import { upload } from "./api.js";
import { html, useState } from "./view.js";

const LONG = ["html", "template", "body_text", "css", "header", "footer", "style"];

/** `schema` with its references followed and a lone alternative to null taken. */
export function plain(schema, root) {
  if (schema.$ref) return plain({ ...at(root, schema.$ref), ...rest(schema) }, root);
  if (schema.properties) return schema; // what it says besides is about which of them go together
  const options = (schema.anyOf || schema.oneOf || []).filter((option) => option.type !== "null");
  if (options.length === 1) return plain({ ...options[0], ...rest(schema) }, root);
  return options.length ? { ...schema, options } : schema;
}

const at = (root, reference) => reference.slice(2).split("/").reduce((place, part) => place[part], root);

function rest(schema) {
  const { $ref, anyOf, oneOf, ...others } = schema;
  return others;
}

/** The field of one value. `change(value)` is told undefined when it is emptied. */
export function Field({ schema, root, name, value, change, required }) {
  const shape = plain(schema, root);
  const label = html`<span class="label">${name}${required && html`<i title="required">*</i>`}</span>`;
  const hint = shape.description && html`<small>${shape.description}</small>`;
  const field = (input) => html`<label class="field">${label}${input}${hint}</label>`;
  if (shape.options) return html`<${Choice} ...${{ shape, root, name, value, change, required }} />`;
  if (shape.const !== undefined) return null;
  if (shape.enum) {
    return field(html`<select onChange=${(event) => change(event.target.value || undefined)}>
      <option value="">${shape.default !== undefined && shape.default !== null ? `${shape.default} (default)` : "–"}</option>
      ${shape.enum.map((each) => html`<option value=${each} selected=${each === value}>${each}</option>`)}
    </select>`);
  }
  switch (shape.type) {
    case "boolean":
      return html`<label class="field check"><input type="checkbox" checked=${value ?? shape.default ?? false} onChange=${(event) => change(event.target.checked)} />${label}${hint}</label>`;
    case "integer":
    case "number":
      return field(html`<input type="number" step=${shape.type === "integer" ? 1 : "any"} min=${shape.minimum} max=${shape.maximum} placeholder=${shape.default ?? ""} value=${value ?? ""}
        onInput=${(event) => change(event.target.value === "" ? undefined : Number(event.target.value))} />`);
    case "string":
      if (name === "upload") return html`<${Upload} ...${{ label, hint, value, change }} />`;
      if (LONG.includes(name)) return field(html`<textarea rows="5" value=${value ?? ""} onInput=${(event) => change(event.target.value || undefined)}></textarea>`);
      return field(html`<input type=${shape.format === "password" || shape.writeOnly ? "password" : "text"} autocomplete="off" placeholder=${shape.default ?? ""} value=${value ?? ""} onInput=${(event) => change(event.target.value || undefined)} />`);
    case "array":
      return html`<${List} ...${{ shape, root, name, value, change, required, hint }} />`;
    case "object":
      if (shape.properties) return html`<fieldset><legend>${name}</legend>${hint}<${Fields} ...${{ schema: shape, root, value, change }} /></fieldset>`;
  }
  return html`<${AsJson} ...${{ label, hint, value, change }} />`;
}

/** The properties of an object: the required ones, then the others behind a fold. */
export function Fields({ schema, root, value, change }) {
  const needed = schema.required || [];
  const set = (name, next) => {
    const changed = { ...value };
    if (next === undefined) delete changed[name];
    else changed[name] = next;
    change(changed);
  };
  const field = ([name, property]) =>
    html`<${Field} key=${name} schema=${property} root=${root} name=${name} value=${value?.[name]} required=${needed.includes(name)} change=${(next) => set(name, next)} />`;
  const all = Object.entries(schema.properties || {});
  const first = all.filter(([name]) => needed.includes(name) || value?.[name] !== undefined);
  const others = all.filter(([name]) => !needed.includes(name) && value?.[name] === undefined);
  const [folded] = useState(needed.length > 0 || first.length > 0);
  return html`${first.map(field)}
    ${others.length > 0 && html`<details open=${!folded}><summary>${first.length ? "more options" : "options"}</summary>${others.map(field)}</details>`}`;
}

/** One of several shapes. */
function Choice({ shape, root, name, value, change, required }) {
  const shapes = shape.options.map((option) => plain(option, root));
  const title = (option, index) => option.title || Object.keys(option.properties || {}).join(", ") || option.type || `form ${index + 1}`;
  const [chosen, choose] = useState(Math.max(0, shapes.findIndex((option) => fits(option, value))));
  return html`<fieldset class="choice"><legend>${name}</legend>
    <label class="field"><span class="label">as</span><select onChange=${(event) => (choose(Number(event.target.value)), change(undefined))}>
      ${shapes.map((option, index) => html`<option value=${index} selected=${index === chosen}>${title(option, index)}</option>`)}
    </select></label>
    ${shapes[chosen].properties
      ? html`<${Fields} key=${chosen} schema=${shapes[chosen]} root=${root} value=${value} change=${change} />`
      : html`<${Field} key=${chosen} schema=${shapes[chosen]} root=${root} name="" value=${value} required=${required} change=${change} />`}
  </fieldset>`;
}

function fits(shape, value) {
  if (value === undefined) return false;
  if (shape.properties) return typeof value === "object" && !Array.isArray(value) && Object.keys(value || {}).every((name) => name in shape.properties);
  if (shape.type === "array") return Array.isArray(value);
  return shape.type === (Number.isInteger(value) ? "integer" : typeof value) || (shape.type === "number" && typeof value === "number");
}

function List({ shape, root, name, value, change, hint }) {
  const items = value || [];
  const set = (index, next) => change(items.map((item, place) => (place === index ? next : item)));
  const empty = plain(shape.items || {}, root).properties ? {} : undefined;
  return html`<fieldset class="list"><legend>${name}</legend>${hint}
    ${items.map(
      (item, index) => html`<div class="item">
        <${Field} schema=${shape.items || {}} root=${root} name=${String(index + 1)} value=${item} required change=${(next) => set(index, next)} />
        <button type="button" class="small" onClick=${() => change(items.filter((_, place) => place !== index))}>Remove</button>
      </div>`,
    )}
    <button type="button" class="small" onClick=${() => change([...items, empty])}>Add to ${name}</button>
  </fieldset>`;
}

function Upload({ label, hint, value, change }) {
  const [says, say] = useState("");
  const send = async (event) => {
    const [file] = event.target.files;
    if (!file) return;
    say(`storing ${file.name}…`);
    try {
      change(await upload(file));
      say(`${file.name} stored`);
    } catch (problem) {
      say(problem.message);
    }
  };
  return html`<div class="field"><label>${label}<input type="file" onChange=${send} /></label>
    <input aria-label="id of an upload" placeholder="or the id of an upload" value=${value ?? ""} onInput=${(event) => change(event.target.value || undefined)} /><small role="status">${says}</small>${hint}</div>`;
}

function AsJson({ label, hint, value, change }) {
  const [text, write] = useState(value === undefined ? "" : JSON.stringify(value, null, 2));
  const [wrong, complain] = useState("");
  const edit = (event) => {
    write(event.target.value);
    try {
      change(event.target.value.trim() ? JSON.parse(event.target.value) : undefined);
      complain("");
    } catch (error) {
      complain(error.message);
    }
  };
  return html`<label class="field">${label}<textarea rows="4" spellcheck="false" class="code" value=${text} onInput=${edit}></textarea>${wrong ? html`<small class="tone-bad">${wrong}</small>` : html`<small>JSON</small>`}${hint}</label>`;
}
