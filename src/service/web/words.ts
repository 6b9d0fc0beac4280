import type { Certificate, Key, PinState } from "./api.ts";
import type { Tone } from "./elements.ts";

/** A state in words, and how good it is. */
export interface State {
  readonly text: string;
  readonly tone: Tone;
}

const DAY = 86_400_000;
/** Days before its end from which a certificate counts as expiring. */
const SOON = 30;

const date = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeZone: "UTC" });
export const dateText = (iso: string): string => date.format(new Date(iso));

/** Whether a certificate is valid, in words. */
export function validity({ notBefore, notAfter }: Certificate, now: number): State {
  const end = Date.parse(notAfter);
  if (now >= end) return { text: "Expired", tone: "bad" };
  if (now < Date.parse(notBefore)) return { text: "Not valid yet", tone: "warn" };
  const days = Math.ceil((end - now) / DAY);
  if (days > SOON) return { text: "Valid", tone: "good" };
  return { text: days === 1 ? "Expires within a day" : `Expires in ${days} days`, tone: "warn" };
}

const PINS: Readonly<Record<PinState["status"], State>> = {
  usable: { text: "PIN can be used", tone: "good" },
  low: { text: "PIN can be used; a wrong PIN was entered, so fewer tries are left", tone: "warn" },
  "final-try": { text: "One try left: a wrong PIN blocks it", tone: "warn" },
  locked: { text: "PIN is blocked: no tries left", tone: "bad" },
  "not-set": { text: "No PIN is set", tone: "plain" },
  "must-change": { text: "The PIN must be changed before use", tone: "warn" },
};
export const pinText = ({ status }: PinState): State => PINS[status];

export const triesText = (left: number): string => (left === 1 ? "1 try left" : `${left} tries left`);

export function algorithmText({ type, bits, curve }: Key["algorithm"]): string {
  if (type === "rsa") return `RSA, ${bits ?? "?"} bits`;
  if (type === "ec") return `EC, ${curve ?? "?"}`;
  return type === "ed25519" ? "Ed25519" : "X25519";
}

export function keyName({ label, reference, key }: Key): string {
  const name = label === "" ? key.slice(0, 12) : label;
  return reference === undefined ? name : `${name} (${reference.toUpperCase()})`;
}
