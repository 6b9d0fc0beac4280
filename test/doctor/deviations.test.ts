import "reflect-metadata";
import { beforeAll, describe, expect, test } from "@jest/globals";
import {
  type Iso7816Deviation,
  ISO7816_DEVIATIONS,
  PIV_DEVIATIONS,
  type PivCardOptions,
  type PivDeviation,
} from "../../src/virtual/index.ts";
import { pivCard, testKey, testPkcs15Card } from "../virtual/keys.ts";
import { defects, examined, notes } from "./examined.ts";

const PIN = "123456";
const keysOf = (type: "rsa-2048" | "p-256"): NonNullable<PivCardOptions["keys"]> => ({
  "9a": { privateKey: testKey(type, "9a") },
  "9c": null,
  "9d": { privateKey: testKey(type, "9d") },
  "9e": null,
});
const RSA: PivCardOptions = { keys: keysOf("rsa-2048") };
const EC: PivCardOptions = { keys: keysOf("p-256") };
const YUBIKEY: PivCardOptions = { ...EC, yubico: true };

/** Deviations that a card does not show, and why. */
const UNSEEN_OF_PIV: Partial<Record<PivDeviation, string>> = {
  "gzip-certificates": "SP 800-73 has certificates so, and CertInfo says it",
  "pin-for-each-use": "the standard has it for 9C, and of other keys the PIN is given before each use anyway",
  "failing-management-key": "an examination does not get the management key",
};

type PivRow = readonly [PivDeviation, PivCardOptions, string, withPin?: boolean];

const OF_PIV: readonly PivRow[] = [
  ["no-certificates", YUBIKEY, "key 9A: key-without-certificate"],
  ["certificate-without-key", YUBIKEY, "certificate 9A: certificate-without-key"],
  ["certificate-without-key", EC, "key 9A: key-refused"],
  ["no-key-history", { keys: { ...EC.keys, "82": "p-256" } }, "Key History Object: key-history-missing"],
  ["no-metadata", YUBIKEY, "card: yubikey-metadata-missing"],
  ["no-device-serial", YUBIKEY, "card: yubikey-serial-missing"],
  ["missed-touch", EC, "key 9A: key-touch"],
  ["short-rsa-answers", RSA, "key 9D: key-result-form"],
  ["cut-rsa-answers", RSA, "key 9A: key-result-form"],
  ["long-rsa-answers", RSA, "key 9A: key-result-form"],
  ["empty-rsa-answers", RSA, "key 9A: key-result-form"],
  ["faulty-rsa-answers", RSA, "key 9A: key-mismatch"],
  ["long-ecdsa-integers", EC, "key 9A: key-result-form"],
  ["unsigned-ecdsa-integers", EC, "key 9A: key-result-form"],
  ["short-ecdh-answers", EC, "key 9D: key-result-form"],
  ["point-ecdh-answers", EC, "key 9D: key-result-form"],
  ["prefixed-ecdh-answers", EC, "key 9D: key-result-form"],
  ["cut-ecdh-answers", EC, "key 9D: key-result-form"],
  ["zlib-certificates", EC, "certificate 9A: certificate-storage"],
  ["padded-certificates", EC, "certificate 9A: certificate-storage"],
  ["neo-status-words", EC, "PIV PIN: pin-status-words", false],
  ["refused-empty-verify", EC, "PIV PIN: pin-status-unknown"],
  ["never-verified-empty-verify", EC, "PIV PIN: pin-verified-untold"],
  ["five-pin-tries", EC, "PIV PIN: pin-tries", false],
  ["no-discovery-object", EC, "Discovery Object: discovery-missing"],
  ["no-chuid", EC, "Card Holder Unique Identifier: chuid-missing"],
  ["refused-key-use", EC, "key 9A: key-refused"],
];

/** What is found on cards that keep to the standard: several deviations are compared with one such card. */
const ordinary = new Map<PivCardOptions, Map<boolean, Promise<readonly string[]>>>();

function foundOnOrdinary(options: PivCardOptions, withPin: boolean): Promise<readonly string[]> {
  const ofOptions = ordinary.get(options) ?? new Map<boolean, Promise<readonly string[]>>();
  ordinary.set(options, ofOptions);
  const found = ofOptions.get(withPin) ?? foundOn(options, withPin);
  ofOptions.set(withPin, found);
  return found;
}

async function foundOn(options: PivCardOptions, withPin: boolean): Promise<readonly string[]> {
  const report = await examined(await pivCard(options), withPin ? { pin: PIN } : {});
  return [...defects(report), ...notes(report)];
}

describe("a PIV card with a deviation", () => {
  test.each(OF_PIV)("%s", async (deviation, options, expected, withPin = true) => {
    expect(await foundOn({ ...options, deviations: [deviation] }, withPin)).toContain(expected);
    expect(await foundOnOrdinary(options, withPin)).not.toContain(expected);
  });
});

const UNSEEN_OF_PKCS15: Partial<Record<Iso7816Deviation, string>> = {};

const OF_PKCS15: readonly (readonly [Iso7816Deviation, string])[] = [
  ["empty-end-of-file", "3F00/5015/5032: end-of-file"],
  ["pin-status-refused", "PIN 01: pin-status-unknown"],
  ["logout-refused", "card: logout-refused"],
  ["no-chaining", "card: chaining-missing"],
  ["no-get-response", "card: get-response-missing"],
  ["five-pin-tries", "PIN 01: pin-tries"],
  ["long-serial-number", "token Virtual eID: token-serial-number"],
  ["puk-not-listed", "PIN Signature PIN: puk-not-listed"],
  ["gzip-certificates", "certificate Authentication RSA: certificate-storage"],
  ["zlib-certificates", "certificate Authentication RSA: certificate-storage"],
  ["padded-certificates", "certificate Authentication RSA: certificate-padded"],
  ["short-rsa-answers", "key Authentication RSA: key-result-form"],
  ["cut-rsa-answers", "key Authentication RSA: key-result-form"],
  ["long-rsa-answers", "key Authentication RSA: key-result-form"],
  ["empty-rsa-answers", "key Authentication RSA: key-result-form"],
  ["faulty-rsa-answers", "key Authentication RSA: key-refused"],
  ["long-ecdsa-integers", "key Authentication EC: key-result-form"],
  ["unsigned-ecdsa-integers", "key Authentication EC: key-result-form"],
  ["short-ecdh-answers", "key Authentication EC: key-result-form"],
  ["point-ecdh-answers", "key Authentication EC: key-result-form"],
  ["prefixed-ecdh-answers", "key Authentication EC: key-result-form"],
  ["cut-ecdh-answers", "key Authentication EC: key-result-form"],
];

describe("a PKCS #15 card", () => {
  let clean: string[] = [];
  beforeAll(async () => {
    const report = await examined(await testPkcs15Card(), { pin: PIN });
    clean = [...defects(report), ...notes(report)];
  });

  test("without a deviation is clean", () => {
    expect(clean).toEqual([]);
  });

  test.each(OF_PKCS15)("with %s", async (deviation, expected) => {
    const report = await examined(await testPkcs15Card({ deviations: [deviation] }), { pin: PIN });
    expect([...defects(report), ...notes(report)]).toContain(expected);
    expect(clean).not.toContain(expected);
  });
});

test.each([
  ["PIV", PIV_DEVIATIONS, OF_PIV, UNSEEN_OF_PIV],
  ["PKCS #15", ISO7816_DEVIATIONS, OF_PKCS15, UNSEEN_OF_PKCS15],
] as const)("every deviation of %s is found, or has a reason why it cannot be", (_kind, table, rows, unseen) => {
  const named = new Set<string>([...rows.map(([name]) => name), ...Object.keys(unseen)]);
  expect(Object.keys(table).filter((name) => !named.has(name))).toEqual([]);
  expect(rows.filter(([name]) => Object.hasOwn(unseen, name))).toEqual([]);
});
