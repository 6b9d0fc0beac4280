/** Decrypts a file of any length, whose AES key was encrypted for the card. */
import { createDecipheriv } from "node:crypto";
import { createReadStream, createWriteStream } from "node:fs";
import { readFile } from "node:fs/promises";
import { pipeline } from "node:stream/promises";
import { openTokens } from "cryptoki";
import { askForPin } from "./ask-for-pin.ts";

await using cards = await openTokens({ pin: askForPin });
const key = await (await cards.token()).keys.get({ reference: "9a" });
const secret = await key.decrypt(await readFile("letter.key"));
const decipher = createDecipheriv("aes-256-cbc", secret, await readFile("letter.iv"));
await pipeline(createReadStream("letter.box"), decipher, createWriteStream("letter.out"));
