/** Agrees on a secret with another party (ECDH), and derives a key from it (HKDF). */
import { hkdfSync } from "node:crypto";
import { readFile } from "node:fs/promises";
import { openTokens, PublicKey } from "cryptoki";
import { askForPin } from "./ask-for-pin.ts";

await using cards = await openTokens({ pin: askForPin });
const key = await (await cards.token()).keys.get({ reference: "9d" });
const secret = await key.deriveSecret(new PublicKey(await readFile("peer.pem", "utf8")));
console.log(Buffer.from(hkdfSync("sha256", secret, "salt", "letters", 32)).toString("hex"));
