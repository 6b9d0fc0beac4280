import { type Dialect, mechanisms } from "../dialect.ts";
import { algorithm, computing, keyReference, refuse } from "../keys/key-use.ts";
import { MAKES } from "../recognition/makes.ts";
import { standardUse } from "./standard-use.ts";

/** The upper half of a key reference is the mechanism; these are for keys that have none there. */
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
