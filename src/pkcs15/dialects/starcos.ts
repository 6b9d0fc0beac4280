import { decipher } from "../files/commands.ts";
import { type Dialect, mechanisms } from "../dialect.ts";
import { cipher, indicated, keyReference, refuse } from "../keys/key-use.ts";
import { MAKES } from "../recognition/makes.ts";
import { standardUse } from "./standard-use.ts";

/** @param padded Names the decipherment that takes PKCS #1 padding off. */
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
