import "reflect-metadata";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import * as x509 from "@peculiar/x509";
import * as asn1js from "asn1js";
import * as pkijs from "pkijs";
import { afterAll, beforeAll, describe, expect, jest, test } from "@jest/globals";
import { contextTag, derOctetString, derOid, derSequence, encodeDer } from "../../../src/asn1/index.ts";
import { utf8 } from "../../../src/bytes/index.ts";
import { x963Kdf } from "../../../src/crypto/index.ts";
import { Cryptoki } from "../../../src/cryptoki/index.ts";
import { Pcscd } from "../../../src/pcsc/index.ts";
import { piv } from "../../../src/piv/index.ts";
import { TokenCrypto } from "../../../src/webcrypto/index.ts";
import { testCard, testKey } from "../../virtual/keys.ts";
import { requirePrograms } from "../rig/require.ts";
import { plugIn, type PluggedIn } from "../virtual/plugged.ts";

// The machine has one pcscd: another test file may have it first.
jest.setTimeout(900_000);

const MESSAGE = utf8("a message that OpenSSL reads\n");
const NAME = "CN=Ada Lovelace,O=Test Cards";
const id = (byte: number): Uint8Array => Uint8Array.of(byte);

const SIGNATURES = [
  [1, { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" }],
  [1, { name: "RSA-PSS", hash: "SHA-256", saltLength: 32 }],
  [2, { name: "ECDSA", hash: "SHA-256" }],
] as const;

describe("OpenSSL and a card's keys through WebCrypto", () => {
  let plugged: PluggedIn;
  let pcsc: Pcscd;
  let cryptoki: Cryptoki;
  let crypto: TokenCrypto;
  let folder: string;
  const file = (name: string): string => path.join(folder, name);
  const openssl = (...args: string[]): Promise<string> => plugged.succeed("openssl", ...args);

  beforeAll(async () => {
    requirePrograms("openssl");
    folder = await mkdtemp(path.join(os.tmpdir(), "webcrypto-"));
    // 9D agrees on secrets, 9A decrypts.
    const keys = {
      "9d": { privateKey: testKey("p-256", "9d") },
      "9e": { privateKey: testKey("rsa-2048", "9e") },
    };
    plugged = await plugIn(await testCard({ keys }), "WebCrypto");
    pcsc = new Pcscd();
    cryptoki = new Cryptoki({ pcsc, profiles: [piv] });
    await cryptoki.C_Initialize();
    crypto = await TokenCrypto.open({ cryptoki, pin: () => "123456" });
    x509.cryptoProvider.set(crypto);
    pkijs.setEngine("card", new pkijs.CryptoEngine({ name: "card", crypto }));
  });
  afterAll(async () => {
    await crypto[Symbol.asyncDispose]();
    await cryptoki.C_Finalize();
    await pcsc.close();
    await plugged[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  });

  test.each(SIGNATURES)("key %i, %j: a request", async (key, signingAlgorithm) => {
    const keys = await crypto.keyStorage.pair({ id: id(key), algorithm: signingAlgorithm });
    const request = await x509.Pkcs10CertificateRequestGenerator.create({ name: NAME, keys, signingAlgorithm });
    await writeFile(file("request.pem"), request.toString("pem"));
    const { stderr, code } = await plugged.run("openssl", "req", "-in", file("request.pem"), "-verify", "-noout");
    expect([code, stderr]).toEqual([0, expect.stringMatching(/self-signature verify OK/u)]);
    expect(await openssl("req", "-in", file("request.pem"), "-noout", "-subject")).toMatch(/Ada Lovelace/u);
  });

  test.each(SIGNATURES)("key %i, %j: an authority and what it certifies", async (key, signingAlgorithm) => {
    const authority = await crypto.keyStorage.pair({ id: id(key), algorithm: signingAlgorithm });
    const root = await x509.X509CertificateGenerator.createSelfSigned({
      name: "CN=Authority",
      keys: authority,
      signingAlgorithm,
      extensions: [
        new x509.BasicConstraintsExtension(true, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign, true),
      ],
    });
    const { publicKey } = await crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, false, ["sign"]);
    const leaf = await x509.X509CertificateGenerator.create({
      subject: NAME,
      issuer: root.subject,
      publicKey,
      signingKey: authority.privateKey,
      signingAlgorithm,
    });
    await writeFile(file("root.pem"), root.toString("pem"));
    await writeFile(file("leaf.pem"), leaf.toString("pem"));
    expect(await openssl("verify", "-CAfile", file("root.pem"), file("leaf.pem"))).toMatch(/leaf.pem: OK/u);
  });

  test.each(SIGNATURES)("key %i, %j: a signed message", async (key, algorithm) => {
    const privateKey = await crypto.keyStorage.privateKey({ id: id(key), algorithm });
    const signer = await certificate(key);
    const signed = new pkijs.SignedData({
      version: 1,
      encapContentInfo: new pkijs.EncapsulatedContentInfo({
        eContentType: pkijs.id_ContentType_Data,
        eContent: new asn1js.OctetString({ valueHex: MESSAGE.slice().buffer }),
      }),
      signerInfos: [
        new pkijs.SignerInfo({
          version: 1,
          sid: new pkijs.IssuerAndSerialNumber({ issuer: signer.issuer, serialNumber: signer.serialNumber }),
        }),
      ],
      certificates: [signer],
    });
    await signed.sign(privateKey, 0, algorithm.hash);
    const content = new pkijs.ContentInfo({
      contentType: pkijs.id_ContentType_SignedData,
      content: signed.toSchema(true),
    });
    await writeFile(file("signed.der"), new Uint8Array(content.toSchema().toBER()));
    const args = ["cms", "-verify", "-inform", "DER", "-in", file("signed.der"), "-noverify", "-binary"];
    expect(await openssl(...args)).toBe("a message that OpenSSL reads\n");
  });

  /** What `openssl cms -encrypt` makes for the certificate of a key. */
  async function encryptedFor(key: number, ...options: string[]): Promise<pkijs.EnvelopedData> {
    await writeFile(file("recipient.pem"), await (await crypto.certStorage.get({ id: id(key) })).pem());
    await writeFile(file("message"), MESSAGE);
    const output = ["-outform", "DER", "-out", file("encrypted.der")];
    const recipient = ["-recip", file("recipient.pem"), ...options];
    await openssl("cms", "-encrypt", "-binary", "-aes-128-cbc", "-in", file("message"), ...output, ...recipient);
    const message = pkijs.ContentInfo.fromBER(new Uint8Array(await readFile(file("encrypted.der"))));
    return new pkijs.EnvelopedData({ schema: message.content });
  }

  test("RSA-OAEP: a message that OpenSSL encrypted", async () => {
    const options = ["-keyopt", "rsa_padding_mode:oaep", "-keyopt", "rsa_oaep_md:sha256"];
    const enveloped = await encryptedFor(1, ...options);
    const opened = await enveloped.decrypt(0, {
      recipientCertificate: await certificate(1),
      recipientPrivateKey: await crypto.keyStorage.privateKey({ id: id(1), algorithm: "RSA-OAEP" }),
    });
    expect(new Uint8Array(opened)).toEqual(MESSAGE);
  });

  // Not by pkijs, which cannot read such a message without user keying material, with any key.
  test("ECDH: a message that OpenSSL encrypted (RFC 5753)", async () => {
    const { subtle, keyStorage } = crypto;
    const enveloped = await encryptedFor(3, "-keyopt", "ecdh_kdf_md:sha256");
    const agreement = enveloped.recipientInfos[0]?.value as pkijs.KeyAgreeRecipientInfo;
    const originator = agreement.originator.value as pkijs.OriginatorPublicKey;
    const point = originator.publicKey.valueBlock.valueHexView;
    const theirs = await subtle.importKey("raw", point, { name: "ECDH", namedCurve: "P-256" }, true, []);

    const privateKey = await keyStorage.privateKey({ id: id(3), algorithm: "ECDH" });
    const secret = new Uint8Array(await subtle.deriveBits({ name: "ECDH", public: theirs }, privateKey, 256));
    const AES_128_WRAP = "2.16.840.1.101.3.4.1.5";
    const bits = encodeDer(contextTag(2, "constructed"), derOctetString(Uint8Array.of(0, 0, 0, 128)));
    const wrapping = x963Kdf("sha256", secret, 16, derSequence(derSequence(derOid(AES_128_WRAP)), bits));

    const unwrapping = await subtle.importKey("raw", wrapping, "AES-KW", false, ["unwrapKey"]);
    const wrapped = agreement.recipientEncryptedKeys.encryptedKeys[0]?.encryptedKey.valueBlock.valueHexView;
    const { contentEncryptionAlgorithm, encryptedContent } = enveloped.encryptedContentInfo;
    const key = await subtle.unwrapKey("raw", wrapped ?? MESSAGE, unwrapping, "AES-KW", "AES-CBC", false, ["decrypt"]);
    const iv = (contentEncryptionAlgorithm.algorithmParams as asn1js.OctetString).valueBlock.valueHexView;
    const ciphertext = encryptedContent?.valueBlock.valueHexView ?? MESSAGE;
    expect(new Uint8Array(await subtle.decrypt({ name: "AES-CBC", iv }, key, ciphertext))).toEqual(MESSAGE);
  });

  async function certificate(key: number): Promise<pkijs.Certificate> {
    return pkijs.Certificate.fromBER(await (await crypto.certStorage.get({ id: id(key) })).der());
  }
});
