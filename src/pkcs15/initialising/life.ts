import type { CommandApdu, ResponseApdu } from "../../apdu/index.ts";
import type { CallOptions } from "../../async/index.ts";
import type { Card } from "../../card/index.ts";
import type { PinEntry } from "../syntax/authentication.ts";

/** Sends one command to the card, whose application or file system is selected. */
export type Send = (command: CommandApdu) => Promise<ResponseApdu>;

/** The values of C_SetVariable. */
export type Variables = ReadonlyMap<string, string>;

/** How tokens of a make begin and end: C_InitToken, C_InitPIN and C_ResetToken. PINs are in characters. */
export interface TokenLife {
  readonly make: string;
  readonly manufacturer: string;
  /** The officer's PIN of a new token; a PUK, if C_Login takes the PUK for the officer's PIN. */
  readonly officer: PinEntry;
  /**
   * Makes the card an empty token. After an interruption the same call completes it. The card must be recognised anew.
   * @throws {PinError} for the SO PIN; {UnsupportedError}.
   */
  initToken(card: Card, soPin: Uint8Array, label: string, variables: Variables, options?: CallOptions): Promise<void>;
  /** Deletes everything. The card must be recognised anew. @throws {PinError}; {UnsupportedError}. */
  readonly resetToken?: (card: Card, pin: Uint8Array, options?: CallOptions) => Promise<void>;
  /**
   * Sets the user's first PIN.
   * @param pin Encoded.
   * @param officer What the officer gave to log in.
   * @throws {PinError} for the officer's; {UnsupportedError} if the token has a PIN already.
   */
  readonly setUser?: (
    send: Send,
    pin: Uint8Array,
    officer: Uint8Array | undefined,
    variables: Variables,
  ) => Promise<void>;
  /** Encodes a new PIN of the user. @throws {PinError} for an impossible one. The caller wipes it. */
  readonly encodeUser?: (pin: Uint8Array) => Uint8Array;
}
