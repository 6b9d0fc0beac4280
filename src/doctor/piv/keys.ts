import { SW } from "../../apdu/index.ts";
import { DataError, equalBytes } from "../../bytes/index.ts";
import { isKeyResult, UnsupportedError } from "../../card/index.ts";
import {
  curveInfo,
  digestInfo,
  encodePkcs1Signature,
  generateEcKey,
  keyTypeOf,
  parsePublicKey,
  randomBytes,
} from "../../crypto/index.ts";
import type { InspectedProof, InspectedSlot, InspectedUse } from "../../piv/index.ts";
import type { Check } from "../examination.ts";
import { type PivPatient, statusText } from "./patient.ts";
import type { CertifiedSlot } from "./slots.ts";

export const KEY_CHECKS = {
  MISMATCH: {
    name: "key-mismatch",
    level: "defect",
    section: "FIPS 201-2 section 4.2.2",
    consequence:
      "Whoever checks a signature of this key with its certificate refuses it, and what was encrypted for it stays unreadable.",
    remedy: "Write the certificate that belongs to the key, or import the key that belongs to the certificate.",
  },
  REFUSED: {
    name: "key-refused",
    level: "defect",
    section: "SP 800-73-4 part 2 section 3.2.4",
    consequence: "The certificate is there, and its key cannot be used. There may be no key in its place.",
    remedy: "Make or import the key, or delete its certificate.",
  },
} as const satisfies Record<string, Check>;

/** Verifies the PIN; undefined if it was not given. */
export type Login = (() => Promise<void>) | undefined;

/** Has each key compute something that its certificate can check: without the PIN only those that want none. */
export async function proveKeys(patient: PivPatient, slots: readonly CertifiedSlot[], login: Login): Promise<void> {
  for (const { slot, facts } of slots) {
    if (slot.pin !== "never" && !login) {
      patient.examination.unchecked(`key ${slot.name}`, "using it needs the PIN: --login");
      continue;
    }
    if (slot.pin === "always") await login?.();
    await proveKey(patient, slot, facts.publicKeyInfo);
  }
}

async function proveKey(patient: PivPatient, slot: InspectedSlot, publicKey: Uint8Array): Promise<void> {
  const { examination } = patient;
  const where = `key ${slot.name}`;
  let use: InspectedUse;
  try {
    use = await patient.inspection.use(slot.name, await proofFor(slot, publicKey));
  } catch (error) {
    if (!(error instanceof DataError || error instanceof UnsupportedError)) throw error;
    examination.unchecked(where, "this driver does not compute with keys of its type");
    return;
  }
  if (use.right) return;
  if (use.sw === SW.SECURITY_STATUS_NOT_SATISFIED && slot.pin !== "never") {
    examination.unchecked(where, "the card refused its use, although the PIN is verified; a touch may be missing");
  } else if (use.sw !== SW.OK || use.problem !== undefined) {
    const answer = use.problem === undefined ? statusText(use) : "something that does not parse";
    examination.found(KEY_CHECKS.REFUSED, where, `The card answers ${answer}.`);
  } else {
    examination.found(KEY_CHECKS.MISMATCH, where, "What it computes does not fit the public key of its certificate.");
  }
}

/**
 * A signature; a key agreement for EC keys that agree on keys.
 * @throws {DataError} for a key that the host cannot compute with.
 */
async function proofFor(slot: InspectedSlot, spki: Uint8Array): Promise<InspectedProof> {
  const key = parsePublicKey(spki);
  const type = keyTypeOf(spki);
  if (type.type === "ec" && (slot.name === "9D" || slot.retired !== undefined) && key.type === "ec") {
    const other = await generateEcKey(type.curve);
    if (other.publicKey.type !== "ec") throw new DataError("no EC key");
    const expected = other.compute("ecdh", key.point);
    const isRight = (result: Uint8Array): boolean => equalBytes(result, expected);
    return { type, primitive: "ecdh", input: other.publicKey.point, isRight };
  }
  const hash = randomBytes(32);
  if (type.type === "ec") {
    const input = hash.subarray(0, curveInfo(type.curve).bytes);
    return { type, primitive: "ecdsa", input, isRight: (result) => isKeyResult(spki, "ecdsa", input, result) === true };
  }
  const input = encodePkcs1Signature(digestInfo("sha256", hash), type.modulusBits / 8);
  return {
    type,
    primitive: "rsa-raw",
    input,
    isRight: (result) => isKeyResult(spki, "rsa-raw", input, result) === true,
  };
}
