import { toHex } from "../../bytes/index.ts";
import { decipher } from "../files/commands.ts";
import { type Dialect, mechanisms } from "../dialect.ts";
import { cipher, indicated, keyReference, refuse } from "../keys/key-use.ts";
import { standardUse } from "./standard-use.ts";

const STARCOS_3_4_ATR: ReadonlySet<string> = new Set([
  "3bd818ff81b1fe451f038064041ab403810561",
  "3bd396ff81b1fe451f078081052d",
  "3bd097ff81b1fe451f072b",
  "3bd096ff81b1fe451f072a",
]);
const STARCOS_3_5_ATR: ReadonlySet<string> = new Set([
  "3b9b96c00a31fe458067041eb50100894c810545",
  "3bdb96ff8131fe4580670534b50201c0a181053c",
  "3bd996ff8131fe458031b8738601c0810502",
  "3bdf96ff8131fe45805b44452e424e4f544b3131318105a0",
  "3bdf96ff8131fe45805b44452e424e4f544b3130308105a0",
  "3bd996ff8131fe458031b8738601e0810522",
  "3bdf96ff8131fe45805b44452e42415f53433335328105b5",
]);

/** @param padded Names the decipherment that takes PKCS #1 padding off. */
function starcos(version: string, atrs: ReadonlySet<string>, padded: number): Dialect {
  return {
    name: `STARCOS ${version}`,
    source: "OpenSC, card-starcos.c (13.23 is PKCS #1 signature, 11.3x decipherment; starcos_decipher)",
    recognises: ({ atr }) => atrs.has(toHex(atr)),
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
  starcos("3.4", STARCOS_3_4_ATR, 0x30),
  starcos("3.5", STARCOS_3_5_ATR, 0x31),
];
