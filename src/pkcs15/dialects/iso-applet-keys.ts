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
import { UnsupportedError } from "../../card/index.ts";
import { encodePublicKey, type NamedCurve, rsaPublicKey } from "../../crypto/index.ts";
import { writeFailure } from "../writing/allocation.ts";
import { setEnvironment } from "../files/commands.ts";
import type { KeyKeeping, KeyMaking, MadeKeyType } from "../dialect.ts";
import type { PrivateKeyParts } from "../keys/private-key-info.ts";
import type { CardTurn } from "../files/turn.ts";
import { algorithm, keyReference } from "../keys/key-use.ts";

/** OpenSC, cardctl.h: SC_ISOAPPLET_ALG_REF_RSA_GEN_2048, ..._4096, ..._EC_GEN. */
const ALGORITHM = { 2048: 0xf3, 4096: 0xf5, EC: 0xec } as const;

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

const TEMPLATE = 0x7f49;
const RSA = { MODULUS: 0x81, EXPONENT: 0x82 } as const;
const EC_POINT = 0x86;

/** By numbers, in the application's DF. The applet deletes no key: what takes its number overwrites it. */
export const ISO_APPLET_KEYS: KeyKeeping = { generation, importation };

/** Makes keys as IsoApplet does: algorithm and number by MSE, then GENERATE ASYMMETRIC KEY PAIR (OpenSC, card-isoApplet.c). */
function generation(type: MadeKeyType): KeyMaking {
  const number = type.type === "rsa" ? rsaAlgorithm(type.modulusBits) : ALGORITHM.EC;
  const command = type.type === "rsa" ? generateRsa() : generateEc(type.curve);
  return {
    async run(turn, reference) {
      await choose(turn, number, reference);
      const { data, sw } = await turn.send(command);
      if (sw === SW.FUNCTION_NOT_SUPPORTED) {
        throw new UnsupportedError("the card makes no keys of this type", { cause: new StatusError("GENERATE", sw) });
      }
      if (sw !== SW.OK) throw writeFailure("GENERATE ASYMMETRIC KEY PAIR", sw);
      return readGenerated(type, data);
    },
  };
}

/** Brings a key to the applet: as keys are made, with PUT DATA in place of GENERATE (ISO/IEC 7816-8 annex C.2). */
function importation(key: PrivateKeyParts): KeyMaking {
  const number = key.type === "rsa" ? rsaAlgorithm(key.modulusBits) : ALGORITHM.EC;
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
          throw new UnsupportedError("the applet was built so that no key is brought to it", { cause });
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

async function choose(turn: CardTurn, number: number, reference: number): Promise<void> {
  const { sw } = await turn.send(setEnvironment(0x00, concat(algorithm(number), keyReference({ reference }))));
  if (sw !== SW.OK) throw writeFailure("MANAGE SECURITY ENVIRONMENT", sw);
}

function rsaAlgorithm(bits: number): number {
  if (bits === 2048 || bits === 4096) return ALGORITHM[bits];
  throw new UnsupportedError("the card makes RSA keys of 2048 and 4096 bits");
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
  if (!parameters) throw new UnsupportedError("the card has EC keys of P-256 and P-384");
  return parameters.map((hex, index) => encodeTlv(index === 5 ? 0x87 : 0x81 + index, fromHex(hex)));
}

function readGenerated(type: MadeKeyType, answer: Uint8Array): Uint8Array {
  try {
    const template = findTlv(readTlvs(answer, "generated key"), TEMPLATE);
    const fields = readTlvs(template ?? new Uint8Array(), "generated key");
    if (type.type === "ec") {
      return encodePublicKey({ type: "ec", curve: type.curve, point: findTlv(fields, EC_POINT) ?? new Uint8Array() });
    }
    const modulus = findTlv(fields, RSA.MODULUS) ?? new Uint8Array();
    return encodePublicKey(rsaPublicKey(modulus, findTlv(fields, RSA.EXPONENT) ?? new Uint8Array()));
  } catch (cause) {
    if (!(cause instanceof DataError)) throw cause;
    throw new MalformedAnswerError(`the card's new key does not parse: ${cause.message}`, { cause });
  }
}
