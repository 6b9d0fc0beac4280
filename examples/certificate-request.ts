/** Makes a certificate request with the first key on the card, through WebCrypto and @peculiar/x509. */
import "reflect-metadata";
import * as x509 from "@peculiar/x509";
import { Cryptoki, profiles } from "cryptoki";
import { TokenCrypto } from "cryptoki/webcrypto";
import { openReaders, readPin } from "./cards.ts";

const pcsc = await openReaders();
const cryptoki = new Cryptoki({ pcsc, profiles });
await cryptoki.C_Initialize();
try {
  await using card = await TokenCrypto.open({ cryptoki, pin: readPin });
  x509.cryptoProvider.set(card);
  const keys = await card.keyStorage.pair({ id: Uint8Array.of(1) });
  const request = await x509.Pkcs10CertificateRequestGenerator.create({
    name: "CN=Ada Lovelace,O=Analytical Engines",
    keys,
    signingAlgorithm: keys.privateKey.algorithm,
    extensions: [new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true)],
  });
  console.log(request.toString("pem"));
  console.log(`valid: ${await request.verify()}`);
} finally {
  await cryptoki.C_Finalize();
  await pcsc.close();
}
