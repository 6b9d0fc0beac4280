import { readTlvs, findTlv, SW } from "../../apdu/index.ts";
import { DataError, fromHex, startsWith, toHex } from "../../bytes/index.ts";
import { isNotFound } from "../../card/index.ts";
import { CONTAINER } from "../../piv/index.ts";
import type { Check } from "../examination.ts";
import { type PivPatient, statusText } from "./patient.ts";

const SECTION = "SP 800-73-4 part 1 section 3.3.2";

export const DISCOVERY_CHECKS = {
  MISSING: {
    name: "discovery-missing",
    level: "note",
    section: SECTION,
    consequence:
      "The card has the PIV PIN only. Finding out whether another program selected another application takes longer.",
    remedy: "Nothing needs to be done: the object is optional.",
  },
  MALFORMED: {
    name: "discovery-malformed",
    level: "defect",
    section: SECTION,
    consequence: "Programs cannot tell which PIN the card wants.",
    remedy: "Ask the card's issuer to write the discovery object again.",
  },
  GLOBAL_PIN: {
    name: "discovery-global-pin",
    level: "note",
    section: SECTION,
    consequence: "A prompt for the PIN means the primary one. The other one opens the same keys.",
    remedy: "Nothing needs to be done.",
  },
} as const satisfies Record<string, Check>;

/** Application identifier of PIV, without its version (SP 800-73-4 part 1 section 2.2). */
const PIV = fromHex("a000000308000010 00");
const APPLICATION_PIN = 0x40;
const GLOBAL_PIN = 0x20;
/** Second byte of the policy: which of two PINs is the primary one. */
const PRIMARY = { APPLICATION: 0x10, GLOBAL: 0x20 } as const;

/** The discovery object: which PINs there are (SP 800-73-4 part 1 section 3.3.2). */
export function examineDiscovery({ examination, objects }: PivPatient): void {
  const { name } = CONTAINER.DISCOVERY;
  const answer = objects.get(CONTAINER.DISCOVERY);
  if (!answer || (answer.value === undefined && answer.problem === undefined)) {
    const said =
      answer && answer.sw !== SW.OK && !isNotFound(answer.sw) ? ` (the card answers ${statusText(answer)})` : "";
    examination.found(DISCOVERY_CHECKS.MISSING, name, `The card has none${said}.`);
    return;
  }
  const problem = answer.problem ?? policyProblem(answer.value ?? new Uint8Array());
  if (problem !== undefined) examination.found(DISCOVERY_CHECKS.MALFORMED, name, problem);
  const [first = 0, second = 0] = policyOf(answer.value ?? new Uint8Array());
  if (problem === undefined && (first & GLOBAL_PIN) !== 0) {
    const primary =
      second === PRIMARY.GLOBAL ? "The card's global PIN is the primary one" : "The PIV PIN is the primary one";
    const other = second === PRIMARY.GLOBAL ? "the PIV PIN" : "the card's global PIN";
    examination.found(DISCOVERY_CHECKS.GLOBAL_PIN, name, `${primary}; ${other} is accepted too.`);
  }
}

function policyOf(value: Uint8Array): Uint8Array {
  try {
    return findTlv(readTlvs(value), 0x5f2f) ?? new Uint8Array();
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
    return new Uint8Array();
  }
}

function policyProblem(value: Uint8Array): string | undefined {
  let aid: Uint8Array;
  try {
    aid = findTlv(readTlvs(value), 0x4f) ?? new Uint8Array();
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
    return `It does not parse: ${error.message}.`;
  }
  const policy = policyOf(value);
  const [first = 0, second = 0] = policy;
  const digits = toHex(policy).toUpperCase();
  if (!startsWith(aid, PIV))
    return `It names the application ${toHex(aid).toUpperCase() || "of no name"}, which is not PIV.`;
  if (policy.length !== 2) return `Its PIN usage policy has ${policy.length} bytes, and 2 are wanted.`;
  if ((first & APPLICATION_PIN) === 0)
    return `Its PIN usage policy, ${digits}, leaves out the PIV PIN, which every card has.`;
  if ((first & GLOBAL_PIN) !== 0 && second !== PRIMARY.APPLICATION && second !== PRIMARY.GLOBAL) {
    return `Its PIN usage policy, ${digits}, does not say which of the two PINs is the primary one.`;
  }
  return undefined;
}
