/** Signs a file, which is read as a stream. */
import { createReadStream } from "node:fs";
import { writeFile } from "node:fs/promises";
import { openTokens } from "cryptoki";
import { askForPin } from "./ask-for-pin.ts";

await using cards = await openTokens({ pin: askForPin });
const key = await (await cards.token()).keys.get({ reference: "9a" });
await writeFile("letter.sig", await key.sign(createReadStream("letter.txt")));
