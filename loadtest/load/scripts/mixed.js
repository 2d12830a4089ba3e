// All kinds, in the order of a wheel of a hundred places: MIX is a list of [places, job]. RATE a second for LASTING s.
import exec from "k6/execution";
import { ANSWERED, COMMON, open, submit } from "./submit.js";
export { handleSummary } from "./submit.js";

const rate = Number(__ENV.RATE);
const jobs = JSON.parse(__ENV.MIX).flatMap(([places, job]) => Array(places).fill(job));
// 37 and 100 have no factor in common: every place is met once in a hundred, and the kinds are spread.
const wheel = jobs.map((_, place) => jobs[(place * 37) % jobs.length]);

export const options = {
  ...COMMON,
  scenarios: { mixed: open([{ target: rate, duration: `${__ENV.LASTING}s` }], rate) },
  thresholds: { ...ANSWERED, refused: [{ threshold: "rate==0" }] },
};

export default () => submit(wheel[exec.scenario.iterationInTest % wheel.length]);
