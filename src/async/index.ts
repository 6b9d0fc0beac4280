export {
  type AbortError,
  type CallOptions,
  Deadline,
  LONGEST_TIMER,
  onAbort,
  pause,
  signalOf,
  type Signals,
  throwIfAborted,
  untilAborted,
} from "./abort.ts";
export { type MemoizedAsync, memoizeAsync, MemoizedMap } from "./memoize.ts";
export { Condition, inThreadPool, SerialQueue, threadPoolIsBusy } from "./queue.ts";
