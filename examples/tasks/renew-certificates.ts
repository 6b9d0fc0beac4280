/** Renews the certificates that expire within a month: a request for each key, and the new certificate in the old one's place. */
import "reflect-metadata";
import * as x509 from "@peculiar/x509";
import { openTokens } from "cryptoki";
import { askForManagementKey, askForPin } from "./ask-for-pin.ts";
import { issue } from "./authority.ts";

await using cards = await openTokens({ pin: askForPin });
const token = await cards.token();
const crypto = await token.webCrypto();
const soon = new Date(Date.now() + Number(process.env["DAYS"] ?? 30) * 86_400_000);
for await (const key of token.keys.find({ use: "sign" })) {
  const { subject: name, notAfter } = await key.certificate();
  if (notAfter > soon) continue;
  const keys = await crypto.keyStorage.pair({ id: Buffer.from(key.id, "hex") });
  const wanted = { name, keys, signingAlgorithm: { hash: "SHA-256", ...keys.privateKey.algorithm } };
  const request = await x509.Pkcs10CertificateRequestGenerator.create(wanted, crypto);
  const certificate = await issue(request.toString("pem"));
  await using officer = await token.asOfficer(askForManagementKey());
  await officer.certificates.add(certificate, { key, replace: true });
  console.log(name);
}
