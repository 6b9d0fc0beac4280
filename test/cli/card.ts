import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import path from "node:path";
import { saveCard, type PivCardOptions } from "../../src/virtual/index.ts";
import { memoryFolder } from "../memory-folder.ts";
import { pivCard } from "../virtual/keys.ts";

/** A folder with a saved card in it, which goes at the end. */
export class CardFolder implements Disposable {
  readonly path = mkdtempSync(path.join(memoryFolder(), "cryptoki-cli-"));
  readonly card = this.file("card.json");

  static async create(options: PivCardOptions = {}): Promise<CardFolder> {
    const folder = new CardFolder();
    await saveCard(await pivCard(options), folder.card);
    return folder;
  }

  file(name: string, content?: string | Uint8Array): string {
    const file = path.join(this.path, name);
    if (content !== undefined) writeFileSync(file, content);
    return file;
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

/** The PIN, as most tests give it. */
export const PIN = { env: { CRYPTOKI_PIN: "123456" } };
export const WRONG_PIN = { env: { CRYPTOKI_PIN: "999999" } };
/** The management key that every new card has. */
export const OFFICER = { env: { CRYPTOKI_SO_PIN: "010203040506070801020304050607080102030405060708" } };
