/** Signs with a key of a module on another machine, over ssh. */
import { openTokens } from "cryptoki";
import { askForPin } from "./ask-for-pin.ts";

const server = "|ssh hsm.example.com p11-kit remote /usr/lib/softhsm/libsofthsm2.so";
await using cards = await openTokens({ server, pin: askForPin });
const key = await (await cards.token()).keys.get({ id: "01" });
console.log((await key.sign(new TextEncoder().encode("a letter"))).length);
