/** Shows that a YubiKey made a key itself: the chain ends at a certificate of the maker, whose root is to be compared. */
import { X509Certificate } from "node:crypto";
import { openTokens } from "cryptoki";

await using cards = await openTokens({});
const key = await (await cards.token()).keys.get({ reference: "9a" });
const { certificate, chain } = await key.attest();
for (const der of [certificate, ...chain]) console.log(new X509Certificate(der).issuer);
