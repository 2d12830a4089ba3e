// The same rate all the while, whatever becomes of the answers: an open loop. RATE a second for LASTING seconds.
import { ANSWERED, COMMON, NOOP, open, submit } from "./submit.js";
export { handleSummary } from "./submit.js";

const rate = Number(__ENV.RATE);

export const options = {
  ...COMMON,
  scenarios: { steady: open([{ target: rate, duration: `${__ENV.LASTING}s` }], rate) },
  thresholds: { ...ANSWERED, accepted: [{ threshold: `p(99)<${__ENV.PROMISED || 50}` }] },
};

export default () => submit(NOOP);
