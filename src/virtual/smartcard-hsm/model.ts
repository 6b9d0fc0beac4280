import type { KeyObject } from "node:crypto";
import type { ReferenceData } from "../card.ts";
import type { Dkek } from "./dkek.ts";

/** The persistent state of a SmartCard-HSM. */
export interface HsmContents {
  /** The number in its certificate: 11 characters. */
  readonly serial: string;
  /** The device's own key, number 0. */
  readonly deviceKey: KeyObject;
  /** By their identifiers, four hexadecimal digits. */
  readonly files: Map<string, Uint8Array>;
  /** By their numbers, 1 to 255. */
  readonly keys: Map<number, KeyObject>;
  /** Undefined until INITIALIZE DEVICE. */
  security: HsmSecurity | undefined;
}

/** What INITIALIZE DEVICE sets. */
export interface HsmSecurity {
  /** The user's PIN, 6 to 16 bytes. */
  readonly pin: ReferenceData;
  /** The initialisation code, 8 bytes. */
  readonly code: ReferenceData;
  /** RESET RETRY COUNTER is allowed. */
  readonly allowsReset: boolean;
  /** Undefined if keys cannot be wrapped. */
  readonly dkek: Dkek | undefined;
}

/** Tries of the initialisation code. */
export const CODE_TRIES = 15;
