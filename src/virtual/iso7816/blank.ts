import { randomBytes } from "node:crypto";
import { DataError } from "../../bytes/index.ts";
import { VirtualFileCard } from "./card.ts";
import { type IsoContents, type MakeName, MASTER_FILE } from "./model.ts";
import { applicationDf } from "./myeid-life.ts";

/** Options of a card as its maker delivers it. */
export interface BlankCardOptions {
  /** Serial number, 8 bytes; default: random. */
  readonly serial?: Uint8Array;
  /** Supports extended-length commands; default: false. */
  readonly extended?: boolean;
}

/**
 * Makes a card as its maker delivers it, without PINs and PKCS #15 files: a MyEID has an empty DF 5015 and is not
 * activated, an IsoApplet has only its master file.
 * @throws {DataError} for a serial number that does not have 8 bytes.
 */
export function createBlankCard(make: MakeName, options: BlankCardOptions = {}): VirtualFileCard {
  const serial = options.serial ?? randomBytes(8);
  if (serial.length !== 8) throw new DataError(`blank card: a serial number of ${serial.length} bytes instead of 8`);
  const isMyEid = make === "myeid";
  const none = new Uint8Array();
  const contents: IsoContents = {
    traits: { make, extended: options.extended ?? false, serial: serial.slice() },
    masterFile: { kind: "df", id: MASTER_FILE, security: none, files: isMyEid ? [applicationDf(none)] : [] },
    pins: new Map(),
    keys: new Map(),
    changes: 0,
    ...(isMyEid && { inCreation: true }),
  };
  return new VirtualFileCard(contents);
}
