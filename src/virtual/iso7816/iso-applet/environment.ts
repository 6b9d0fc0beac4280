import type { KeyObject } from "node:crypto";
import { findTlv, readTlvs, SW } from "../../../apdu/index.ts";
import { Refusal } from "../../refusal.ts";
import type { CardCommand } from "../../transport.ts";
import type { IsoContext } from "../make.ts";

/** P2: for making or bringing a key, else the control reference template (ISO/IEC 7816-4 table 54). */
const PURPOSE = { NEW_KEY: 0x00, SIGNATURE: 0xb6, CONFIDENTIALITY: 0xb8 } as const;
/** Algorithm references (IsoApplet 0.6, IsoApplet.java). */
export const ALGORITHM = {
  RSA_PKCS1: 0x11,
  /** From version 1 on, as are RSA keys of 4,096 bits. */
  RSA_PSS: 0x12,
  /** Version 0 hashes with SHA-1 before it signs, version 1 does not hash. */
  ECDSA: 0x21,
  NEW_RSA_2048: 0xf3,
  NEW_RSA_4096: 0xf5,
  NEW_EC: 0xec,
} as const;
const SINCE_1: readonly number[] = [ALGORITHM.RSA_PSS, ALGORITHM.NEW_RSA_4096];
/** Keys have the numbers 0 to 15. */
const KEYS = 16;

const ALLOWED: ReadonlyMap<number, ReadonlyMap<number, string>> = new Map<number, ReadonlyMap<number, string>>([
  [
    PURPOSE.NEW_KEY,
    new Map([
      [ALGORITHM.NEW_RSA_2048, "any"],
      [ALGORITHM.NEW_RSA_4096, "any"],
      [ALGORITHM.NEW_EC, "any"],
    ]),
  ],
  [
    PURPOSE.SIGNATURE,
    new Map([
      [ALGORITHM.RSA_PKCS1, "rsa"],
      [ALGORITHM.RSA_PSS, "rsa"],
      [ALGORITHM.ECDSA, "ec"],
    ]),
  ],
  [PURPOSE.CONFIDENTIALITY, new Map([[ALGORITHM.RSA_PKCS1, "rsa"]])],
]);

const SET = 0x41;
const RESTORE = 0xf3;

/** MANAGE SECURITY ENVIRONMENT: SET names algorithm (80) and the number of a key (84); RESTORE leaves none. */
export function manageSecurityEnvironment(context: IsoContext, { p1, p2, data }: CardCommand): Uint8Array {
  const { contents, session } = context;
  if (p1 === RESTORE) {
    session.environment = undefined;
    return new Uint8Array();
  }
  if (p1 !== SET) throw new Refusal(SW.FUNCTION_NOT_SUPPORTED);
  const fields = readTlvs(data, "control reference template");
  const algorithm = onlyByte(findTlv(fields, 0x80));
  const key = onlyByte(findTlv(fields, 0x84));
  if (algorithm === undefined || key === undefined || key >= KEYS) throw new Refusal(SW.REFERENCE_DATA_NOT_USABLE);
  const type = ALLOWED.get(p2)?.get(algorithm);
  const isKnown = isVersion1(context) || !SINCE_1.includes(algorithm);
  if (type === undefined || !isKnown) throw new Refusal(SW.FUNCTION_NOT_SUPPORTED);
  if (type !== "any" && contents.keys.get(key)?.asymmetricKeyType !== type) {
    throw new Refusal(SW.REFERENCE_DATA_NOT_USABLE);
  }
  session.environment = { template: p2, algorithm, key };
  return new Uint8Array();
}

/** Whether the applet is of version 1. */
export const isVersion1 = ({ contents }: IsoContext): boolean => contents.traits.make === "iso-applet-1";

const onlyByte = (value: Uint8Array | undefined): number | undefined => (value?.length === 1 ? value[0] : undefined);

/**
 * The key that the environment names, for an algorithm.
 * @throws {Refusal} 6985 if there is none.
 */
export function chosenKey({ contents, session }: IsoContext, algorithm: number): KeyObject | undefined {
  const { environment } = session;
  return environment?.algorithm === algorithm ? contents.keys.get(environment.key) : undefined;
}

/** The number and algorithm for a new key. @throws {Refusal} 6985 if none is set. */
export function newKey({ session }: IsoContext): { readonly number: number; readonly algorithm: number } {
  const { environment } = session;
  if (environment?.template !== PURPOSE.NEW_KEY) throw new Refusal(SW.CONDITIONS_NOT_SATISFIED);
  return { number: environment.key, algorithm: environment.algorithm };
}
