export { type AbortError, Deadline, onAbort, pause, type Signals, throwIfAborted, untilAborted } from "./abort.ts";
export { type CallOptions, signalOf } from "./call-options.ts";
export { type MemoizedAsync, memoizeAsync, MemoizedMap } from "./memoize.ts";
export { Condition, inThreadPool, SerialQueue, threadPoolIsBusy } from "./queue.ts";
