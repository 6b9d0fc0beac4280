import type { CallOptions } from "../../async/index.ts";
import type { CardObjectChanges, KeyPairRequest, NewCardObject } from "../../card/index.ts";
import type { DirectoryItem } from "../objects/contents.ts";
import type { PinEntry } from "../syntax/authentication.ts";

/** Writes objects of one application. Each method takes the PIN of the token that it is called for. */
export interface TokenWriter {
  /** @returns The CKA_ID of the pair. */
  generate(request: KeyPairRequest, pin: PinEntry | undefined, options?: CallOptions): Promise<Uint8Array>;
  /** @returns Whether an entry is that of the new object. */
  create(
    object: NewCardObject,
    pin: PinEntry | undefined,
    options?: CallOptions,
  ): Promise<(item: DirectoryItem) => boolean>;
  /** @returns The present entry. */
  setAttributes(
    found: DirectoryItem,
    changes: CardObjectChanges,
    pin: PinEntry | undefined,
    options?: CallOptions,
  ): Promise<Uint8Array>;
  setLabel(label: string, pin: PinEntry | undefined, options?: CallOptions): Promise<void>;
  destroy(found: DirectoryItem, pin: PinEntry | undefined, options?: CallOptions): Promise<void>;
}
