/** ATTEST, by which Yubico's cards certify that a key was made on the card. */
import { createPublicKey, X509Certificate } from "node:crypto";
import { describe, expect, test } from "@jest/globals";
import { findTlv, readTlvs, type ResponseApdu } from "../../../src/apdu/index.ts";
import { fromHex, toHex } from "../../../src/bytes/index.ts";
import { VirtualPivCard } from "../../../src/virtual/index.ts";
import { decodeImage, encodeImage } from "../../../src/virtual/piv/image.ts";
import { exchange, send } from "../exchange.ts";
import { testCard } from "../keys.ts";
import { authenticate } from "./administrator.ts";

const attest = (card: VirtualPivCard, slot: number, p2 = 0): Promise<ResponseApdu> =>
  send(card, { cla: 0, ins: 0xf9, p1: slot, p2, ne: 256 });

/** A key made on the card, and its public half. */
async function generate(card: VirtualPivCard, slot: number, template: string): Promise<Uint8Array> {
  await authenticate(card);
  const data = fromHex(template);
  const { data: answer } = await send(card, { cla: 0, ins: 0x47, p1: 0, p2: slot, data, ne: 256 });
  return findTlv(readTlvs(findTlv(readTlvs(answer), 0x7f49) ?? new Uint8Array()), 0x86) ?? new Uint8Array();
}

/** The certificate of F9, as the card answers it. */
async function issuerOf(card: VirtualPivCard): Promise<X509Certificate> {
  const data = fromHex("5C035FFF01");
  const { data: answer } = await send(card, { cla: 0, ins: 0xcb, p1: 0x3f, p2: 0xff, data, ne: 256 });
  const content = readTlvs(findTlv(readTlvs(answer), 0x53) ?? new Uint8Array());
  return new X509Certificate(findTlv(content, 0x70) ?? new Uint8Array());
}

/** Whether `issuer` issued `certificate`, and signed it. */
const isIssued = (certificate: X509Certificate, issuer: X509Certificate): boolean =>
  certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);

describe("ATTEST", () => {
  test("certifies a key that was made on the card, up to the card's own root", async () => {
    const card = await testCard({ yubico: true });
    const point = await generate(card, 0x9a, "AC03800111");
    const certificate = new X509Certificate((await attest(card, 0x9a)).data);
    expect(toHex(certificate.publicKey.export({ format: "der", type: "spki" }))).toContain(toHex(point));
    expect(certificate.subject).toContain("CN=Virtual YubiKey PIV Attestation 9a");
    const issuer = await issuerOf(card);
    expect(isIssued(certificate, issuer)).toBe(true);
    const { attestationKey } = decodeImage(card.image());
    const root = new X509Certificate(attestationKey?.root ?? new Uint8Array());
    expect(isIssued(issuer, root)).toBe(true);
    expect(isIssued(root, root)).toBe(true);
    expect([certificate.ca, issuer.ca, root.ca]).toEqual([false, true, true]);
    expect(isIssued(certificate, await issuerOf(await testCard({ yubico: true })))).toBe(false);
  });

  test.each([
    [0x12345678, "AC09800111AA0101AB0102", "020412345678", "0102"],
    [0xfedcba98, "AC09800111AA0103AB0103", "020500FEDCBA98", "0303"],
    [0x7f, "AC03800111", "02017F", "0201"],
    [0x80, "AC03800114", "02020080", "0201"],
  ])("says firmware, serial number %i and policies", async (serial, template, encoded, policies) => {
    const card = await testCard({ yubico: true, serial });
    await generate(card, 0x82, template);
    const hex = toHex((await attest(card, 0x82)).data).toUpperCase();
    const extension = (arc: string, value: string): string => {
      const length = (value.length / 2).toString(16).padStart(2, "0");
      return `060A2B0601040182C40A03${arc}04${length}${value}`.toUpperCase();
    };
    expect(hex).toContain(extension("03", "050701"));
    expect(hex).toContain(extension("07", encoded));
    expect(hex).toContain(extension("08", policies));
  });

  test("certifies a key on Curve25519 too", async () => {
    const card = await testCard({ yubico: true });
    for (const template of ["AC038001E0", "AC038001E1"]) {
      const point = await generate(card, 0x82, template);
      const { publicKey } = new X509Certificate((await attest(card, 0x82)).data);
      expect(publicKey.export({ format: "jwk" }).x).toBe(Buffer.from(point).toString("base64url"));
    }
  });

  test("refuses an imported key, an empty slot, F9 itself and another P2", async () => {
    const card = await testCard({ yubico: true });
    expect((await attest(card, 0x9a)).sw).toBe(0x6a80);
    expect((await attest(card, 0x82)).sw).toBe(0x6a88);
    expect((await attest(card, 0xf9)).sw).toBe(0x6a88);
    await generate(card, 0x9a, "AC03800111");
    expect((await attest(card, 0x9a, 1)).sw).toBe(0x6a86);
    expect((await attest(card, 0x9a)).sw).toBe(0x9000);
  });

  test("a card without Yubico's commands has neither the command nor the certificate", async () => {
    const card = await testCard();
    expect(await exchange(card, "00F99A0000")).toBe("6D00");
    expect(await exchange(card, "00CB3FFF055C035FFF0100")).toBe("6A82");
    expect(JSON.parse(card.image())).not.toHaveProperty("attestationKey");
  });

  test("the key stays with the card in its file; a card from a file without one attests nothing", async () => {
    const card = await testCard({ yubico: true });
    await generate(card, 0x9a, "AC03800111");
    const image = card.image();
    const loaded = decodeImage(image);
    expect(encodeImage(loaded)).toBe(image);
    const fields = JSON.parse(image) as { attestationKey?: { privateKey: string; root: string } };
    const { privateKey = "" } = fields.attestationKey ?? {};
    expect(createPublicKey(privateKey).equals((await issuerOf(card)).publicKey)).toBe(true);
    const broken = JSON.stringify({ ...fields, attestationKey: { privateKey, root: "none" } });
    expect(() => decodeImage(broken)).toThrow("virtual PIV card.attestationKey.root: not a certificate in PEM");
    delete fields.attestationKey;
    const old = new VirtualPivCard(decodeImage(JSON.stringify(fields)));
    expect((await attest(old, 0x9a)).sw).toBe(0x6a88);
  });
});
