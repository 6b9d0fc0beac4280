import { encodeTlv, SW } from "../../apdu/index.ts";
import { concat } from "../../bytes/index.ts";
import type { CardMechanism } from "../../card/index.ts";
import { decipher, generalAuthenticate, setEnvironment, TEMPLATE } from "../files/commands.ts";
import { type Dialect, mechanisms } from "../dialect.ts";
import type { FileControl } from "../files/file-control.ts";
import {
  algorithm,
  file,
  indicated,
  keyReference,
  type KeyUse,
  message,
  sharedX,
  wholeBlock,
} from "../keys/key-use.ts";
import type { CardTurn } from "../files/turn.ts";
import { MAKES } from "../recognition/makes.ts";
import { MYEID_FILES, MYEID_KEYS } from "./myeid-keys.ts";
import { standardUse } from "./standard-use.ts";

const MYEID_ALGORITHM = { RAW: 0x00, PKCS1: 0x02, EC: 0x04 } as const;
/** Applets before 4.5 take no chains, and later ones take halves too. */
const MYEID_HALVES = 256;

const MYEID_MECHANISMS = mechanisms({
  "rsa-raw": [512, 4096],
  "rsa-pkcs1": [512, 4096],
  ecdsa: [256, 521],
  ecdh: [256, 521],
});

export const MYEID: Dialect = {
  name: "MyEID",
  source: "OpenSC, card-myeid.c (myeid_logout, myeid_set_security_env, myeid_transmit_decipher, myeid_ecdh_derive)",
  recognises: MAKES.myEid,
  algorithmsFromTokenInfo: false,
  primitives: (type) => (type === "rsa" ? ["rsa-raw", "rsa-pkcs1"] : ["ecdsa", "ecdh"]),
  logout: (reference) => ({ cla: 0x00, ins: 0x2e, p1: 0x00, p2: reference }),
  mechanisms: MYEID_MECHANISMS,
  limits,
  files: MYEID_FILES,
  keys: MYEID_KEYS,
  privateRules,
  use(request) {
    const { key, input, primitive } = request;
    // Its keys are files, with one key each: number 0.
    const fields = (reference: number): Uint8Array =>
      concat(algorithm(reference), file(key), keyReference({ ...key, reference: 0 }));
    if (request.operation === "derive") {
      const template = encodeTlv(0x7c, encodeTlv(0x85, input));
      return {
        environment: setEnvironment(TEMPLATE.AUTHENTICATION, fields(MYEID_ALGORITHM.EC)),
        // 6985 otherwise (OsEID, myeid_emu.c, myeid_ecdh_derive); OpenSC selects it too (pkcs15-sec.c, use_key).
        inKeyFile: true,
        commands: [generalAuthenticate(template)],
        read: sharedX(request),
      };
    }
    if (key.type === "ec") return standardUse(request, fields(MYEID_ALGORITHM.EC));
    if (request.operation === "sign" && primitive === "rsa-pkcs1") {
      return standardUse(request, fields(MYEID_ALGORITHM.PKCS1));
    }
    // A raw signature is the same number as a raw decipherment, which takes blocks longer than a short command.
    const raw = primitive === "rsa-raw";
    return {
      environment: setEnvironment(TEMPLATE.CONFIDENTIALITY, fields(raw ? MYEID_ALGORITHM.RAW : MYEID_ALGORITHM.PKCS1)),
      commands: inHalves(input),
      read: raw ? wholeBlock(request) : message(request),
    };
  },
};

/** Bits of the features in the applet's capabilities (OpenSC, cards.h, MYEID_CARD_CAP_...). */
const FEATURE = { RSA: 0x01, EC: 0x08 } as const;

/**
 * GET DATA 01AA: a version; features; the longest RSA, DES, AES and EC keys in bits, two bytes each (OpenSC, card-myeid.c,
 * myeid_get_card_info). Applets before 3.6 do not know it.
 */
async function limits(turn: CardTurn): Promise<readonly CardMechanism[]> {
  const { data, sw } = await turn.send({ cla: 0x00, ins: 0xca, p1: 0x01, p2: 0xaa, ne: 256 });
  if (sw !== SW.OK || data.length < 11) return MYEID_MECHANISMS;
  const number = (at: number): number => ((data[at] ?? 0) << 8) | (data[at + 1] ?? 0);
  const longest = (feature: number, at: number): number => ((number(1) & feature) === 0 ? 0 : number(at));
  const [rsa, ec] = [longest(FEATURE.RSA, 3), longest(FEATURE.EC, 9)];
  return MYEID_MECHANISMS.flatMap((mechanism) => {
    const most = mechanism.primitive.startsWith("rsa") ? rsa : ec;
    return most < mechanism.minBits ? [] : [{ ...mechanism, maxBits: Math.min(mechanism.maxBits, most) }];
  });
}

/** 86, with four bits for each action, of which the first are reading and updating: 1 to 14 is a PIN (card-myeid.c, myeid_create_file). */
function privateRules(security: FileControl["security"], pin: number): FileControl["security"] | undefined {
  const [rule] = security;
  if (rule?.tag !== 0x86 || rule.value.length !== 3 || pin < 1 || pin > 14) return undefined;
  return [{ tag: rule.tag, value: concat(Uint8Array.of((pin << 4) | pin), rule.value.subarray(1)) }];
}

/** PSO: DECIPHER of a block that a short command cannot hold: padding indicator 81 is its first half, 82 the second. */
function inHalves(input: Uint8Array): KeyUse["commands"] {
  if (input.length !== MYEID_HALVES) return [decipher(indicated(0x00, input))];
  const half = input.length / 2;
  // It has no answer of its own, and no Le.
  const first = { cla: 0x00, ins: 0x2a, p1: 0x80, p2: 0x86, data: indicated(0x81, input.subarray(0, half)) };
  return [first, decipher(indicated(0x82, input.subarray(half)))];
}
