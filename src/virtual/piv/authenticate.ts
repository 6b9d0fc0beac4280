import { timingSafeEqual, randomBytes } from "node:crypto";
import { encodeTlv, findTlv, readTlvs, type Tlv, SW } from "../../apdu/index.ts";
import { Refusal } from "../card.ts";
import type { CardCommand } from "../transport.ts";
import { describeKey, ecdh, ecdsa, eddsa, rsaRaw, x25519 } from "../keys.ts";
import { deviatingEcdh, deviatingEcdsa, deviatingRsa, type ResultDeviation } from "../result-deviations.ts";
import {
  ALGORITHM,
  algorithmOf,
  type Challenge,
  encryptBlock,
  establishesKeys,
  MANAGEMENT_ALGORITHMS,
  MANAGEMENT_KEY,
  type PivContext,
  type PivKey,
  requirePin,
} from "./model.ts";

/** Data objects of the dynamic authentication template (SP 800-73-4 part 2 table 7). */
const DYNAMIC = { TEMPLATE: 0x7c, WITNESS: 0x80, CHALLENGE: 0x81, RESPONSE: 0x82, EXPONENTIATION: 0x85 } as const;

/** GENERAL AUTHENTICATE (SP 800-73-4 part 2 section 3.2.4): P1 is the algorithm, P2 the key. */
export function generalAuthenticate(context: PivContext, command: CardCommand): Uint8Array {
  const outer = readTlvs(command.data, "GENERAL AUTHENTICATE");
  const template = findTlv(outer, DYNAMIC.TEMPLATE);
  if (template === undefined || outer.length !== 1) throw new Refusal(SW.WRONG_DATA);
  const fields = readTlvs(template, "dynamic authentication template");
  if (command.p2 === MANAGEMENT_KEY) return authenticateAdministrator(context, command.p1, fields);
  const key = context.contents.keys.get(command.p2);
  if (key === undefined) throw new Refusal(SW.INCORRECT_P1_P2);
  return usePrivateKey(context, command, key, fields);
}

function usePrivateKey(context: PivContext, command: CardCommand, key: PivKey, fields: readonly Tlv[]): Uint8Array {
  const { p1: algorithm, p2: slot, first } = command;
  const info = describeKey(key.privateKey);
  if (algorithmOf(info) !== algorithm) throw new Refusal(SW.INCORRECT_P1_P2);
  requirePinFor(context, key, first);
  requireTouch(context, slot);
  const challenge = findTlv(fields, DYNAMIC.CHALLENGE);
  const point = findTlv(fields, DYNAMIC.EXPONENTIATION);
  if (findTlv(fields, DYNAMIC.RESPONSE)?.length !== 0) throw new Refusal(SW.WRONG_DATA);
  const { traits, deviations } = context.contents;
  if (deviations.has("refused-key-use")) throw new Refusal(SW.WRONG_DATA);
  const anyUse = traits.yubico;
  const has = (deviation: ResultDeviation): boolean => deviations.has(deviation);
  if (info.type === "rsa" && challenge !== undefined) {
    return response(deviatingRsa(rsaRaw(key.privateKey, challenge), has));
  }
  if (info.type === "ec" && challenge !== undefined && (anyUse || !establishesKeys(slot))) {
    return response(deviatingEcdsa(ecdsa(key.privateKey, info, challenge), has));
  }
  if (info.type === "ec" && point !== undefined && (anyUse || establishesKeys(slot))) {
    return response(deviatingEcdh(ecdh(key.privateKey, info, point), info, has));
  }
  if (info.type === "edwards" && challenge !== undefined) return response(eddsa(key.privateKey, challenge));
  if (info.type === "montgomery" && point !== undefined) return response(x25519(key.privateKey, point));
  throw new Refusal(SW.WRONG_DATA);
}

/** "PIN always" means that the APDU directly before this command verified the PIN (SP 800-73-4 part 1 table 4b). */
function requirePinFor(context: PivContext, { pinPolicy }: PivKey, first: number): void {
  if (pinPolicy === "never") return;
  requirePin(context);
  if (pinPolicy === "always" && context.session.pinVerifiedAt !== first - 1) {
    throw new Refusal(SW.SECURITY_STATUS_NOT_SATISFIED);
  }
}

/** Refuses the first use of a key as untouched, if the card has that deviation. */
function requireTouch({ contents, session }: PivContext, slot: number): void {
  if (!contents.deviations.has("missed-touch") || session.missedTouches.has(slot)) return;
  session.missedTouches.add(slot);
  throw new Refusal(SW.SECURITY_STATUS_NOT_SATISFIED);
}

/**
 * The administrator proves knowledge of the management key in two steps: the host answers a challenge (external), or
 * answers a witness and lets the card answer in turn (mutual; SP 800-73-4 part 2 appendix A.1).
 */
function authenticateAdministrator(context: PivContext, p1: number, fields: readonly Tlv[]): Uint8Array {
  const { session, contents } = context;
  const { algorithm, value } = contents.managementKey;
  const { algorithm: number, block } = MANAGEMENT_ALGORITHMS[algorithm];
  // 00 and 03 are the same algorithm (SP 800-78-4 table 6-2).
  if (p1 !== number && !(p1 === 0x00 && number === ALGORITHM.TDEA)) throw new Refusal(SW.INCORRECT_P1_P2);
  const expected = session.challenge;
  session.challenge = undefined;
  const witness = findTlv(fields, DYNAMIC.WITNESS);
  const challenge = findTlv(fields, DYNAMIC.CHALLENGE);
  const answer = findTlv(fields, DYNAMIC.RESPONSE);
  if (fields.length === 1 && challenge?.length === 0) {
    const random = randomBytes(block);
    session.challenge = { kind: "external", expected: encryptBlock(algorithm, value, random) };
    return encodeTlv(DYNAMIC.TEMPLATE, encodeTlv(DYNAMIC.CHALLENGE, random));
  }
  if (fields.length === 1 && witness?.length === 0) {
    const random = randomBytes(block);
    session.challenge = { kind: "mutual", expected: random };
    return encodeTlv(DYNAMIC.TEMPLATE, encodeTlv(DYNAMIC.WITNESS, encryptBlock(algorithm, value, random)));
  }
  if (contents.deviations.has("failing-management-key")) throw new Refusal(SW.NO_PRECISE_DIAGNOSIS);
  if (answer !== undefined && answer.length > 0) {
    prove(context, "external", expected, answer);
    return new Uint8Array();
  }
  if (witness === undefined || challenge?.length !== block) throw new Refusal(SW.WRONG_DATA);
  prove(context, "mutual", expected, witness);
  return response(encryptBlock(algorithm, value, challenge));
}

function prove(
  { session }: PivContext,
  kind: Challenge["kind"],
  challenge: Challenge | undefined,
  proof: Uint8Array,
): void {
  session.administrator =
    challenge?.kind === kind &&
    challenge.expected.length === proof.length &&
    timingSafeEqual(challenge.expected, proof);
  if (!session.administrator) throw new Refusal(SW.SECURITY_STATUS_NOT_SATISFIED);
}

function response(value: Uint8Array): Uint8Array {
  return encodeTlv(DYNAMIC.TEMPLATE, encodeTlv(DYNAMIC.RESPONSE, value));
}
