import "reflect-metadata";
import { generateKeyPairSync, type KeyObject } from "node:crypto";
import { deflateSync, gzipSync } from "node:zlib";
import { describe, expect, test } from "@jest/globals";
import { concat, fromHex } from "../../src/bytes/index.ts";
import { encodeTlv } from "../../src/apdu/index.ts";
import { type PivCardOptions, VirtualPivCard } from "../../src/virtual/index.ts";
import { selfSigned } from "./issued-card.ts";
import { defects, examined, notes, unchecked } from "./examined.ts";

const PIN = "123456";
const DISCOVERY = 0x7e;
const CHUID = 0x5fc102;
const CCC = 0x5fc107;
const KEY_HISTORY = 0x5fc10c;
const CERTIFICATE_9E = 0x5fc101;

async function certifiedKey(): Promise<{ der: Uint8Array; privateKey: KeyObject }> {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  return { der: await selfSigned(privateKey), privateKey };
}

/** A card with one key, which is quick to make. */
const small = (options: PivCardOptions = {}): Promise<VirtualPivCard> =>
  VirtualPivCard.create({ keys: { "9a": null, "9c": null, "9d": null, "9e": "p-256" }, ...options });

describe("a virtual card of each kind is clean", () => {
  test.each<[string, PivCardOptions]>([
    ["PIV", {}],
    ["PIV with extended length", { extended: true }],
    ["a YubiKey's PIV", { yubico: true }],
    ["PIV with retired keys", { keys: { "9a": "p-384", "82": "p-256", "83": "p-256" } }],
  ])("%s", async (_kind, options) => {
    const report = await examined(await VirtualPivCard.create(options), { pin: PIN });
    expect(defects(report)).toEqual([]);
    expect(unchecked(report)).toEqual(["certificate chains"]);
    expect(notes(report)).toContain("Card Holder Unique Identifier: chuid-unsigned");
  });

  test("a YubiKey is named with its make, and so are its factory's secrets", async () => {
    const report = await examined(await small({ yubico: true }));
    expect(report.maker).toBe("Yubico");
    expect(notes(report)).toEqual(
      expect.arrayContaining(["PIN: factory-secret", "PUK: factory-secret", "management key: factory-secret"]),
    );
  });
});

describe("a PIV card that differs from the standard", () => {
  const object = (tag: number, hex: string): PivCardOptions => ({ objects: new Map([[tag, fromHex(hex)]]) });

  test.each<[string, PivCardOptions, string]>([
    [
      "a discovery object of another application",
      object(DISCOVERY, "4f05a000000001 5f2f024000"),
      "Discovery Object: discovery-malformed",
    ],
    [
      "a policy without the PIV PIN",
      object(DISCOVERY, "4f0ba000000308000010000100 5f2f022020"),
      "Discovery Object: discovery-malformed",
    ],
    [
      "a policy that names no primary PIN",
      object(DISCOVERY, "4f0ba000000308000010000100 5f2f026000"),
      "Discovery Object: discovery-malformed",
    ],
    [
      "a capability container of another data model",
      object(CCC, "f50120 fe00"),
      "Card Capability Container: ccc-data-model",
    ],
    ["a CHUID without a FASC-N", object(CHUID, "3e00fe00"), "Card Holder Unique Identifier: chuid-malformed"],
    [
      "a key history that counts too many",
      object(KEY_HISTORY, "c10102c20100f300fe00"),
      "Key History Object: key-history-count",
    ],
    [
      "a certificate that is none",
      object(CERTIFICATE_9E, "70033001007101 00fe00"),
      "certificate 9E: certificate-unreadable",
    ],
    [
      "a key of RSA-1024",
      { keys: { "9a": null, "9c": null, "9d": null, "9e": "rsa-1024" } },
      "certificate 9E: key-weak",
    ],
    ["a blocked PIN", {}, "PIV PIN: pin-blocked"],
  ])("%s", async (what, options, expected) => {
    const card = await small(options);
    if (what === "a blocked PIN") {
      for (let tries = 0; tries < 3; tries++) await examined(card, { pin: "999999" }).catch(() => undefined);
    }
    expect(defects(await examined(card))).toContain(expected);
  });

  test("no discovery object, which is allowed, is a note", async () => {
    const report = await examined(await small({ objects: new Map([[DISCOVERY, null]]) }));
    expect(defects(report)).toEqual([]);
    expect(notes(report)).toContain("Discovery Object: discovery-missing");
  });

  test("retired keys that no key history counts", async () => {
    const keys = { "9a": null, "9c": null, "9d": null, "82": "p-256" } as const;
    const card = await VirtualPivCard.create({ keys, objects: new Map([[KEY_HISTORY, null]]) });
    expect(defects(await examined(card))).toEqual(["Key History Object: key-history-missing"]);
  });

  test("a key without a certificate, where the card tells of it", async () => {
    const keys = { "9a": null, "9c": null, "9d": null, "9e": "p-256" } as const;
    const objects = new Map([[CERTIFICATE_9E, null]]);
    expect(notes(await examined(await VirtualPivCard.create({ keys, objects, yubico: true })))).toContain(
      "key 9E: key-without-certificate",
    );
    expect(notes(await examined(await VirtualPivCard.create({ keys, objects })))).not.toContain(
      "key 9E: key-without-certificate",
    );
  });
});

/** A certificate object whose CertInfo speaks of no compression. */
const inObject = (content: Uint8Array): Uint8Array => concat(encodeTlv(0x70, content), fromHex("710100fe00"));

describe("a certificate object in a coding of its own", () => {
  /** A card with one key, whose certificate object `store` makes. */
  async function stored(store: (der: Uint8Array) => Uint8Array): Promise<VirtualPivCard> {
    const { der, privateKey } = await certifiedKey();
    return small({
      keys: { "9a": null, "9c": null, "9d": null, "9e": { privateKey, certificate: null } },
      objects: new Map([[CERTIFICATE_9E, store(der)]]),
    });
  }

  test.each<[string, (der: Uint8Array) => Uint8Array, RegExp]>([
    ["no CertInfo", (der) => concat(encodeTlv(0x70, der), encodeTlv(0xfe)), /no CertInfo/u],
    [
      "a CertInfo that speaks of compression",
      (der) => concat(encodeTlv(0x70, gzipSync(der)), fromHex("710100fe00")),
      /does not say so/u,
    ],
    ["zlib", (der) => inObject(deflateSync(der)), /compressed with zlib, which no card standard/u],
    [
      "zlib behind a length",
      (der) => inObject(concat(Uint8Array.of(0x01, 0x00, der.length & 0xff, der.length >> 8), deflateSync(der))),
      /zlib after a length/u,
    ],
    ["zeros behind the certificate", (der) => inObject(concat(der, new Uint8Array(7))), /7 bytes follow its end/u],
    [
      "a length in more bytes than it needs",
      (der) => concat(fromHex("708300"), Uint8Array.of(der.length >> 8, der.length & 0xff), der, fromHex("710100fe00")),
      /more bytes than it needs/u,
    ],
  ])("%s", async (_what, store, text) => {
    const report = await examined(await stored(store));
    expect(defects(report)).toEqual(["certificate 9E: certificate-storage"]);
    expect(report.findings[0]?.finding).toMatch(text);
  });
});
