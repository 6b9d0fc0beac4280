import type { VirtualPivCard } from "../virtual/index.ts";
import { DataError } from "../bytes/index.ts";
import { systemCode } from "./files.ts";
import { FileError, NotFoundError, UsageError } from "./failure.ts";

/**
 * The card that --virtual names: "piv" is a new one, with new keys, PIN 123456 and PUK 12345678; anything else is the file
 * of a saved one, in which what changes on the card is kept.
 */
export async function openVirtualCard(name: string): Promise<VirtualPivCard> {
  const virtual = await import("../virtual/index.ts");
  if (name === "piv") return virtual.VirtualPivCard.create();
  if (name === "pkcs15") throw new UsageError("there is no virtual PKCS #15 card yet; use --virtual piv");
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
