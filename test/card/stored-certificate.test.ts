import { deflateSync, gzipSync } from "node:zlib";
import { describe, expect, test } from "@jest/globals";
import fc from "fast-check";
import { concat, DataError, fromHex } from "../../src/bytes/index.ts";
import { readStoredCertificate } from "../../src/card/index.ts";
import { P256_CERTIFICATE } from "./certificates.ts";

const certificate = P256_CERTIFICATE;
/** What Microsoft's minidriver puts in front of compressed data: 01 00, the length before compression, little-endian. */
const contained = (length: number, data: Uint8Array): Uint8Array =>
  concat(Uint8Array.of(1, 0, length & 0xff, length >> 8), data);
const inLongForm = concat(fromHex("3083000110"), certificate.subarray(4));

describe("a certificate as cards keep it", () => {
  test.each([
    ["as it is", certificate],
    ["with zeros behind it", concat(certificate, new Uint8Array(10))],
    ["with FF behind it", concat(certificate, new Uint8Array(300).fill(0xff))],
    ["with a length in more bytes than it needs", inLongForm],
    ["without a length", concat(fromHex("3080"), certificate.subarray(4), fromHex("0000"))],
    ["in gzip", gzipSync(certificate)],
    ["in zlib", deflateSync(certificate)],
    ["in zlib, stored", deflateSync(certificate, { level: 0 })],
    ["in zlib, in a container", contained(certificate.length, deflateSync(certificate))],
    ["in gzip, in a container", contained(certificate.length, gzipSync(certificate))],
    ["in a container that tells a wrong length", contained(1, deflateSync(certificate))],
    ["compressed, in an object that is filled up", concat(gzipSync(certificate), new Uint8Array(50))],
    ["in a container that is filled up", concat(contained(272, deflateSync(certificate)), new Uint8Array(50))],
    ["compressed with zeros behind it", deflateSync(concat(certificate, new Uint8Array(9)))],
    ["compressed with a long length", gzipSync(inLongForm)],
  ])("%s", async (_, bytes) => {
    expect(await readStoredCertificate(bytes)).toEqual(certificate);
    expect(await readStoredCertificate(bytes, true)).toEqual(certificate);
  });

  const bomb = new Uint8Array(10_000_000);
  test.each([
    ["gzip", gzipSync(bomb)],
    ["zlib", deflateSync(bomb)],
    ["a container", contained(272, deflateSync(bomb))],
  ])("%s that inflates without end is refused at 64 KiB", async (_, bytes) => {
    expect(bytes.length).toBeLessThan(20_000);
    await expect(readStoredCertificate(bytes)).rejects.toThrow("compressed data: damaged, or more than 65536 bytes");
  });

  test.each([
    ["nothing", new Uint8Array(), "certificate: it does not begin with a SEQUENCE"],
    ["zeros", new Uint8Array(20), "certificate: it does not begin with a SEQUENCE"],
    ["a cut certificate", certificate.subarray(0, -1), /^certificate: 272 bytes at 4, 271 left$/u],
    ["something else in gzip", gzipSync(Uint8Array.of(4, 0)), "certificate: it does not begin with a SEQUENCE"],
    ["gzip in gzip", gzipSync(gzipSync(certificate)), "certificate: it does not begin with a SEQUENCE"],
    ["cut zlib", deflateSync(certificate).subarray(0, -5), "compressed data: damaged"],
    ["a container of nothing", contained(272, new Uint8Array()), "certificate: it does not begin with a SEQUENCE"],
    ["three elements that are none of a certificate", fromHex("3009 300030000303000000"), /^certificate: /u],
  ])("%s is refused", async (_, bytes, refusal) => {
    await expect(readStoredCertificate(bytes)).rejects.toThrow(refusal);
  });

  test("what the card calls compressed, and is neither that nor a certificate, is refused as damaged", async () => {
    await expect(readStoredCertificate(Uint8Array.of(4, 0), true)).rejects.toThrow("compressed data: damaged");
  });

  test("any bytes hold a certificate or are refused", async () => {
    const headed = fc
      .tuple(fc.constantFrom("30", "1f8b0800", "789c", "01001401789c", "0100", "3080"), fc.uint8Array())
      .map(([head, rest]) => concat(fromHex(head), rest));
    await fc.assert(
      fc.asyncProperty(headed, fc.boolean(), async (bytes, compressed) => {
        try {
          await readStoredCertificate(bytes, compressed);
        } catch (error) {
          expect(error).toBeInstanceOf(DataError);
        }
      }),
    );
  });
});
