import type { KeyObject } from "node:crypto";
import { encodeTlv, SW } from "../../../apdu/index.ts";
import { concat, equalBytes, wipe } from "../../../bytes/index.ts";
import { ecKeyOf, rsaKeyOf } from "../../keys/import.ts";
import { encodePublicKey } from "../../keys/private-key.ts";
import { Refusal } from "../../refusal.ts";
import type { CardCommand } from "../../transport.ts";
import type { KeyFile } from "../file.ts";
import { requireAccess } from "../rights.ts";
import type { IsoContext } from "../make.ts";

/** P2: a part of an RSA key (OpenSC, card-myeid.c, LOAD_KEY_...). */
const RSA = {
  MODULUS: 0x80,
  EXPONENT: 0x81,
  P: 0x83,
  Q: 0x84,
  DP: 0x85,
  DQ: 0x86,
  INVERSE: 0x87,
  MODULUS_FIRST_HALF: 0x88,
  MODULUS_SECOND_HALF: 0x89,
} as const;
const RSA_PARTS: readonly number[] = Object.values(RSA);
const PRIMES_AND_EXPONENTS: readonly number[] = [RSA.P, RSA.Q, RSA.DP, RSA.DQ, RSA.INVERSE];
/** P2: a part of an EC key. */
const EC = { POINT: 0x86, NUMBER: 0x87 } as const;

/**
 * PUT DATA of MyEID: a private key comes into the current key file part by part, in any order. The key is there once its last
 * part is; until then, or until a reset, the parts wait, and the file keeps the key that it had.
 */
export function putData(context: IsoContext, { p1, p2, data }: CardCommand): Uint8Array {
  const { contents, session } = context;
  const { file } = session;
  if (p1 !== 0x01) throw new Refusal(SW.INCORRECT_P1_P2);
  if (!file) throw new Refusal(SW.NO_CURRENT_FILE);
  if (file.kind !== "key") throw new Refusal(SW.COMMAND_INCOMPATIBLE_WITH_FILE);
  requireAccess(context, file, "update");
  checkPart(file, p2, data);
  const parts = session.loading?.file === file ? session.loading.parts : new Map<number, Uint8Array>();
  parts.set(p2, data.slice());
  session.loading = { file, parts };
  const key = file.type === "rsa" ? rsaKey(parts) : ecKey(parts);
  if (!key) return new Uint8Array();
  file.privateKey = key;
  contents.changes++;
  wipe(...parts.values());
  session.loading = undefined;
  return new Uint8Array();
}

/** Lengths as the file's size has them; numbers of an RSA key may have a sign before them. */
function checkPart({ type, bits }: KeyFile, p2: number, data: Uint8Array): void {
  if (type === "ec") {
    const length = Math.ceil(bits / 8);
    if (p2 !== EC.POINT && p2 !== EC.NUMBER) throw new Refusal(SW.INCORRECT_P1_P2);
    if (data.length !== (p2 === EC.POINT ? 1 + 2 * length : length)) throw new Refusal(SW.WRONG_LENGTH);
    return;
  }
  if (!RSA_PARTS.includes(p2)) throw new Refusal(SW.INCORRECT_P1_P2);
  const most = PRIMES_AND_EXPONENTS.includes(p2) ? bits / 16 : bits / 8;
  if (withoutSign(data).length > most) throw new Refusal(SW.WRONG_LENGTH);
}

/** The key, if all of its parts are there. @throws {DataError} or {Refusal} if they do not belong together. */
function rsaKey(parts: ReadonlyMap<number, Uint8Array>): KeyObject | undefined {
  const first = parts.get(RSA.MODULUS_FIRST_HALF);
  const second = parts.get(RSA.MODULUS_SECOND_HALF);
  const modulus = parts.get(RSA.MODULUS) ?? (first && second && concat(first, second));
  const exponent = parts.get(RSA.EXPONENT);
  const [p, q, dp, dq, inverse] = PRIMES_AND_EXPONENTS.map((part) => parts.get(part));
  if (!modulus || !exponent || !p || !q || !dp || !dq || !inverse) return undefined;
  const key = rsaKeyOf(p, q, dp);
  const { n = "", e = "", dq: ownDq = "", qi = "" } = key.export({ format: "jwk" });
  const told = [modulus, exponent, dq, inverse];
  if ([n, e, ownDq, qi].every((own, index) => sameNumber(Buffer.from(own, "base64url"), told[index]))) return key;
  throw new Refusal(SW.WRONG_DATA);
}

/** Likewise. */
function ecKey(parts: ReadonlyMap<number, Uint8Array>): KeyObject | undefined {
  const number = parts.get(EC.NUMBER);
  const point = parts.get(EC.POINT);
  if (!number || !point) return undefined;
  const key = ecKeyOf(number);
  if (equalBytes(concat(...encodePublicKey(key)), encodeTlv(0x86, point))) return key;
  throw new Refusal(SW.WRONG_DATA);
}

function sameNumber(own: Uint8Array, told: Uint8Array = new Uint8Array()): boolean {
  return equalBytes(withoutSign(own), withoutSign(told));
}

function withoutSign(number: Uint8Array): Uint8Array {
  const from = number.findIndex((byte) => byte !== 0);
  return from < 0 ? new Uint8Array() : number.subarray(from);
}
