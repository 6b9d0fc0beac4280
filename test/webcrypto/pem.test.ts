import { X509Certificate } from "node:crypto";
import fc from "fast-check";
import { expect, test } from "@jest/globals";
import { fromPem, toPem } from "../../src/webcrypto/certificate-storage.ts";
import { testCard } from "../virtual/keys.ts";
import { id, opened } from "./opened.ts";

test("what was written is read, whatever stands around it", () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1 }), fc.string(), (der, text) => {
      expect(fromPem(toPem(der))).toEqual(der);
      expect(fromPem(`subject: ${text.replaceAll("-", "")}\r\n${toPem(der).replaceAll("\n", "\r\n")}`)).toEqual(der);
    }),
  );
});

test("any text is a certificate's or a DataError", () => {
  const body = fc.string({ unit: fc.constantFrom("A", "=", "+", "/", "\n", "-", "?") });
  fc.assert(
    fc.property(body, (text) => {
      try {
        fromPem(`-----BEGIN CERTIFICATE-----${text}-----END CERTIFICATE-----`);
      } catch (error) {
        expect(error).toMatchObject({ name: "DataError" });
      }
    }),
  );
});

test("it is written as OpenSSL writes it", async () => {
  await using card = await opened(await testCard());
  const certificate = await card.crypto.certStorage.get({ id: id(1) });
  const node = new X509Certificate(await certificate.der()).toString();
  expect(await certificate.pem()).toBe(node);
});
