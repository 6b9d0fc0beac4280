export { type MemoizedAsync, memoizeAsync, MemoizedMap } from "./memoize.ts";
export { loadOptional } from "./optional-package.ts";
export {
  type AbortError,
  type CallOptions,
  Condition,
  Deadline,
  inThreadPool,
  LONGEST_TIMER,
  nextTurn,
  onAbort,
  pause,
  SerialQueue,
  signalOf,
  type Signals,
  threadPoolIsBusy,
  throwIfAborted,
  untilAborted,
} from "./waiting.ts";
