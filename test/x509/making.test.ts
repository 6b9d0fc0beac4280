import { expect, test } from "@jest/globals";
import "reflect-metadata";
import { KeyUsageFlags, KeyUsagesExtension, Pkcs10CertificateRequest, X509Certificate } from "@peculiar/x509";
import { createRequest, selfSign } from "../../src/x509/index.ts";
import { opened } from "../tokens/opened.ts";

test.each(["9a", "9c", "9e", "82"] as const)(
  "a request of %s, and a certificate that it signs itself",
  async (reference) => {
    await using rig = await opened();
    const key = await rig.token.keys.get({ reference });
    const request = new Pkcs10CertificateRequest(await createRequest(key, { name: "CN=Ada Lovelace,C=NO" }));
    expect(request.subject).toBe("CN=Ada Lovelace, C=NO");
    expect(await request.verify()).toBe(true);
    const usage = new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true);
    const certificate = await selfSign(key, { name: "CN=Ada", days: 2, extensions: [usage] });
    expect(certificate.notAfter.getTime() - certificate.notBefore.getTime()).toBe(2 * 86_400_000);
    expect(certificate.publicKey.fingerprint()).toBe((await key.publicKey()).fingerprint());
    const parsed = new X509Certificate(certificate.toPem());
    expect(await parsed.verify()).toBe(true);
    const renewal = new Pkcs10CertificateRequest(await createRequest(key, { renews: certificate }));
    expect(renewal.subject).toBe("CN=Ada");
    expect(renewal.getExtension("2.5.29.15")?.critical).toBe(true);
    // Basic constraints are the authority's to say.
    expect(renewal.extensions).toHaveLength(1);
  },
);

test("what is no name, days that cannot be, and a key that signs nothing are refused", async () => {
  await using rig = await opened();
  const key = await rig.token.keys.get({ reference: "9e" });
  await expect(createRequest(key)).rejects.toMatchObject({
    code: "BAD_INPUT",
    message: 'a certificate wants a name, such as "CN=Ada Lovelace"',
  });
  await expect(createRequest(key, { name: "" })).rejects.toMatchObject({ code: "BAD_INPUT" });
  await expect(selfSign(key, { name: "CN=Ada", days: 0 })).rejects.toMatchObject({
    message: "days is a whole number from 1 to 36525",
  });
  const x25519 = await rig.token.keys.get({ reference: "83" });
  await expect(createRequest(x25519, { name: "CN=Ada" })).rejects.toMatchObject({ code: "CANNOT_SIGN" });
});
