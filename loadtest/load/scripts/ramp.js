// From nothing to far more than the api sustains: RATE a second after LASTING seconds.
import { ANSWERED, COMMON, NOOP, open, submit } from "./submit.js";
export { handleSummary } from "./submit.js";

export const options = {
  ...COMMON,
  scenarios: { ramp: open([{ target: Number(__ENV.RATE), duration: `${__ENV.LASTING}s` }], 10) },
  thresholds: ANSWERED,
};

export default () => submit(NOOP);
