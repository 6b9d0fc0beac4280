import type { VirtualCard } from "../virtual/index.ts";
import { DataError } from "../bytes/index.ts";
import { systemCode } from "./files.ts";
import { FileError, NotFoundError } from "./failure.ts";

/** Whether --virtual names a card that is made anew, and no file. */
export const isNewCard = (name: string): boolean => name === "piv" || name === "pkcs15";

/**
 * The card that --virtual names: "piv" is a new one, with new keys, PIN 123456 and PUK 12345678; "pkcs15" likewise, and has
 * a signature PIN too, 654321 with PUK 87654321; anything else is the file of a saved one, in which what changes on the card is kept.
 */
export async function openVirtualCard(name: string): Promise<VirtualCard> {
  const virtual = await import("../virtual/index.ts");
  if (name === "piv") return virtual.VirtualPivCard.create();
  if (name === "pkcs15") return virtual.VirtualPkcs15Card.create();
  try {
    return await virtual.loadCard(name);
  } catch (cause) {
    if (cause instanceof DataError) {
      const message = `${name} holds no virtual card; write --virtual=piv if it is not what --virtual is to use`;
      throw new FileError(message, { cause });
    }
    if (systemCode(cause) === "ENOENT") {
      throw new NotFoundError(`no virtual card in ${name}; make one with: cryptoki virtual create ${name}`, { cause });
    }
    throw new FileError(`the virtual card ${name} cannot be read`, { cause });
  }
}
