import {
  type CommandApdu,
  encodeTlv,
  findTlv,
  MalformedAnswerError,
  readTlvs,
  StatusError,
  SW,
} from "../../apdu/index.ts";
import { concat, DataError, fromHex, wipe } from "../../bytes/index.ts";
import { type KeyPrimitive, UnsupportedError } from "../../card/index.ts";
import { encodePublicKey, type NamedCurve, rsaPublicKey } from "../../crypto/index.ts";
import { type Dialect, type KeyKeeping, type KeyMaking, type MadeKeyType, mechanisms } from "../dialect.ts";
import type { CardSession } from "../files/card-session.ts";
import {
  computeSignature,
  type FileControl,
  select,
  SELECT_ANSWER,
  SELECT_BY,
  setEnvironment,
  TEMPLATE,
} from "../files/commands.ts";
import { algorithm, ecdsaAnswer, file, keyReference, refuse, wholeBlock } from "../keys/key-use.ts";
import type { PrivateKeyParts } from "../keys/private-key-info.ts";
import { type CardFacts, ISO_APPLET_AID, MAKES } from "../recognition/makes.ts";
import { fileWays, writeFailure } from "../writing/allocation.ts";
import { standardUse } from "./generic.ts";
import { ISO_APPLET_LIFE } from "./iso-applet-initialisation.ts";

/** OpenSC, cardctl.h: SC_ISOAPPLET_ALG_REF_RSA_GEN_2048, ..._4096, ..._EC_GEN. */
const NEW_KEY = { 2048: 0xf3, 4096: 0xf5, EC: 0xec } as const;

/** Domain parameters of the curves: p, a, b, G, n, h (SEC 2 sections 2.4.2 and 2.5.1; the applet wants them written out). */
const PARAMETERS: Readonly<Partial<Record<NamedCurve, readonly string[]>>> = {
  "P-256": [
    "ffffffff00000001000000000000000000000000ffffffffffffffffffffffff",
    "ffffffff00000001000000000000000000000000fffffffffffffffffffffffc",
    "5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604b",
    "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c2964fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5",
    "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551",
    "0001",
  ],
  "P-384": [
    "fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffeffffffff0000000000000000ffffffff",
    "fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffeffffffff0000000000000000fffffffc",
    "b3312fa7e23ee7e4988e056be3f82d19181d9c6efe8141120314088f5013875ac656398d8a2ed19d2a85c8edd3ec2aef",
    "04aa87ca22be8b05378eb1c71ef320ad746e1d3b628ba79b9859f741e082542a385502f25dbf55296c3a545e3872760ab73617de4a96262c6f5d9e98bf9292dc29f8f41dbd289a147ce9da3113b5f0b8c00a60b1ce1d7e819d7a431d7c90ea0e5f",
    "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973",
    "0001",
  ],
};

/** The parameters of a curve in hexadecimal, in the order p, a, b, G, n, h; undefined for a curve that is not here. */
export const curveParameters = (curve: NamedCurve): readonly string[] | undefined => PARAMETERS[curve];

const PUBLIC_KEY_TEMPLATE = 0x7f49;
const RSA = { MODULUS: 0x81, EXPONENT: 0x82 } as const;
const EC_POINT = 0x86;

/** What an applet supports for new keys. */
interface NewKeys {
  readonly rsaBits: number;
  readonly ec: boolean;
  /** Whether it accepts extended length, and keeps no part of an answer for GET RESPONSE. */
  readonly extended: boolean;
}

/** The whole answer, in an extended command; a short one requests 256 bytes. */
const ALL = 65_536;

/**
 * Keys have numbers in the application's DF. The applet cannot delete keys: a new key overwrites the one with its
 * number.
 */
function isoAppletKeys(applet: NewKeys): KeyKeeping {
  return {
    generation(type) {
      requireType(applet, type);
      return generation(type, applet.extended);
    },
    importation(key) {
      requireType(
        applet,
        key.type === "rsa" ? { type: "rsa", modulusBits: key.modulusBits } : { type: "ec", curve: key.curve },
      );
      return importation(key);
    },
  };
}

function requireType({ rsaBits, ec }: NewKeys, type: MadeKeyType): void {
  if (type.type === "ec" && !ec) throw new UnsupportedError("the card does not support EC keys");
  if (type.type === "rsa" && type.modulusBits > rsaBits) {
    throw new UnsupportedError(`the card supports RSA keys of at most ${rsaBits} bits`);
  }
}

/**
 * Generates keys as on IsoApplet: algorithm and number by MSE, then GENERATE ASYMMETRIC KEY PAIR (OpenSC,
 * card-isoApplet.c).
 */
function generation(type: MadeKeyType, extended: boolean): KeyMaking {
  const number = type.type === "rsa" ? rsaAlgorithm(type.modulusBits) : NEW_KEY.EC;
  const made = type.type === "rsa" ? generateRsa() : generateEc(type.curve);
  const command = { ...made, ...(extended && { ne: ALL }) };
  return {
    async run(turn, reference) {
      await choose(turn, number, reference);
      const { data, sw } = await turn.send(command);
      if (sw === SW.FUNCTION_NOT_SUPPORTED) {
        throw new UnsupportedError("the card cannot generate keys of this type", {
          cause: new StatusError("GENERATE", sw),
        });
      }
      if (sw !== SW.OK) throw writeFailure("GENERATE ASYMMETRIC KEY PAIR", sw);
      return readGenerated(type, data);
    },
  };
}

/** Imports a key to the applet: like generating, with PUT DATA instead of GENERATE (ISO/IEC 7816-8 annex C.2). */
function importation(key: PrivateKeyParts): KeyMaking {
  const number = key.type === "rsa" ? rsaAlgorithm(key.modulusBits) : NEW_KEY.EC;
  return {
    async run(turn, reference) {
      const template = keyTemplate(key);
      try {
        await choose(turn, number, reference);
        const { sw } = await turn.send({
          cla: 0x00,
          ins: 0xdb,
          p1: 0x3f,
          p2: 0xff,
          data: template,
          conceal: "command",
        });
        if (sw === SW.COMMAND_NOT_ALLOWED) {
          const cause = new StatusError("PUT DATA", sw);
          throw new UnsupportedError("the applet was built without key import", { cause });
        }
        if (sw !== SW.OK) throw writeFailure("PUT DATA", sw);
        return key.publicKey;
      } finally {
        wipe(template);
      }
    },
  };
}

function keyTemplate(key: PrivateKeyParts): Uint8Array {
  const fields = key.type === "rsa" ? rsaFields(key.numbers) : [...curveFields(key.curve), encodeTlv(0x88, key.number)];
  const template = encodeTlv(key.type === "rsa" ? 0x7f48 : 0xe0, ...fields);
  wipe(...fields);
  return template;
}

/** p, q, 1/q mod p, d mod (p-1), d mod (q-1) under tags 92 to 96. */
function rsaFields(numbers: readonly Uint8Array[]): Uint8Array[] {
  return numbers.map((value, index) => encodeTlv(0x92 + index, value));
}

async function choose(turn: CardSession, number: number, reference: number): Promise<void> {
  const { sw } = await turn.send(setEnvironment(0x00, concat(algorithm(number), keyReference({ reference }))));
  if (sw !== SW.OK) throw writeFailure("MANAGE SECURITY ENVIRONMENT", sw);
}

function rsaAlgorithm(bits: number): number {
  if (bits === 2048 || bits === 4096) return NEW_KEY[bits];
  throw new UnsupportedError("the card generates RSA keys of 2048 and 4096 bits");
}

const GENERATE = { cla: 0x00, ins: 0x46, p2: 0x00, ne: 256, long: true } as const;

function generateRsa(): CommandApdu {
  return { ...GENERATE, p1: 0x42 };
}

function generateEc(curve: NamedCurve): CommandApdu {
  return { ...GENERATE, p1: 0x00, data: concat(...curveFields(curve)) };
}

function curveFields(curve: NamedCurve): Uint8Array[] {
  const parameters = PARAMETERS[curve];
  if (!parameters) throw new UnsupportedError("the card supports EC keys on P-256 and P-384");
  return parameters.map((hex, index) => encodeTlv(index === 5 ? 0x87 : 0x81 + index, fromHex(hex)));
}

function readGenerated(type: MadeKeyType, answer: Uint8Array): Uint8Array {
  try {
    const template = findTlv(readTlvs(answer, "generated key"), PUBLIC_KEY_TEMPLATE);
    const fields = readTlvs(template ?? new Uint8Array(), "generated key");
    if (type.type === "ec") {
      return encodePublicKey({ type: "ec", curve: type.curve, point: findTlv(fields, EC_POINT) ?? new Uint8Array() });
    }
    const modulus = findTlv(fields, RSA.MODULUS) ?? new Uint8Array();
    return encodePublicKey(rsaPublicKey(modulus, findTlv(fields, RSA.EXPONENT) ?? new Uint8Array()));
  } catch (cause) {
    if (!(cause instanceof DataError)) throw cause;
    throw new MalformedAnswerError(`the generated key does not parse: ${cause.message}`, { cause });
  }
}

const ALGORITHM = { RSA_PKCS1: 0x11, RSA_PSS: 0x12, ECDSA: 0x21 } as const;
/** Most bytes of a short answer. */
const SHORT_ANSWER = 256;

/** Bits of the third byte that the applet reports of itself (OpenSC, card-isoApplet.c, ISOAPPLET_API_FEATURE_...). */
const FEATURE = { EXTENDED: 0x01, EC: 0x04, PSS: 0x08, RSA_4096: 0x20 } as const;

/** The features of an applet, by version and reported features. */
interface Abilities {
  readonly version: string;
  /** How the applet treats the input of an EC signature; undefined if it does not support such keys. */
  readonly ec: "ecdsa" | "ecdsa-sha1" | undefined;
  readonly rsaBits: number;
  readonly pss: boolean;
  /** Whether it supports extended length instead of chaining. */
  readonly extended: boolean;
}

const VERSION_0: Abilities = { version: "0", ec: "ecdsa-sha1", rsaBits: 4096, pss: false, extended: false };
/** The features of an applet that does not report them. */
const VERSION_1: Abilities = { ...VERSION_0, version: "1", ec: "ecdsa" };

function abilities(features: number): Abilities {
  const has = (bit: number): boolean => (features & bit) !== 0;
  return {
    version: "1",
    ec: has(FEATURE.EC) ? "ecdsa" : undefined,
    rsaBits: has(FEATURE.RSA_4096) ? 4096 : 2048,
    pss: has(FEATURE.PSS),
    extended: has(FEATURE.EXTENDED),
  };
}

function isoApplet({ version, ec, rsaBits, pss, extended }: Abilities, recognises: Dialect["recognises"]): Dialect {
  const rsa: readonly KeyPrimitive[] = ["rsa-pkcs1", ...(pss ? (["rsa-pss"] as const) : [])];
  return {
    name: `IsoApplet ${version}`,
    source: "OpenSC, card-isoApplet.c (version 0 hashes with SHA-1 before it signs: ECDSA_HASH_SHA1); a recorded card",
    recognises,
    extended,
    algorithmsFromTokenInfo: false,
    primitives: (type) => (type === "rsa" ? rsa : ec ? [ec] : []),
    mechanisms: mechanisms({
      "rsa-pkcs1": [2048, rsaBits],
      ...(pss && { "rsa-pss": [2048, rsaBits] }),
      ...(ec && { [ec]: [256, 384] }),
    }),
    // Its VERIFY supports only P1 = 00; selecting it forgets the PIN (isoApplet_logout).
    neverTellsVerified: true,
    logout: () => select(SELECT_BY.DF_NAME, ISO_APPLET_AID, SELECT_ANSWER.FCI),
    // OpenSC, pkcs15-isoApplet.c and a recorded card: FCI, with the size of all bytes. The applet answers 6984 for an
    // identifier in use (IsoApplet 0.6 and 1, IsoFileSystem.java, getSafeFile).
    files: fileWays(0x6f, 0x81, SW.REFERENCE_DATA_NOT_USABLE),
    keys: isoAppletKeys({ rsaBits, ec: ec !== undefined, extended }),
    privateRules,
    life: ISO_APPLET_LIFE,
    use(request) {
      const { key, primitive, operation, input } = request;
      const can = key.type === "rsa" ? rsa.includes(primitive) : primitive === ec;
      if (operation === "derive" || !can) return refuse(request);
      const fields = (reference: number): Uint8Array => concat(algorithm(reference), file(key), keyReference(key));
      if (operation === "sign") {
        const number =
          key.type === "ec" ? ALGORITHM.ECDSA : primitive === "rsa-pss" ? ALGORITHM.RSA_PSS : ALGORITHM.RSA_PKCS1;
        return {
          environment: setEnvironment(TEMPLATE.SIGNATURE, fields(number)),
          // An applet without GET RESPONSE needs room for the whole answer.
          commands: [{ ...computeSignature(input), ne: Math.max(SHORT_ANSWER, key.bytes) }],
          read: key.type === "ec" ? ecdsaAnswer(request) : wholeBlock(request),
        };
      }
      return standardUse(request, fields(ALGORITHM.RSA_PKCS1));
    },
  };
}

/**
 * 86, with FF and a condition for each mode, of which the last is reading; there is one PIN, and 90 means it
 * (card-isoApplet.c).
 */
function privateRules(security: FileControl["security"]): FileControl["security"] | undefined {
  const [rule] = security;
  if (rule?.tag !== 0x86 || rule.value.length !== 8 || rule.value[0] !== 0xff) return undefined;
  return [{ tag: rule.tag, value: concat(rule.value.subarray(0, 7), Uint8Array.of(0x90)) }];
}

export const ISO_APPLETS: readonly Dialect[] = [
  isoApplet(VERSION_0, MAKES.isoApplet0),
  {
    ...isoApplet(VERSION_1, MAKES.isoApplet1),
    forCard: (card: CardFacts): Dialect => {
      const features = card.selectAnswer[2];
      return isoApplet(features === undefined ? VERSION_1 : abilities(features), MAKES.isoApplet1);
    },
  },
];
