/** Makes a certificate request with a key of the card. */
import { openTokens } from "cryptoki";
import { createRequest } from "cryptoki/x509";
import { askForPin } from "./ask-for-pin.ts";

await using cards = await openTokens({ pin: askForPin });
const key = await (await cards.token()).keys.get({ reference: "9a" });
console.log(await createRequest(key, { name: "CN=Ada Lovelace" }));
