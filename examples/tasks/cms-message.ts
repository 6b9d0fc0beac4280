/** Signs a letter as a CMS message, with its certificate; `openssl cms -verify -binary` reads it. */
import { createReadStream } from "node:fs";
import { writeFile } from "node:fs/promises";
import { openTokens } from "cryptoki";
import { signCms } from "cryptoki/formats";
import { askForPin } from "./ask-for-pin.ts";

await using cards = await openTokens({ pin: askForPin });
const key = await (await cards.token()).keys.get({ reference: "9a" });
await writeFile("letter.p7s", await signCms(key, createReadStream("letter.txt")));
