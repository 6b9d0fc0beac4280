import { SW } from "../../apdu/index.ts";
import { concat } from "../../bytes/index.ts";
import type { KeyPrimitive } from "../../card/index.ts";
import { fileWays } from "../writing/allocation.ts";
import { computeSignature, SELECT_ANSWER, SELECT_BY, select, setEnvironment, TEMPLATE } from "../files/commands.ts";
import { type Dialect, mechanisms } from "../dialect.ts";
import type { FileControl } from "../files/file-control.ts";
import { algorithm, ecdsaAnswer, file, keyReference, refuse, wholeBlock } from "../keys/key-use.ts";
import { type CardFacts, ISO_APPLET_AID, MAKES } from "../recognition/makes.ts";
import { isoAppletKeys } from "./iso-applet-keys.ts";
import { standardUse } from "./standard-use.ts";

const ALGORITHM = { RSA_PKCS1: 0x11, RSA_PSS: 0x12, ECDSA: 0x21 } as const;
/** What a short answer holds. */
const SHORT_ANSWER = 256;

/** Bits of the third byte that the applet tells of itself (OpenSC, card-isoApplet.c, ISOAPPLET_API_FEATURE_...). */
const FEATURE = { EXTENDED: 0x01, EC: 0x04, PSS: 0x08, RSA_4096: 0x20 } as const;

/** What an applet can do, by its version and features. */
interface Abilities {
  readonly version: string;
  /** What the applet makes of the input of an EC signature; undefined if it has no such keys. */
  readonly ec: "ecdsa" | "ecdsa-sha1" | undefined;
  readonly rsaBits: number;
  readonly pss: boolean;
  /** It takes commands with extended length, and no chains. */
  readonly extended: boolean;
}

const VERSION_0: Abilities = { version: "0", ec: "ecdsa-sha1", rsaBits: 4096, pss: false, extended: false };
/** Of an applet that does not tell its features. */
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
    // Its VERIFY knows no P1 but 00; selecting it forgets the PIN (isoApplet_logout).
    neverTellsVerified: true,
    logout: () => select(SELECT_BY.DF_NAME, ISO_APPLET_AID, SELECT_ANSWER.FCI),
    // OpenSC, pkcs15-isoApplet.c and a recorded card: FCI, with the size of all bytes. The applet answers 6984 for an identifier that
    // it has (IsoApplet 0.6 and 1, IsoFileSystem.java, getSafeFile).
    files: fileWays(0x6f, 0x81, SW.REFERENCE_DATA_NOT_USABLE),
    keys: isoAppletKeys({ rsaBits, ec: ec !== undefined, extended }),
    privateRules,
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
          // An applet without GET RESPONSE wants room for the whole answer.
          commands: [{ ...computeSignature(input), ne: Math.max(SHORT_ANSWER, key.bytes) }],
          read: key.type === "ec" ? ecdsaAnswer(request) : wholeBlock(request),
        };
      }
      return standardUse(request, fields(ALGORITHM.RSA_PKCS1));
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
  isoApplet(VERSION_0, MAKES.isoApplet0),
  {
    ...isoApplet(VERSION_1, MAKES.isoApplet1),
    forCard: (card: CardFacts): Dialect => {
      const features = card.selectAnswer[2];
      return isoApplet(features === undefined ? VERSION_1 : abilities(features), MAKES.isoApplet1);
    },
  },
];
