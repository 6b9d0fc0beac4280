import { toHex } from "../../bytes/index.ts";
import { type Dialect, mechanisms } from "../dialect.ts";
import { algorithm, computing, keyReference, refuse } from "../keys/key-use.ts";
import { standardUse } from "./standard-use.ts";

const CARDOS_5_ATR: ReadonlySet<string> = new Set([
  "3bd218008131fe58c90114",
  "3bd218008131fe58c90217",
  "3bd218008131fe58c90316",
  "3bd218008131fe58c90411",
]);
/** The upper half of a key reference is the mechanism; these are for keys that have none there. */
const CARDOS_MECHANISM = { PKCS1: 0x10, ECDSA: 0x30 } as const;

export const CARDOS_5: Dialect = {
  name: "CardOS 5",
  source: "OpenSC, card-cardos.c (cardos_set_security_env, cardos_decipher)",
  recognises: ({ atr }) => CARDOS_5_ATR.has(toHex(atr)),
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

/** 4.0, 4.2 and above, 4.4: the version is in the last bytes. */
const CARDOS_4_ATR = /^3be200ffc11031fe55c8029c$|^3bf21800(ff|02)c1[01][0a]31fe5[58]c8|^3bd21802c10a31fe58c80d51$/u;

export const CARDOS_4: Dialect = {
  name: "CardOS M4",
  source: "OpenSC, card-cardos.c (key reference under tag 83; a key for both uses signs by deciphering: NEED_USAGE)",
  recognises: ({ atr }) => CARDOS_4_ATR.test(toHex(atr)),
  algorithmsFromTokenInfo: false,
  primitives: (type) => (type === "rsa" ? ["rsa-raw"] : []),
  mechanisms: mechanisms({ "rsa-raw": [512, 2048] }),
  use(request) {
    if (request.primitive !== "rsa-raw") return refuse(request);
    return standardUse(request, keyReference(request.key, "symmetric"));
  },
};
