/** Makes a certificate request with a key of the card. */
import "reflect-metadata";
import * as x509 from "@peculiar/x509";
import { openTokens } from "cryptoki";
import { askForPin } from "./ask-for-pin.ts";

await using cards = await openTokens({ pin: askForPin });
const crypto = await (await cards.token()).webCrypto();
const keys = await crypto.keyStorage.pair({ id: Uint8Array.of(1) });
const wanted = { name: "CN=Ada Lovelace", keys, signingAlgorithm: keys.privateKey.algorithm };
console.log((await x509.Pkcs10CertificateRequestGenerator.create(wanted, crypto)).toString("pem"));
