import "reflect-metadata";
import { describe, expect, test } from "@jest/globals";
import {
  type Iso7816Deviation,
  type PivCardOptions,
  type PivDeviation,
  VirtualPivCard,
  VirtualPkcs15Card,
} from "../../src/virtual/index.ts";
import { defects, examined, notes } from "./examined.ts";

const PIN = "123456";
const RSA: PivCardOptions = { keys: { "9a": "rsa-2048", "9c": null, "9d": "rsa-2048", "9e": null } };
const EC: PivCardOptions = { keys: { "9a": "p-256", "9c": null, "9d": "p-256", "9e": null } };
const YUBIKEY: PivCardOptions = { ...EC, yubico: true };

describe("a PIV card with a deviation", () => {
  test.each<[PivDeviation, PivCardOptions, string]>([
    ["no-certificates", YUBIKEY, "key 9A: key-without-certificate"],
    ["certificate-without-key", YUBIKEY, "certificate 9A: certificate-without-key"],
    ["certificate-without-key", EC, "key 9A: key-refused"],
    ["no-key-history", { keys: { ...EC.keys, "82": "p-256" } }, "Key History Object: key-history-missing"],
    ["no-metadata", YUBIKEY, "card: yubikey-metadata-missing"],
    ["no-device-serial", YUBIKEY, "card: yubikey-serial-missing"],
    ["missed-touch", EC, "key 9A: key-touch"],
    ["short-rsa-answers", RSA, "key 9D: key-result-form"],
    ["cut-rsa-answers", RSA, "key 9A: key-result-form"],
    ["faulty-rsa-answers", RSA, "key 9A: key-mismatch"],
    ["long-ecdsa-integers", EC, "key 9A: key-result-form"],
    ["unsigned-ecdsa-integers", EC, "key 9A: key-result-form"],
    ["short-ecdh-answers", EC, "key 9D: key-result-form"],
    ["point-ecdh-answers", EC, "key 9D: key-result-form"],
    ["prefixed-ecdh-answers", EC, "key 9D: key-result-form"],
    ["cut-ecdh-answers", EC, "key 9D: key-result-form"],
  ])("%s", async (deviation, options, expected) => {
    const report = await examined(await VirtualPivCard.create({ ...options, deviations: [deviation] }), { pin: PIN });
    expect([...defects(report), ...notes(report)]).toContain(expected);
    const without = await examined(await VirtualPivCard.create(options), { pin: PIN });
    expect([...defects(without), ...notes(without)]).not.toContain(expected);
  });
});

describe("a PKCS #15 card", () => {
  test("without a deviation is clean", async () => {
    expect(defects(await examined(await VirtualPkcs15Card.create(), { pin: PIN }))).toEqual([]);
  });

  test.each<[Iso7816Deviation, string]>([
    ["empty-end-of-file", "3F00/5015/5032: end-of-file"],
    ["pin-status-refused", "PIN 01: pin-status-unknown"],
    ["logout-refused", "card: logout-refused"],
    ["cut-rsa-answers", "key Authentication RSA: key-refused"],
    ["faulty-rsa-answers", "key Authentication RSA: key-refused"],
  ])("with %s", async (deviation, expected) => {
    const report = await examined(await VirtualPkcs15Card.create({ deviations: [deviation] }), { pin: PIN });
    expect([...defects(report), ...notes(report)]).toContain(expected);
    const without = await examined(await VirtualPkcs15Card.create(), { pin: PIN });
    expect([...defects(without), ...notes(without)]).not.toContain(expected);
  });
});
