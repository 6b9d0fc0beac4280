import { randomUUID } from "node:crypto";
import { constants, open, rename, rm } from "node:fs/promises";
import { DataError, fromUtf8 } from "../bytes/index.ts";
import type { VirtualCard } from "./card.ts";
import { VirtualFileCard } from "./iso7816/card.ts";
import * as fileCard from "./iso7816/image.ts";
import { JsonFields } from "./json.ts";
import { VirtualPivCard } from "./piv/card.ts";
import * as pivCard from "./piv/image.ts";
import { VirtualSmartCardHsm } from "./smartcard-hsm/card.ts";
import * as hsm from "./smartcard-hsm/image.ts";

/**
 * Reads a whole regular file. Refuses anything else: a device may have no end, and a FIFO blocks its reader.
 * @param limit Most bytes.
 * @param what A name of the file, for the error.
 * @throws {DataError} if it is not a regular file or longer than `limit`; the file system's errors.
 */
export async function readRegularFile(file: string, limit: number, what: string): Promise<Uint8Array> {
  // O_NONBLOCK: opening a FIFO would wait for its writer.
  const handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  try {
    if (!(await handle.stat()).isFile()) throw new DataError(`${what}: not a regular file`);
    // Does not rely on the reported size: the file may grow, and those of /proc have none.
    const bytes = new Uint8Array(limit + 1);
    let length = 0;
    for (let read = -1; read !== 0 && length < bytes.length; length += read) {
      ({ bytesRead: read } = await handle.read(bytes, length));
    }
    if (length > limit) throw new DataError(`${what}: more than ${limit} bytes`);
    return bytes.subarray(0, length);
  } finally {
    await handle.close();
  }
}

/** A card that can be saved in a file. */
export interface SavableCard extends VirtualCard {
  /** Everything on the card, keys and PINs too, as the text of its file. */
  image(): string;
}

/** More than a card with 24 RSA-4096 keys and every data object at its largest. */
const MAX_FILE = 4 << 20;

/**
 * Saves everything on the card in a file, readable by its owner only; the file is replaced atomically. The file of a
 * test card holds its keys and PINs unencrypted.
 * @throws the file system's errors.
 */
export async function saveCard(card: SavableCard, file: string): Promise<void> {
  await writeAtomically(file, card.image());
}

/**
 * Loads the card that {@link saveCard} wrote. Every lasting change (a spent PIN try too) is saved before the card
 * answers the command that made it; if it cannot be saved, the card answers 6581, memory failure.
 * @param onUnsaved Gets the file system's error then.
 * @throws {DataError} if the file is not a card, not a regular file, or longer than 4 MiB; the file system's errors.
 */
export async function loadCard(
  file: string,
  onUnsaved: (error: unknown) => void = () => undefined,
): Promise<SavableCard> {
  const text = fromUtf8(await readRegularFile(file, MAX_FILE, "virtual card"));
  const keep = async (image: string): Promise<void> => {
    try {
      await writeAtomically(file, image);
    } catch (error) {
      onUnsaved(error);
      throw error;
    }
  };
  switch (JsonFields.parse(text, "virtual card").oneOf("format", [pivCard.FORMAT, fileCard.FORMAT, hsm.FORMAT])) {
    case pivCard.FORMAT:
      return new VirtualPivCard(pivCard.decodeImage(text), keep);
    case fileCard.FORMAT:
      return new VirtualFileCard(fileCard.decodeImage(text), keep);
    case hsm.FORMAT:
      return new VirtualSmartCardHsm(hsm.decodeImage(text), keep);
  }
}

async function writeAtomically(file: string, text: string): Promise<void> {
  const temporary = `${file}.${randomUUID()}`;
  try {
    const handle = await open(temporary, "wx", 0o600);
    try {
      await handle.writeFile(text);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, file);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}
