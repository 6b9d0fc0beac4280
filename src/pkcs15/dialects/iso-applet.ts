import { SW } from "../../apdu/index.ts";
import { concat } from "../../bytes/index.ts";
import { fileWays } from "../writing/allocation.ts";
import { computeSignature, SELECT_ANSWER, SELECT_BY, select, setEnvironment, TEMPLATE } from "../files/commands.ts";
import { type Dialect, mechanisms } from "../dialect.ts";
import type { FileControl } from "../files/file-control.ts";
import { algorithm, ecdsaAnswer, file, keyReference, refuse } from "../keys/key-use.ts";
import { ISO_APPLET_AID, MAKES } from "../recognition/makes.ts";
import { ISO_APPLET_KEYS } from "./iso-applet-keys.ts";
import { standardUse } from "./standard-use.ts";

const ALGORITHM = { RSA_PKCS1: 0x11, ECDSA: 0x21 } as const;

/** @param ec What the applet makes of the input of an EC signature. */
function isoApplet(version: string, ec: "ecdsa" | "ecdsa-sha1", recognises: Dialect["recognises"]): Dialect {
  return {
    name: `IsoApplet ${version}`,
    source: "OpenSC, card-isoApplet.c (version 0 hashes with SHA-1 before it signs: ECDSA_HASH_SHA1); a recorded card",
    recognises,
    algorithmsFromTokenInfo: false,
    primitives: (type) => (type === "rsa" ? ["rsa-pkcs1"] : [ec]),
    mechanisms: mechanisms({ "rsa-pkcs1": [2048, 4096], [ec]: [256, 384] }),
    // OpenSC, pkcs15-isoApplet.c and a recorded card: FCI, with the size of all bytes. The applet answers 6984 for an identifier that
    // it has (IsoApplet 0.6 and 1, IsoFileSystem.java, getSafeFile).
    // Its VERIFY knows no P1 but 00; selecting it forgets the PIN (isoApplet_logout).
    logout: () => select(SELECT_BY.DF_NAME, ISO_APPLET_AID, SELECT_ANSWER.FCI),
    files: fileWays(0x6f, 0x81, SW.REFERENCE_DATA_NOT_USABLE),
    keys: ISO_APPLET_KEYS,
    privateRules,
    use(request) {
      const { key, primitive, operation, input } = request;
      if (operation === "derive" || (primitive !== "rsa-pkcs1" && primitive !== ec)) return refuse(request);
      const fields = (reference: number): Uint8Array => concat(algorithm(reference), file(key), keyReference(key));
      if (key.type === "rsa") return standardUse(request, fields(ALGORITHM.RSA_PKCS1));
      return {
        environment: setEnvironment(TEMPLATE.SIGNATURE, fields(ALGORITHM.ECDSA)),
        commands: [computeSignature(input)],
        read: ecdsaAnswer(request),
      };
    },
  };
}

/** 86, with FF and a condition for each mode, of which the last is reading; there is one PIN, and 90 means it (card-isoApplet.c). */
function privateRules(security: FileControl["security"]): FileControl["security"] | undefined {
  const [rule] = security;
  if (rule?.tag !== 0x86 || rule.value.length !== 8 || rule.value[0] !== 0xff) return undefined;
  return [{ tag: rule.tag, value: concat(rule.value.subarray(0, 7), Uint8Array.of(0x90)) }];
}

export const ISO_APPLETS: readonly Dialect[] = [
  isoApplet("0", "ecdsa-sha1", MAKES.isoApplet0),
  isoApplet("1", "ecdsa", MAKES.isoApplet1),
];
