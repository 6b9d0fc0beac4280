import { encodeTlv, findTlv, MalformedAnswerError, readTlvs, SW } from "../../apdu/index.ts";
import { concat, DataError, fromHex, wipe } from "../../bytes/index.ts";
import { type CardMechanism, UnsupportedError } from "../../card/index.ts";
import { curveInfo, encodePublicKey, parsePublicKey, rsaPublicKey } from "../../crypto/index.ts";
import {
  type Dialect,
  type KeyGuard,
  type KeyKeeping,
  type KeyMaking,
  type MadeKeyType,
  mechanisms,
} from "../dialect.ts";
import type { CardSession } from "../files/card-session.ts";
import { decipher, type FileControl, generalAuthenticate, setEnvironment, TEMPLATE } from "../files/commands.ts";
import {
  algorithm,
  file,
  indicated,
  keyReference,
  type KeyUse,
  leftPadded,
  message,
  sharedX,
  wholeBlock,
} from "../keys/key-use.ts";
import type { PrivateKeyParts } from "../keys/private-key-info.ts";
import { MAKES } from "../recognition/makes.ts";
import { type FileWays, writeFailure } from "../writing/allocation.ts";
import { standardUse } from "./generic.ts";
import { MYEID_LIFE } from "./myeid-initialisation.ts";

/** File descriptor bytes (OpenSC, cardctl.h, SC_CARDCTL_MYEID_KEY_...). */
const DESCRIPTOR = { TRANSPARENT: 0x01, RSA: 0x11, EC: 0x22 } as const;
/** The size is that of the contents, or the number of bits of a key. */
const SIZE = { CONTENTS: 0x80, KEY: 0x81 } as const;
const ACCESS_RULES = 0x86;

/** Sizes of RSA keys; the card refuses the larger ones that it does not support (OpenSC, card-myeid.c, myeid_init). */
const RSA_BITS: readonly number[] = [512, 768, 1024, 1536, 2048, 3072, 4096];
/** A modulus of this many bytes is sent in halves, also to applets before 4.5, which do not support chaining. */
const HALVED_MODULUS = 256;
const EXPONENT = fromHex("010001");

/** P2 of PUT DATA: parts of a key (OpenSC, card-myeid.c, LOAD_KEY_...). */
const PUT = {
  MODULUS: 0x80,
  EXPONENT: 0x81,
  P: 0x83,
  Q: 0x84,
  DP: 0x85,
  DQ: 0x86,
  INVERSE: 0x87,
  MODULUS_FIRST_HALF: 0x88,
  MODULUS_SECOND_HALF: 0x89,
  EC_POINT: 0x86,
  EC_NUMBER: 0x87,
} as const;
/** P2 of GET DATA: parts of a public key. */
const GET = { MODULUS: 0x01, EC_POINT: 0x86 } as const;

/**
 * MyEID's files: proprietary bytes and a life cycle in addition to the standard's fields, and DELETE FILE deletes the
 * current one (card-myeid.c).
 */
const MYEID_FILES: FileWays = {
  parameters: (id, size, security) =>
    parameters(SIZE.CONTENTS, size, DESCRIPTOR.TRANSPARENT, id, deletableByWriter(accessRules(security))),
  deletes: "current",
  exists: SW.FILE_EXISTS,
};

/** Each key is a file of fixed type and size (OpenSC, pkcs15-myeid.c). */
const MYEID_KEYS: KeyKeeping = { generation, importation, deletable };

function generation(type: MadeKeyType): KeyMaking {
  const file = keyFile(type);
  // An EC key needs no parameters: its file's size is the curve.
  const exponent = type.type === "rsa" ? { data: encodeTlv(0x30, encodeTlv(0x81, EXPONENT)) } : {};
  return {
    file,
    async run(turn) {
      const { sw } = await turn.send({ cla: 0x00, ins: 0x46, p1: 0x00, p2: 0x00, ...exponent, long: true });
      if (sw !== SW.OK) throw writeFailure("GENERATE ASYMMETRIC KEY PAIR", sw);
      const part = await getData(turn, type.type === "rsa" ? GET.MODULUS : GET.EC_POINT);
      return readPublicHalf(type, part);
    },
  };
}

function importation(key: PrivateKeyParts): KeyMaking {
  const type: MadeKeyType =
    key.type === "rsa" ? { type: "rsa", modulusBits: key.modulusBits } : { type: "ec", curve: key.curve };
  const file = keyFile(type);
  if (key.type === "rsa" && key.numbers.some(({ length }) => length > key.modulusBits / 16)) {
    throw new UnsupportedError("the card supports RSA keys with two primes of the same length");
  }
  return {
    file,
    async run(turn) {
      const parts = key.type === "rsa" ? rsaParts(key) : ecParts(key);
      try {
        for (const [p2, data] of parts) {
          const { sw } = await turn.send({ cla: 0x00, ins: 0xda, p1: 0x01, p2, data, conceal: "command" });
          if (sw !== SW.OK) throw writeFailure("PUT DATA", sw);
        }
        return key.publicKey;
      } finally {
        wipe(...parts.map(([, data]) => data));
      }
    },
  };
}

/** Four bits for each action, use, update, delete and generate: 0 always, F never, else a PIN. */
function accessRules(security: FileControl["security"]): Uint8Array {
  const rules = security.find(({ tag }) => tag === ACCESS_RULES)?.value;
  return rules?.length === 3 ? rules : Uint8Array.of(0xff, 0xff, 0xff);
}

function deletable({ security }: FileControl, pin: number | undefined): boolean {
  const allowed = (accessRules(security)[1] ?? 0xff) >> 4;
  return allowed === 0 || allowed === pin;
}

/**
 * Only the security officer may delete directories (OpenSC, myeid.profile); a new file can be deleted by its creator.
 */
function deletableByWriter([first = 0xff, second = 0xff, third = 0xff]: Uint8Array): Uint8Array {
  return Uint8Array.of(first, ((first & 0x0f) << 4) | (second & 0x0f), third);
}

/** @throws {UnsupportedError} for sizes that no MyEID has. */
function keyFile(type: MadeKeyType): NonNullable<KeyMaking["file"]> {
  if (type.type === "rsa" && !RSA_BITS.includes(type.modulusBits)) {
    throw new UnsupportedError(`the card supports RSA keys of ${RSA_BITS.join(", ")} bits`);
  }
  const descriptor = type.type === "rsa" ? DESCRIPTOR.RSA : DESCRIPTOR.EC;
  const bits = type.type === "rsa" ? type.modulusBits : curveInfo(type.curve).bits;
  return (id, { pin, alwaysAuthenticate }: KeyGuard) => {
    if (pin === undefined || pin < 1 || pin > 14)
      throw new UnsupportedError("the card has no PIN to protect a key with");
    // The PIN allows use, replacement, deletion and generation; in the proprietary bytes it is the one to be verified
    // before each use.
    const rules = Uint8Array.of((pin << 4) | pin, (pin << 4) | pin, 0xff);
    return parameters(SIZE.KEY, bits, descriptor, id, rules, alwaysAuthenticate ? pin << 4 : 0);
  };
}

function parameters(
  sizeTag: number,
  size: number,
  descriptor: number,
  id: Uint8Array,
  rules: Uint8Array,
  proprietary = 0,
): Uint8Array {
  return encodeTlv(
    0x62,
    encodeTlv(sizeTag, Uint8Array.of(size >> 8, size & 0xff)),
    encodeTlv(0x82, Uint8Array.of(descriptor)),
    encodeTlv(0x83, id),
    encodeTlv(ACCESS_RULES, rules),
    encodeTlv(0x85, Uint8Array.of(proprietary, 0x00)),
    encodeTlv(0x8a, Uint8Array.of(0x00)),
  );
}

/** The parts for PUT DATA, with the P2 of each. The bytes are new ones. */
type Parts = readonly (readonly [number, Uint8Array])[];

function rsaParts({ numbers, publicKey }: Extract<PrivateKeyParts, { type: "rsa" }>): Parts {
  const key = parsePublicKey(publicKey);
  if (key.type !== "rsa") throw new DataError("the public half of the RSA key is not an RSA key");
  const { modulus, publicExponent } = key;
  const [p, q, inverse, dp, dq] = numbers;
  const half = modulus.length / 2;
  // A sign byte, and each as long as half the modulus.
  const signed = (number: Uint8Array): Uint8Array => leftPadded(number, half + 1);
  return [
    [PUT.P, signed(p)],
    [PUT.Q, signed(q)],
    [PUT.DP, signed(dp)],
    [PUT.DQ, signed(dq)],
    [PUT.INVERSE, signed(inverse)],
    ...(modulus.length === HALVED_MODULUS
      ? ([
          [PUT.MODULUS_FIRST_HALF, modulus.slice(0, half)],
          [PUT.MODULUS_SECOND_HALF, modulus.slice(half)],
        ] as const)
      : ([[PUT.MODULUS, leftPadded(modulus, modulus.length + 1)]] as const)),
    [PUT.EXPONENT, publicExponent.slice()],
  ];
}

function ecParts({ curve, number, publicKey }: Extract<PrivateKeyParts, { type: "ec" }>): Parts {
  const key = parsePublicKey(publicKey);
  if (key.type !== "ec") throw new DataError("the public half of the EC key is not an EC key");
  return [
    [PUT.EC_NUMBER, leftPadded(number, curveInfo(curve).bytes)],
    [PUT.EC_POINT, key.point.slice()],
  ];
}

async function getData(turn: CardSession, p2: number): Promise<Uint8Array> {
  const { data, sw } = await turn.send({ cla: 0x00, ins: 0xca, p1: 0x01, p2, ne: 256 });
  if (sw !== SW.OK) throw writeFailure("GET DATA", sw);
  return data;
}

/** Parses a bare modulus, or a point in a data object, whose tag is 30 on some cards and 86 on others. */
function readPublicHalf(type: MadeKeyType, part: Uint8Array): Uint8Array {
  try {
    if (type.type === "rsa") return encodePublicKey(rsaPublicKey(part, EXPONENT));
    const fields = readTlvs(part, "generated key");
    const point = findTlv(fields, 0x86) ?? findTlv(fields, 0x30) ?? new Uint8Array();
    const spki = encodePublicKey({ type: "ec", curve: type.curve, point });
    parsePublicKey(spki);
    return spki;
  } catch (cause) {
    if (!(cause instanceof DataError)) throw cause;
    throw new MalformedAnswerError(`the generated key does not parse: ${cause.message}`, { cause });
  }
}

const MYEID_ALGORITHM = { RAW: 0x00, PKCS1: 0x02, EC: 0x04 } as const;
/** Applets before 4.5 do not support chaining; later ones accept halves too. */
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
  life: MYEID_LIFE,
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
    // A raw signature is the same number as a raw decipherment, which accepts blocks longer than a short command.
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
 * GET DATA 01AA: a version; features; the longest RSA, DES, AES and EC keys in bits, two bytes each (OpenSC,
 * card-myeid.c, myeid_get_card_info). Applets before 3.6 do not support it.
 */
async function limits(turn: CardSession): Promise<readonly CardMechanism[]> {
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

/**
 * PSO: DECIPHER of a block that is too long for a short command: padding indicator 81 marks its first half, 82 the
 * second.
 */
function inHalves(input: Uint8Array): KeyUse["commands"] {
  if (input.length !== MYEID_HALVES) return [decipher(indicated(0x00, input))];
  const half = input.length / 2;
  // It has no answer, and no Le.
  const first = { cla: 0x00, ins: 0x2a, p1: 0x80, p2: 0x86, data: indicated(0x81, input.subarray(0, half)) };
  return [first, decipher(indicated(0x82, input.subarray(half)))];
}
