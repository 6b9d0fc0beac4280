import { CardError, encodeTlv, findTlv, MalformedAnswerError, readTlvs, StatusError, SW } from "../apdu/index.ts";
import { copySecret, DataError, equalBytes, secretBytes } from "../bytes/index.ts";
import { type OfficerKeyAlgorithm, PinError } from "../card/index.ts";
import { type BlockCipher, blockLength, decryptBlock, encryptBlock, randomBytes } from "../crypto/index.ts";
import type { PivExchange } from "./session.ts";

/** Key reference of the card management key (SP 800-73-4 part 1 table 5). */
export const MANAGEMENT_KEY = 0x9b;

/** Algorithm identifiers (SP 800-78-5 table 9) for a key of this many bytes, the most common one first. */
const ALGORITHMS: ReadonlyMap<number, readonly { readonly id: number; readonly cipher: BlockCipher }[]> = new Map([
  [16, [{ id: 0x08, cipher: "aes" }]],
  [
    24,
    [
      { id: 0x03, cipher: "3des" },
      { id: 0x0a, cipher: "aes" },
    ],
  ],
  [32, [{ id: 0x0c, cipher: "aes" }]],
]);

/** Algorithm identifiers by their names (SP 800-78-5 table 9), and the lengths of their keys in bytes. */
export const OFFICER_ALGORITHMS: Readonly<
  Record<OfficerKeyAlgorithm, { readonly id: number; readonly length: number }>
> = {
  "3des": { id: 0x03, length: 24 },
  "aes-128": { id: 0x08, length: 16 },
  "aes-192": { id: 0x0a, length: 24 },
  "aes-256": { id: 0x0c, length: 32 },
};

/** The name of an algorithm identifier; undefined for one that is not a management key's. */
export function officerAlgorithmOf(id: number | undefined): OfficerKeyAlgorithm | undefined {
  const names = Object.keys(OFFICER_ALGORITHMS) as OfficerKeyAlgorithm[];
  return names.find((name) => OFFICER_ALGORITHMS[name].id === id);
}

/**
 * Parses a management key as typed by a security officer: 32, 48 or 64 hexadecimal digits, as in other PIV modules, or
 * the key itself, 16, 24 or 32 bytes.
 * @throws {PinError} for any other length; nothing was sent to the card.
 */
export function readManagementKey(pin: Uint8Array): Uint8Array {
  // 32 digits could also be a key of 32 bytes, but a user does not type one of those.
  if (ALGORITHMS.has(pin.length / 2) && pin.every((byte) => nibble(byte) !== undefined)) return fromDigits(pin);
  if (ALGORITHMS.has(pin.length)) return copySecret(pin);
  throw new PinError("length", "a management key has 32, 48 or 64 hexadecimal digits; the card was not asked");
}

/** The value of a hexadecimal digit in ASCII. Avoids a string of the key, which could not be wiped. */
function nibble(ascii: number): number | undefined {
  if (ascii >= 0x30 && ascii <= 0x39) return ascii - 0x30;
  const upper = ascii & ~0x20;
  return upper >= 0x41 && upper <= 0x46 ? upper - 0x37 : undefined;
}

function fromDigits(digits: Uint8Array): Uint8Array {
  const half = (index: number): number => nibble(digits[index] ?? 0) ?? 0;
  const key = secretBytes(digits.length / 2);
  for (const index of key.keys()) key[index] = (half(2 * index) << 4) | half(2 * index + 1);
  return key;
}

/**
 * Mutual authentication with the card management key (SP 800-73-4 part 2 appendix A.2): the card and the host prove to
 * each other that they have the key, which is never transmitted.
 * @returns The identifier of the key's algorithm.
 * @throws {PinError} if the card refuses the proof; {@link MalformedAnswerError} if the card's own proof is wrong.
 */
export async function authenticate(send: PivExchange, key: Uint8Array): Promise<number> {
  for (const { id, cipher } of ALGORITHMS.get(key.length) ?? []) {
    const { data, sw } = await send(generalAuthenticate(id, encodeTlv(0x80)));
    // The management key has another algorithm with the same key length.
    if (sw === SW.INCORRECT_P1_P2 || sw === SW.WRONG_DATA) continue;
    if (sw !== SW.OK) throw failed(sw);
    await prove(send, id, cipher, key, readTemplate(data, 0x80, blockLength(cipher)));
    return id;
  }
  throw new PinError("incorrect", "the card's management key has another algorithm or length");
}

/** The algorithm that a new key gets: that of the old one, if the key has its length; else AES. */
export function newKeyAlgorithm(key: Uint8Array, before: number): number {
  const fitting = ALGORITHMS.get(key.length) ?? [];
  const same = fitting.find(({ id }) => id === before);
  return (same ?? fitting.find(({ cipher }) => cipher === "aes"))?.id ?? before;
}

async function prove(
  send: PivExchange,
  algorithm: number,
  cipher: BlockCipher,
  key: Uint8Array,
  witness: Uint8Array,
): Promise<void> {
  const challenge = randomBytes(blockLength(cipher));
  const proof = encodeTlv(0x80, decryptBlock(cipher, key, witness));
  const { data, sw } = await send(generalAuthenticate(algorithm, proof, encodeTlv(0x81, challenge)));
  if (isRefusedProof(sw)) {
    const cause = new StatusError(ACTION, sw);
    throw new PinError("incorrect", "the management key is wrong", cause.triesLeft, { cause });
  }
  if (sw !== SW.OK) throw failed(sw);
  if (!equalBytes(readTemplate(data, 0x82, blockLength(cipher)), encryptBlock(cipher, key, challenge))) {
    throw new MalformedAnswerError("the card does not have the management key that it accepted");
  }
}

const ACTION = "GENERAL AUTHENTICATE with the management key";

/**
 * Whether a status word means that the proof is wrong: 6982 (SP 800-73-4 part 2 section 3.2.4), 6300, 63Cx, or 6A80,
 * because the proof's form is right.
 */
function isRefusedProof(sw: number): boolean {
  if (sw === SW.SECURITY_STATUS_NOT_SATISFIED || sw === SW.VERIFICATION_FAILED || sw === SW.WRONG_DATA) return true;
  return (new StatusError(ACTION, sw).triesLeft ?? 0) > 0 || sw === SW.TRIES_LEFT;
}

/**
 * The card failed before it checked the key. Its status word is only the cause, because alone it may mean something
 * else.
 */
function failed(sw: number): CardError {
  const cause = new StatusError(ACTION, sw);
  return new CardError(`the card failed to check the management key: ${cause.message}`, { cause });
}

function generalAuthenticate(algorithm: number, ...objects: Uint8Array[]): Parameters<PivExchange>[0] {
  const data = encodeTlv(0x7c, ...objects);
  return { cla: 0x00, ins: 0x87, p1: algorithm, p2: MANAGEMENT_KEY, data, ne: 256, conceal: "both" };
}

function readTemplate(answer: Uint8Array, tag: number, length: number): Uint8Array {
  try {
    const template = findTlv(readTlvs(answer), 0x7c);
    const value = template && findTlv(readTlvs(template), tag);
    if (value?.length === length) return value;
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
  }
  throw new MalformedAnswerError(`the card's answer lacks ${length} bytes under tag ${tag.toString(16)}`);
}
