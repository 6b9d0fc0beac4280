import { deflateSync, gzipSync } from "node:zlib";
import { describe, expect, test } from "@jest/globals";
import { concat, fromUtf8 } from "../../src/bytes/index.ts";
import { CKA, CKM, CKO } from "../../src/cryptoki/index.ts";
import { pkcs15 } from "../../src/pkcs15/index.ts";
import { refusal, type Rig, rig } from "../cryptoki/rig.ts";
import { rebuiltCard } from "./rebuilt-card.ts";

/** 01 00, the length of the certificate in two bytes, least significant first, and zlib. */
const withLength = (der: Uint8Array): Uint8Array =>
  concat(Uint8Array.of(0x01, 0x00, der.length & 0xff, der.length >> 8), deflateSync(der));

async function value(made: Rig, session: number): Promise<Uint8Array> {
  const certificate = await made.object(session, CKO.CERTIFICATE, 1);
  return (await made.cryptoki.C_GetAttributeValue(session, certificate, [CKA.VALUE]))[CKA.VALUE];
}

describe("a PKCS #15 card whose certificate files are compressed", () => {
  test.each<[string, (der: Uint8Array) => Uint8Array]>([
    ["with gzip", (der) => gzipSync(der)],
    ["with zlib", (der) => deflateSync(der)],
    ["with zlib behind a length", withLength],
    ["with gzip, and filled up with FF", (der) => concat(gzipSync(der), new Uint8Array(100).fill(0xff))],
    ["with zlib behind a length, and filled up with zeros", (der) => concat(withLength(der), new Uint8Array(100))],
    ["not at all", (der) => der],
  ])("%s: the certificate, its subject and its key are there, and the key signs", async (_, stored) => {
    const kept: Uint8Array[] = [];
    const store = (der: Uint8Array): Uint8Array => {
      kept.push(der);
      return new Uint8Array(stored(der));
    };
    await using made = await rig(rebuiltCard({ stored: store }), [pkcs15]);
    const session = await made.loggedIn();
    expect(kept).toContainEqual(await value(made, session));
    const certificate = await made.object(session, CKO.CERTIFICATE, 1);
    const { [CKA.SUBJECT]: subject } = await made.cryptoki.C_GetAttributeValue(session, certificate, [CKA.SUBJECT]);
    expect(fromUtf8(subject.slice(-8))).toBe("RSA cert");
    const key = await made.privateKey(session, 1);
    await made.cryptoki.C_SignInit(session, { mechanism: CKM.SHA256_RSA_PKCS }, key);
    expect(await made.cryptoki.C_Sign(session, new Uint8Array(8))).toHaveLength(256);
  });

  test.each<[string, (der: Uint8Array) => Uint8Array]>([
    ["cut", (der) => gzipSync(der).subarray(0, -20)],
    ["of something else", () => gzipSync(Buffer.from("no certificate"))],
    ["of more than 64 KiB", () => gzipSync(new Uint8Array(70_000).fill(0x30))],
  ])("a file %s is no certificate, and hurts nothing else", async (_, stored) => {
    await using made = await rig(rebuiltCard({ stored: (der) => new Uint8Array(stored(der)) }), [pkcs15]);
    const session = await made.loggedIn();
    await expect(value(made, session)).rejects.toMatchObject(refusal("ATTRIBUTE_TYPE_INVALID"));
    const key = await made.privateKey(session, 1);
    await made.cryptoki.C_SignInit(session, { mechanism: CKM.SHA256_RSA_PKCS }, key);
    expect(await made.cryptoki.C_Sign(session, new Uint8Array(8))).toHaveLength(256);
  });
});
