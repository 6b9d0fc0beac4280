/** Makes a JSON Web Token, and checks it with jose. */
import { importSPKI, jwtVerify } from "jose";
import { openTokens } from "cryptoki";
import { signJwt } from "cryptoki/formats";
import { askForPin } from "./ask-for-pin.ts";

await using cards = await openTokens({ pin: askForPin });
const key = await (await cards.token()).keys.get({ reference: "9a" });
const jwt = await signJwt(key, { sub: "ada" });
const { payload } = await jwtVerify(jwt, await importSPKI((await key.publicKey()).toPem(), "RS256"));
console.log(payload.sub);
