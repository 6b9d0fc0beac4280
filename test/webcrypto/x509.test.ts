import "reflect-metadata";
import { X509Certificate } from "node:crypto";
import * as x509 from "@peculiar/x509";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { testCard } from "../virtual/keys.ts";
import { id, type Opened, opened } from "./opened.ts";

const NAME = "CN=Ada Lovelace,O=Test Cards,C=ZZ";
const ALGORITHMS = [
  [1, { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" }, { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" }],
  [1, { name: "RSA-PSS", hash: "SHA-384" }, { name: "RSA-PSS", hash: "SHA-384", saltLength: 48 }],
  [2, { name: "ECDSA" }, { name: "ECDSA", hash: "SHA-256" }],
] as const;

describe("@peculiar/x509", () => {
  let card: Opened;
  beforeAll(async () => {
    card = await opened(await testCard());
    x509.cryptoProvider.set(card.crypto);
  });
  afterAll(() => card[Symbol.asyncDispose]());

  test.each(ALGORITHMS)("key %i with %j makes a request that verifies", async (key, algorithm, signingAlgorithm) => {
    const keys = await card.crypto.keyStorage.pair({ id: id(key), algorithm });
    const request = await x509.Pkcs10CertificateRequestGenerator.create({
      name: NAME,
      keys,
      signingAlgorithm,
      extensions: [new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature)],
    });
    expect(await request.verify()).toBe(true);
    expect(request.subject).toBe("CN=Ada Lovelace, O=Test Cards, C=ZZ");
  });

  test.each(ALGORITHMS)("key %i with %j makes a self-signed certificate", async (key, algorithm, signingAlgorithm) => {
    const keys = await card.crypto.keyStorage.pair({ id: id(key), algorithm });
    const certificate = await x509.X509CertificateGenerator.createSelfSigned({
      serialNumber: "01",
      name: NAME,
      notBefore: new Date("2026-01-01"),
      notAfter: new Date("2036-01-01"),
      keys,
      signingAlgorithm,
    });
    const read = new X509Certificate(new Uint8Array(certificate.rawData));
    expect(read.verify(read.publicKey)).toBe(true);
    expect(await certificate.verify({ date: new Date("2030-01-01") })).toBe(true);
  });

  test("an authority on a card certifies another party's key", async () => {
    const { keyStorage, subtle } = card.crypto;
    const authority = await keyStorage.pair({ id: id(1) });
    const subject = await subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, false, ["sign", "verify"]);
    const root = await x509.X509CertificateGenerator.createSelfSigned({
      name: "CN=Authority",
      keys: authority,
      signingAlgorithm: authority.privateKey.algorithm,
      extensions: [new x509.BasicConstraintsExtension(true, undefined, true)],
    });
    const certificate = await x509.X509CertificateGenerator.create({
      subject: NAME,
      issuer: root.subject,
      publicKey: subject.publicKey,
      signingKey: authority.privateKey,
      signingAlgorithm: authority.privateKey.algorithm,
    });
    const [leaf, issuer] = [certificate, root].map((one) => new X509Certificate(new Uint8Array(one.rawData)));
    expect(issuer && leaf?.checkIssued(issuer)).toBe(true);
    expect(issuer && leaf?.verify(issuer.publicKey)).toBe(true);
    expect(await certificate.verify({ publicKey: root })).toBe(true);
    const chain = await new x509.X509ChainBuilder({ certificates: [root] }).build(certificate);
    expect(chain).toHaveLength(2);
  });

  test("reads the card's certificates", async () => {
    const found = await card.crypto.certStorage.get({ id: id(1) });
    const certificate = new x509.X509Certificate(await found.der());
    await expect(certificate.publicKey.export(card.crypto)).resolves.toMatchObject({
      algorithm: { name: "RSASSA-PKCS1-v1_5", modulusLength: 2048 },
    });
  });
});
