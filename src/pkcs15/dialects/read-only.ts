import { type Dialect, mechanisms } from "../dialect.ts";
import { decipher } from "../files/commands.ts";
import {
  algorithm,
  cipher,
  computing,
  file,
  indicated,
  keyReference,
  type KeyRequest,
  type KeyUse,
  refuse,
} from "../keys/key-use.ts";
import { MAKES } from "../recognition/makes.ts";
import { standardUse } from "./generic.ts";

/** The upper half of a key reference is the mechanism; these are for keys without one. */
const CARDOS_MECHANISM = { PKCS1: 0x10, ECDSA: 0x30 } as const;

export const CARDOS_5: Dialect = {
  name: "CardOS 5",
  source: "OpenSC, card-cardos.c (cardos_set_security_env, cardos_decipher)",
  recognises: MAKES.cardOs5,
  algorithmsFromTokenInfo: false,
  primitives: (type) => (type === "rsa" ? ["rsa-raw", "rsa-pkcs1"] : ["ecdsa"]),
  mechanisms: mechanisms({ "rsa-raw": [1024, 4096], "rsa-pkcs1": [1024, 4096], ecdsa: [256, 521] }),
  use(request) {
    if (request.operation === "derive") return refuse(request);
    const { reference = 0 } = request.key;
    const own = reference & 0xf0;
    const usual = request.key.type === "ec" ? CARDOS_MECHANISM.ECDSA : CARDOS_MECHANISM.PKCS1;
    const mechanism = own === 0 ? (request.primitive === "rsa-raw" ? undefined : usual) : own;
    const key = keyReference({ ...request.key, reference: reference & 0x0f });
    return standardUse(request, key, computing(), algorithm(mechanism));
  },
};

export const CARDOS_4: Dialect = {
  name: "CardOS M4",
  source: "OpenSC, card-cardos.c (key reference under tag 83; a key for both uses signs by deciphering: NEED_USAGE)",
  recognises: MAKES.cardOs4,
  algorithmsFromTokenInfo: false,
  primitives: (type) => (type === "rsa" ? ["rsa-raw"] : []),
  mechanisms: mechanisms({ "rsa-raw": [512, 2048] }),
  use(request) {
    if (request.primitive !== "rsa-raw") return refuse(request);
    return standardUse(request, keyReference(request.key, "symmetric"));
  },
};

const SETCOS_ALGORITHM = { RAW: 0x00, PKCS1: 0x02 } as const;

/** SetCOS, the card of the Finnish and the older Swedish identity cards. */
function setcosUse(request: KeyRequest, reference: Uint8Array): KeyUse {
  if (request.operation === "derive" || request.key.type === "ec") return refuse(request);
  const number = request.primitive === "rsa-raw" ? SETCOS_ALGORITHM.RAW : SETCOS_ALGORITHM.PKCS1;
  return standardUse(request, algorithm(number), file(request.key), reference);
}

const SETCOS_MECHANISMS = mechanisms({ "rsa-raw": [512, 2048], "rsa-pkcs1": [512, 2048] });

export const SWEDISH_EID: Dialect = {
  name: "Swedish eID (NIDEL, Net iD)",
  source: "OpenSC, card-setcos.c (SC_CARD_TYPE_SETCOS_NIDEL: the key is named by its file alone)",
  recognises: MAKES.swedishEid,
  algorithmsFromTokenInfo: false,
  primitives: (type) => (type === "rsa" ? ["rsa-raw", "rsa-pkcs1"] : []),
  mechanisms: SETCOS_MECHANISMS,
  use: (request) => setcosUse(request, new Uint8Array()),
};

export const FINEID: Dialect = {
  name: "FinEID (SetCOS 4.4)",
  source: "OpenSC, card-setcos.c (setcos_set_security_env: algorithm 02 is PKCS #1 padding, 00 none)",
  recognises: MAKES.finEid,
  algorithmsFromTokenInfo: false,
  primitives: (type) => (type === "rsa" ? ["rsa-raw", "rsa-pkcs1"] : []),
  mechanisms: SETCOS_MECHANISMS,
  use: (request) => setcosUse(request, keyReference(request.key)),
};

/** @param padded The decipherment that removes PKCS #1 padding. */
function starcos(version: string, recognises: Dialect["recognises"], padded: number): Dialect {
  return {
    name: `STARCOS ${version}`,
    source: "OpenSC, card-starcos.c (13.23 is PKCS #1 signature, 11.3x decipherment; starcos_decipher)",
    recognises,
    algorithmsFromTokenInfo: false,
    primitives: (type) => (type === "rsa" ? ["rsa-pkcs1"] : []),
    mechanisms: mechanisms({ "rsa-pkcs1": [1024, 3072] }),
    use(request) {
      const { key } = request;
      if (request.operation === "derive" || request.primitive !== "rsa-pkcs1") return refuse(request);
      // 80: a key of the application's own DF, not of the whole card.
      const reference = keyReference({ ...key, reference: (key.reference ?? 0) | (key.file.length > 0 ? 0x80 : 0) });
      if (request.operation === "sign") return standardUse(request, reference, cipher(0x13, 0x23));
      const use = standardUse(request, reference, cipher(0x11, padded));
      return { ...use, commands: [decipher(indicated(0x81, request.input))] };
    },
  };
}

export const STARCOS: readonly Dialect[] = [
  starcos("3.4", MAKES.starcos34, 0x30),
  starcos("3.5", MAKES.starcos35, 0x31),
];
