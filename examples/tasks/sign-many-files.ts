/** Signs all letters of a folder. The PIN is asked for once. */
import { createReadStream } from "node:fs";
import { readdir, writeFile } from "node:fs/promises";
import { openTokens } from "cryptoki";
import { askForPin } from "./ask-for-pin.ts";

await using cards = await openTokens({ pin: askForPin });
const key = await (await cards.token()).keys.get({ reference: "9a" });
const letters = (await readdir("letters")).map((name) => `letters/${name}`);
for (const letter of letters) await writeFile(`${letter}.sig`, await key.sign(createReadStream(letter)));
