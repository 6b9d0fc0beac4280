import { fromHex } from "../../bytes/index.ts";

/** The application "PKCS-15" of RSA Laboratories (PKCS #15 v1.1 section 6.2), and its name for SELECT. */
export const AID = fromHex("a000000063504b43532d3135");

/** File identifiers. Those of the application and of its first two files are the standard's (PKCS #15 v1.1 section 6.4). */
export const FILE = {
  DIR: 0x2f00,
  APPLICATION: 0x5015,
  ODF: 0x5031,
  TOKEN_INFO: 0x5032,
  AODF: 0x4401,
  PRKDF: 0x4402,
  PUKDF: 0x4403,
  CDF: 0x4404,
  TRUSTED_CDF: 0x4405,
  USEFUL_CDF: 0x4406,
  DODF: 0x4407,
  FIRST_KEY: 0x4b01,
  FIRST_PUBLIC_KEY: 0x4501,
  FIRST_CERTIFICATE: 0x4301,
  FIRST_DATA: 0x4601,
} as const;

/** References of the PINs, and the identifiers of their authentication objects, which are the same numbers. */
export const PIN = { AUTHENTICATION: 1, SIGNATURE: 2, AUTHENTICATION_PUK: 3, SIGNATURE_PUK: 4 } as const;

/** Path of a file of the application, from the master file. */
export function pathOf(id: number): Uint8Array {
  return Uint8Array.of(0x3f, 0x00, FILE.APPLICATION >> 8, FILE.APPLICATION & 0xff, id >> 8, id & 0xff);
}

/** Path of the application. */
export const APPLICATION_PATH = fromHex("3f005015");

/** In TokenInfo. */
export const MANUFACTURER = "Virtual cards";
