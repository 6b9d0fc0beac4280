import { type CommandApdu, encodeTlv, findTlv, MalformedAnswerError, readTlvs } from "../apdu/index.ts";
import { DataError } from "../bytes/index.ts";
import { type KeyType, UnsupportedError } from "../card/index.ts";
import { algorithmOf } from "./algorithms.ts";
import type { KeySlot } from "./keys.ts";
import { readPublicKeyObjects } from "./public-key-objects.ts";

/** GENERATE ASYMMETRIC KEY PAIR (SP 800-73-4 part 2 section 3.3.2); the management key must be authenticated. */
export function generate(slot: KeySlot, type: KeyType): CommandApdu {
  const algorithm = algorithmOf(type);
  if (algorithm === undefined) throw new UnsupportedError("PIV has no algorithm identifier for keys of this type");
  const template = encodeTlv(0xac, encodeTlv(0x80, Uint8Array.of(algorithm)));
  return { cla: 0x00, ins: 0x47, p1: 0x00, p2: slot.reference, data: template, ne: 65_536, long: true };
}

/**
 * The public key in the answer, under 7F49.
 * @returns SubjectPublicKeyInfo, DER.
 * @throws {MalformedAnswerError} if it does not hold a key of this type.
 */
export function readGenerated(type: KeyType, answer: Uint8Array): Uint8Array {
  try {
    const template = findTlv(readTlvs(answer), 0x7f49) ?? new Uint8Array();
    return readPublicKeyObjects(type, readTlvs(template, "generated public key"));
  } catch (cause) {
    if (!(cause instanceof DataError)) throw cause;
    throw new MalformedAnswerError(`the public key that the card made does not parse: ${cause.message}`, { cause });
  }
}
