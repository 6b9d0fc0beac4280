/** Renews the certificates that expire within a month: a request for each key, and the new certificate in the old one's place. */
import { openTokens } from "cryptoki";
import { createRequest } from "cryptoki/x509";
import { askForManagementKey, askForPin } from "./ask-for-pin.ts";
import { issue } from "./authority.ts";

await using cards = await openTokens({ pin: askForPin });
const token = await cards.token();
const soon = new Date(Date.now() + Number(process.env["DAYS"] ?? 30) * 86_400_000);
for await (const key of token.keys.find({ use: "sign" })) {
  const old = await key.certificate();
  if (old.notAfter > soon) continue;
  const certificate = await issue(await createRequest(key, { renews: old }));
  await using officer = await token.asOfficer(askForManagementKey());
  await officer.certificates.add(certificate, { key, replace: true });
  console.log(old.subject);
}
