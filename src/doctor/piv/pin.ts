import { findTlv, readTlvs, SW } from "../../apdu/index.ts";
import { DataError, fromHex, startsWith, toHex } from "../../bytes/index.ts";
import { isNotFound } from "../../card/index.ts";
import { CONTAINER, type PivInspection } from "../../piv/index.ts";
import { valueOf } from "../certificates.ts";
import type { Check, Examination } from "../examination.ts";
import { judgePinStatus, PIN_CHECKS } from "../pin-status.ts";
import type { Login } from "./keys.ts";
import { type PivPatient, statusText } from "./patient.ts";

export const PIV_PIN_CHECKS = {
  FACTORY: {
    name: "factory-secret",
    level: "note",
    section: "SP 800-73-4 part 2 section 2.4.3",
    consequence: "Anyone who finds the card can use it: the value is in the maker's manual.",
    remedy: "Change it: cryptoki pin change, cryptoki puk change, and for the management key cryptoki so change.",
  },
  NO_METADATA: {
    name: "yubikey-metadata-missing",
    level: "note",
    section: "Yubico PIV extensions, GET METADATA",
    consequence: "The card does not report which slots hold keys, nor which of them need a touch or the PIN each time.",
    remedy: "Nothing needs to be done: firmware before 5.3 has no such command.",
  },
  NO_SERIAL: {
    name: "yubikey-serial-missing",
    level: "note",
    section: "Yubico PIV extensions, GET SERIAL",
    consequence: "Label and serial number of its token come from the CHUID, and change when another tool rewrites it.",
    remedy: "Nothing needs to be done: firmware before 5 has no such command.",
  },
} as const satisfies Record<string, Check>;

const SECTION = "SP 800-73-4 part 2 section 3.2.1";
const REFERENCE = { GLOBAL: 0x00, APPLICATION: 0x80, PUK: 0x81, MANAGEMENT_KEY: 0x9b } as const;
const ACCEPTS_GLOBAL_PIN = 0x20;
/** Second byte of the PIN usage policy (SP 800-73-4 part 1 section 3.3.2). */
const GLOBAL_IS_PRIMARY = 0x20;
/** From Yubico's metadata: whether it has the factory value, and its tries: at most, and left. */
const METADATA = { FACTORY: 0x05, TRIES: 0x06 } as const;

/**
 * Checks the state of the PINs: by the empty VERIFY, and if the card has them, by its metadata.
 * @param login Verifies the PIN, which is verified already; undefined if it was not given.
 */
export async function examinePins(
  { examination, inspection, objects }: PivPatient,
  atr: Uint8Array,
  login: Login,
): Promise<void> {
  const status = await inspection.pinStatus(REFERENCE.APPLICATION);
  judgePinStatus(examination, "PIV PIN", status, SECTION);
  const [policy = 0, primary = 0] = valueOf(objects.get(CONTAINER.DISCOVERY)?.value ?? new Uint8Array(), 0x5f2f) ?? [];
  if (login && isTries(status) && primary !== GLOBAL_IS_PRIMARY) await askWhileVerified(inspection, examination, login);
  if ((policy & ACCEPTS_GLOBAL_PIN) !== 0) {
    judgePinStatus(examination, "global PIN", await inspection.pinStatus(REFERENCE.GLOBAL), SECTION);
  }
  const announced = String.fromCharCode(...atr).includes("YubiKey");
  if (announced && !(await inspection.metadata(REFERENCE.MANAGEMENT_KEY))) {
    examination.found(PIV_PIN_CHECKS.NO_METADATA, "card", "It is a YubiKey that refuses GET METADATA.");
  }
  if (announced && (await inspection.deviceSerialStatus()) !== SW.OK) {
    examination.found(PIV_PIN_CHECKS.NO_SERIAL, "card", "It is a YubiKey that refuses GET SERIAL.");
  }
  for (const [name, reference] of [
    ["PIN", REFERENCE.APPLICATION],
    ["PUK", REFERENCE.PUK],
    ["management key", REFERENCE.MANAGEMENT_KEY],
  ] as const) {
    const metadata = await inspection.metadata(reference);
    if (metadata?.sw !== SW.OK) continue;
    const fields = readFields(metadata.data);
    if (fields.factory) examination.found(PIV_PIN_CHECKS.FACTORY, name, "It still has the factory value.");
    if (reference === REFERENCE.PUK && fields.triesLeft === 0) {
      examination.found(PIN_CHECKS.BLOCKED, name, "No tries are left: a blocked PIN cannot be unblocked any more.");
    }
  }
}

/** Verifies the PIN again, because something may have made the card forget it: a right PIN spends no try. */
async function askWhileVerified(
  inspection: PivInspection,
  examination: Examination,
  login: () => Promise<void>,
): Promise<void> {
  await login();
  const sw = await inspection.pinStatus(REFERENCE.APPLICATION);
  if (!isTries(sw)) return;
  const code = sw.toString(16).toUpperCase();
  const text = `Right after the PIN was verified, the card answers an empty VERIFY with ${code} instead of 9000.`;
  examination.found(PIN_CHECKS.NEVER_VERIFIED, "PIV PIN", text);
}

/** 63Cx. */
const isTries = (sw: number): boolean => sw >> 4 === 0x63c;

function readFields(data: Uint8Array): { readonly factory: boolean; readonly triesLeft: number | undefined } {
  try {
    const fields = readTlvs(data);
    return { factory: findTlv(fields, METADATA.FACTORY)?.[0] === 1, triesLeft: findTlv(fields, METADATA.TRIES)?.[1] };
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
    return { factory: false, triesLeft: undefined };
  }
}

const DISCOVERY_SECTION = "SP 800-73-4 part 1 section 3.3.2";

export const DISCOVERY_CHECKS = {
  MISSING: {
    name: "discovery-missing",
    level: "note",
    section: DISCOVERY_SECTION,
    consequence:
      "The card has the PIV PIN only. Finding out whether another program selected another application takes longer.",
    remedy: "Nothing needs to be done: the object is optional.",
  },
  MALFORMED: {
    name: "discovery-malformed",
    level: "defect",
    section: DISCOVERY_SECTION,
    consequence: "Programs cannot tell which PIN the card expects.",
    remedy: "Ask the card's issuer to write the discovery object again.",
  },
  GLOBAL_PIN: {
    name: "discovery-global-pin",
    level: "note",
    section: DISCOVERY_SECTION,
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

/** Checks the discovery object, which names the PINs (SP 800-73-4 part 1 section 3.3.2). */
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
  if (policy.length !== 2) return `Its PIN usage policy has ${policy.length} bytes instead of 2.`;
  if ((first & APPLICATION_PIN) === 0)
    return `Its PIN usage policy, ${digits}, leaves out the PIV PIN, which every card has.`;
  if ((first & GLOBAL_PIN) !== 0 && second !== PRIMARY.APPLICATION && second !== PRIMARY.GLOBAL) {
    return `Its PIN usage policy, ${digits}, does not say which of the two PINs is the primary one.`;
  }
  return undefined;
}
