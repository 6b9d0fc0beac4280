import { SW } from "../../apdu/index.ts";
import { DataError, equalBytes } from "../../bytes/index.ts";
import { isKeyResult, isRsaResult, UnsupportedError } from "../../card/index.ts";
import {
  curveInfo,
  digestInfo,
  ecdsaFromDer,
  ecdsaToDer,
  type EcPublicKey,
  encodePkcs1Signature,
  generateEcKey,
  parsePublicKey,
  randomBytes,
  rsaPublic,
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
      "Programs that check a signature of this key with its certificate refuse it, and data encrypted for the certificate cannot be decrypted.",
    remedy: "Write the certificate that belongs to the key, or import the key that belongs to the certificate.",
  },
  REFUSED: {
    name: "key-refused",
    level: "defect",
    section: "SP 800-73-4 part 2 section 3.2.4",
    consequence: "The certificate is there, but its key cannot be used. Its slot may be empty.",
    remedy: "Generate or import the key, or delete its certificate.",
  },
  TOUCH: {
    name: "key-touch",
    level: "note",
    section: "SP 800-73-4 part 2 section 3.2.4",
    consequence: "The key needs something besides the PIN, such as a touch, and was not tested.",
    remedy: "Examine the card once more, and touch it when it blinks.",
  },
  RESULT_FORM: {
    name: "key-result-form",
    level: "defect",
    section: "SP 800-73-4 part 2 section 3.2.4 and appendix A",
    consequence: "Programs that do not correct the result get a wrong one, sometimes or always.",
    remedy: "This driver corrects such results if possible. Other programs need to do so too.",
  },
} as const satisfies Record<string, Check>;

/** Verifies the PIN; undefined if it was not given. */
export type Login = (() => Promise<void>) | undefined;

/** Tests each key by an operation that its certificate can check: without the PIN only keys that need none. */
export async function proveKeys(patient: PivPatient, slots: readonly CertifiedSlot[], login: Login): Promise<void> {
  for (const { slot, facts } of slots) {
    if (slot.pin !== "never" && !login) {
      patient.examination.unchecked(`key ${slot.name}`, "using it needs the PIN: --login");
      continue;
    }
    await proveKey(patient, slot, facts.publicKeyInfo, slot.pin === "never" ? undefined : login);
  }
}

async function proveKey(patient: PivPatient, slot: InspectedSlot, publicKey: Uint8Array, login: Login): Promise<void> {
  const { examination } = patient;
  const where = `key ${slot.name}`;
  try {
    for (let round = 0; round < ROUNDS; round++) {
      const proof = await proofFor(slot, publicKey);
      // Any key may need the PIN each time: a right PIN spends no try.
      await login?.();
      const use = await patient.inspection.use(slot.name, proof);
      // A result of a wrong length is reported as such, not as a wrong key.
      if (judgeForm(patient, where, proof, use) || judgeUse(patient, where, use)) return;
      if (proof.primitive !== "ecdsa") return;
    }
  } catch (error) {
    if (!(error instanceof DataError || error instanceof UnsupportedError)) throw error;
    examination.unchecked(where, "this driver does not support keys of its type");
  }
}

/** Signatures made with an EC key: a missing sign byte shows in three of four. */
export const ROUNDS = 6;

/** @returns Whether there is a finding: the key does not match its certificate. */
function judgeUse({ examination }: PivPatient, where: string, use: InspectedUse): boolean {
  if (use.right) return false;
  if (use.sw === SW.SECURITY_STATUS_NOT_SATISFIED) {
    examination.found(
      KEY_CHECKS.TOUCH,
      where,
      "The card refused its use (6982), although all conditions of the standard are met.",
    );
  } else if (use.sw !== SW.OK) {
    examination.found(KEY_CHECKS.REFUSED, where, `The card answers ${statusText(use)}.`);
  } else if (use.problem !== undefined) {
    examination.found(KEY_CHECKS.RESULT_FORM, where, `Its result cannot be read: ${use.problem}.`);
  } else {
    examination.found(KEY_CHECKS.MISMATCH, where, "Its result does not match the public key of its certificate.");
  }
  return true;
}

/** @returns Whether there is a finding: a result does not have the standard's form. */
function judgeForm(
  { examination }: PivPatient,
  where: string,
  { publicKey, primitive }: InspectedProof,
  { written }: InspectedUse,
): boolean {
  if (!written) return false;
  const key = parsePublicKey(publicKey);
  const found = (text: string): boolean => {
    examination.found(KEY_CHECKS.RESULT_FORM, where, text);
    return true;
  };
  if (key.type === "rsa") {
    const { length } = key.modulus;
    return written.length !== length && found(`Its result has ${written.length} bytes; the modulus has ${length}.`);
  }
  if (key.type !== "ec") return false;
  const { bytes } = curveInfo(key.curve);
  if (primitive === "ecdh") {
    return written.length !== bytes && found(`The shared secret has ${written.length} bytes; the field has ${bytes}.`);
  }
  return !isDer(written, key) && found("The INTEGERs of its signature are not DER.");
}

/** Whether an ECDSA signature is Ecdsa-Sig-Value in DER. */
export function isDer(signature: Uint8Array, { curve }: EcPublicKey): boolean {
  try {
    return equalBytes(ecdsaToDer(ecdsaFromDer(signature, curve)), signature);
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
    return false;
  }
}

/**
 * A signature; for a key that establishes keys, an operation whose result begins with a zero, which some cards drop.
 * @throws {DataError} for a key that the host does not support.
 */
async function proofFor(slot: InspectedSlot, publicKey: Uint8Array): Promise<InspectedProof> {
  const key = parsePublicKey(publicKey);
  const establishes = slot.name === "9D" || slot.retired !== undefined;
  if (key.type === "ec") {
    if (establishes) return agreement(publicKey, key);
    const input = randomBytes(32).subarray(0, curveInfo(key.curve).bytes);
    return {
      publicKey,
      primitive: "ecdsa",
      input,
      isRight: async (result) => (await isKeyResult(publicKey, "ecdsa", input, result)) === true,
    };
  }
  if (key.type !== "rsa") throw new DataError("a key of a type that PIV does not have");
  const size = key.modulus.length;
  if (establishes) {
    // A ciphertext may be any number below the modulus.
    const plain = Uint8Array.from([0, ...randomBytes(size - 1)]);
    const isRight = (result: Uint8Array): boolean => equalBytes(result, plain);
    return { publicKey, primitive: "rsa-raw", input: rsaPublic(key, plain), isRight };
  }
  const input = encodePkcs1Signature(digestInfo("sha256", randomBytes(32)), size);
  const isRight = (result: Uint8Array): boolean => isRsaResult(publicKey, "rsa-raw", input, result) === true;
  return { publicKey, primitive: "rsa-raw", input, isRight };
}

/** Attempts for an ephemeral key: one in 256 agrees on a secret that begins with a zero. */
const MOST_KEYS = 1024;

/**
 * A key agreement whose secret begins with a zero, which some cards drop.
 * @throws {DataError} for a curve that the host does not support.
 */
export async function agreement(publicKey: Uint8Array, key: EcPublicKey): Promise<InspectedProof> {
  let expected = new Uint8Array();
  let input = new Uint8Array();
  for (let count = 0; count < MOST_KEYS && (count === 0 || expected[0] !== 0); count++) {
    const other = await generateEcKey(key.curve);
    if (other.publicKey.type !== "ec") throw new DataError("not an EC key");
    input = Uint8Array.from(other.publicKey.point);
    expected = Uint8Array.from(await other.compute("ecdh", key.point));
  }
  return { publicKey, primitive: "ecdh", input, isRight: (result) => equalBytes(result, expected) };
}
