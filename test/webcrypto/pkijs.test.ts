import * as asn1js from "asn1js";
import * as pkijs from "pkijs";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { utf8 } from "../../src/bytes/index.ts";
import type { TokenCryptoKey } from "../../src/webcrypto/index.ts";
import { testCard, testKey } from "../virtual/keys.ts";
import { id, type Opened, opened } from "./opened.ts";

const MESSAGE = utf8("a message for pkijs");
const CONTENT = MESSAGE.buffer as ArrayBuffer;

describe("pkijs", () => {
  let card: Opened;
  let engine: pkijs.CryptoEngine;
  beforeAll(async () => {
    card = await opened(
      await testCard({
        keys: { "9d": { privateKey: testKey("p-256", "9d") }, "9e": { privateKey: testKey("rsa-2048", "9e") } },
      }),
    );
    engine = new pkijs.CryptoEngine({ name: "token", crypto: card.crypto as never });
    pkijs.setEngine("token", engine);
  });
  afterAll(() => card[Symbol.asyncDispose]());

  async function certificate(key: number): Promise<pkijs.Certificate> {
    return pkijs.Certificate.fromBER(await (await card.crypto.certStorage.get({ id: id(key) })).der());
  }

  test.each([
    [1, "RSASSA-PKCS1-v1_5", "SHA-256"],
    [1, "RSA-PSS", "SHA-512"],
    [2, "ECDSA", "SHA-384"],
  ])("key %i makes a request with %s", async (key, name, hash) => {
    const { privateKey, publicKey } = await card.crypto.keyStorage.pair({ id: id(key), algorithm: { name, hash } });
    const request = new pkijs.CertificationRequest();
    request.subject.typesAndValues.push(
      new pkijs.AttributeTypeAndValue({ type: "2.5.4.3", value: new asn1js.Utf8String({ value: "Ada Lovelace" }) }),
    );
    await request.subjectPublicKeyInfo.importKey(publicKey);
    await request.sign(privateKey, hash);
    const again = pkijs.CertificationRequest.fromBER(request.toSchema(true).toBER());
    expect(await again.verify()).toBe(true);
  });

  test.each([
    [1, "RSASSA-PKCS1-v1_5", "SHA-256"],
    [1, "RSA-PSS", "SHA-256"],
    [2, "ECDSA", "SHA-256"],
  ])("key %i signs a message with %s", async (key, name, hash) => {
    const privateKey = await card.crypto.keyStorage.privateKey({ id: id(key), algorithm: { name, hash } });
    const signer = await certificate(key);
    const signed = await sign(signer, privateKey, hash);
    const again = new pkijs.SignedData({ schema: pkijs.ContentInfo.fromBER(signed).content });
    expect(await again.verify({ signer: 0, checkChain: false })).toBe(true);
  });

  async function sign(signer: pkijs.Certificate, key: TokenCryptoKey, hash: string): Promise<ArrayBuffer> {
    const signed = new pkijs.SignedData({
      version: 1,
      encapContentInfo: new pkijs.EncapsulatedContentInfo({
        eContentType: pkijs.id_ContentType_Data,
        eContent: new asn1js.OctetString({ valueHex: CONTENT }),
      }),
      signerInfos: [
        new pkijs.SignerInfo({
          version: 1,
          sid: new pkijs.IssuerAndSerialNumber({ issuer: signer.issuer, serialNumber: signer.serialNumber }),
        }),
      ],
      certificates: [signer],
    });
    await signed.sign(key, 0, hash);
    const content = new pkijs.ContentInfo({
      contentType: pkijs.id_ContentType_SignedData,
      content: signed.toSchema(true),
    });
    return content.toSchema().toBER();
  }

  test.each([
    [1, "RSA-OAEP"],
    [3, "ECDH"],
  ])("key %i opens an envelope with %s", async (key, name) => {
    const recipient = await certificate(key);
    const enveloped = new pkijs.EnvelopedData();
    enveloped.addRecipientByCertificate(recipient, { oaepHashAlgorithm: "SHA-256" });
    await enveloped.encrypt({ name: "AES-CBC", length: 128 }, CONTENT);
    const der = enveloped.toSchema().toBER();
    const again = new pkijs.EnvelopedData({ schema: asn1js.fromBER(der).result });
    const privateKey = await card.crypto.keyStorage.privateKey({ id: id(key), algorithm: { name, hash: "SHA-256" } });
    const opened = await again.decrypt(0, {
      recipientCertificate: recipient,
      recipientPrivateKey: privateKey as never,
    });
    expect(new Uint8Array(opened)).toEqual(MESSAGE);
  });
});
