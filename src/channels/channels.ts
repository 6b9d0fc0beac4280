import type { Channel as NodeChannel } from "node:diagnostics_channel";

/** A call of a Cryptoki function when it begins: `cryptoki:call:start`. */
export interface CallStart {
  /** Number of the call in this process, from 1. */
  readonly id: number;
  /** Time of the call: milliseconds since 1970. */
  readonly time: number;
  /** "C_Sign". */
  readonly function: string;
  /** The handle that the caller gave, if the function takes one. */
  readonly session?: number;
  /** The slot that the caller gave, if the function takes one. */
  readonly slot?: number;
}

/** A call of a Cryptoki function when it has ended: `cryptoki:call`. */
export interface CallEnd extends CallStart {
  /** Milliseconds from the call to its end. */
  readonly duration: number;
  /** "CKR_OK", or the name of the error. */
  readonly rv: string;
}

/** One exchange with a card, without its data: `cryptoki:apdu`. */
export interface ApduExchange {
  /** Time of the command: milliseconds since 1970. */
  readonly time: number;
  /** Milliseconds until the answer, or the error. */
  readonly duration: number;
  readonly reader: string;
  /** Class byte. */
  readonly cla: number;
  /** Instruction byte. */
  readonly ins: number;
  /** The standard's name of the command: "VERIFY"; "INS 5A" for an unknown one. */
  readonly name: string;
  /** Bytes of the command; absent if they would show the length of a PIN or a key. */
  readonly commandLength?: number;
  /** Bytes of the answer with its status word; absent without an answer, and for a secret answer. */
  readonly answerLength?: number;
  /** The status word; absent without an answer. */
  readonly sw?: number;
  /** Whether the transport failed: there was no answer. */
  readonly failed: boolean;
}

/** The wait of one caller for a card: `cryptoki:queue`. */
export interface CardWait {
  /** Time at which the wait began: milliseconds since 1970. */
  readonly time: number;
  readonly reader: string;
  /** Milliseconds for other callers of this process. */
  readonly queued: number;
  /** Milliseconds for other programs: until the PC/SC transaction was there. 0 if one was open. */
  readonly transaction: number;
  /** Callers of this process that waited already. */
  readonly ahead: number;
}

/** A card that came or went: `cryptoki:card`. */
export interface CardChange {
  /** Milliseconds since 1970. */
  readonly time: number;
  readonly reader: string;
  readonly change: "inserted" | "removed";
  /** The answer to reset of an inserted card, hexadecimal. */
  readonly atr?: string;
}

/** A login that a card accepted or refused: `cryptoki:login`. Nothing of the PIN. */
export interface LoginOutcome {
  /** Milliseconds since 1970. */
  readonly time: number;
  readonly slot: number;
  readonly user: "user" | "so";
  /** "accepted"; else why not. "failed": the card did not compare the PIN, or its answer did not arrive. */
  readonly outcome:
    "accepted" | "incorrect" | "blocked" | "length" | "characters" | "unacceptable" | "not-set" | "failed";
  /** Tries that the card has left for this PIN, if it says so. */
  readonly triesLeft?: number;
}

/** A failure: `cryptoki:error`. No message, which may name a card's contents. */
export interface Failure {
  /** Milliseconds since 1970. */
  readonly time: number;
  /** "cryptoki": a call that did not return CKR_OK. "card": an exchange without an answer. */
  readonly layer: "cryptoki" | "card";
  /** "CKR_PIN_INCORRECT"; for the layer "card" the class of the error: "CardGoneError". */
  readonly code: string;
  /** Of the layer "cryptoki". */
  readonly function?: string;
  /** Of the layer "card". */
  readonly reader?: string;
}

/** The payload of each channel. */
export interface ChannelPayloads {
  "cryptoki:call:start": CallStart;
  "cryptoki:call": CallEnd;
  "cryptoki:apdu": ApduExchange;
  "cryptoki:queue": CardWait;
  "cryptoki:card": CardChange;
  "cryptoki:login": LoginOutcome;
  "cryptoki:error": Failure;
}

/** The names of the channels of node:diagnostics_channel on which this package publishes. */
export type ChannelName = keyof ChannelPayloads;

/** The part of a channel of node:diagnostics_channel that this package uses. */
export interface EventChannel<Payload> {
  /** Makes no event if this is false. */
  readonly hasSubscribers: boolean;
  publish(payload: Payload): void;
  subscribe(listener: (payload: unknown) => void): void;
  unsubscribe(listener: (payload: unknown) => void): unknown;
  /** Runs `work` in the context that subscribers bound to the channel (bindStore). */
  runStores<Result>(payload: Payload, work: () => Result): Result;
}

/** Of a runtime without node:diagnostics_channel. */
const SILENT: EventChannel<unknown> = {
  hasSubscribers: false,
  publish: () => undefined,
  subscribe: () => undefined,
  unsubscribe: () => undefined,
  runStores: (_payload, work) => work(),
};

// By process.getBuiltinModule, which is no import: a bundle for a browser needs nothing in its place.
function channel<Name extends ChannelName>(name: Name): EventChannel<ChannelPayloads[Name]> {
  if (typeof process === "undefined" || typeof process.getBuiltinModule !== "function") return SILENT;
  const found: NodeChannel = process.getBuiltinModule("node:diagnostics_channel").channel(name);
  return found;
}

/** The channels by their last word. One process has one of each, also if this package is loaded twice. */
export const CHANNELS = {
  callStart: channel("cryptoki:call:start"),
  call: channel("cryptoki:call"),
  apdu: channel("cryptoki:apdu"),
  queue: channel("cryptoki:queue"),
  card: channel("cryptoki:card"),
  login: channel("cryptoki:login"),
  error: channel("cryptoki:error"),
} as const;

/** The channels by their whole names. */
export const CHANNELS_BY_NAME: { readonly [Name in ChannelName]: EventChannel<ChannelPayloads[Name]> } = {
  "cryptoki:call:start": CHANNELS.callStart,
  "cryptoki:call": CHANNELS.call,
  "cryptoki:apdu": CHANNELS.apdu,
  "cryptoki:queue": CHANNELS.queue,
  "cryptoki:card": CHANNELS.card,
  "cryptoki:login": CHANNELS.login,
  "cryptoki:error": CHANNELS.error,
};
