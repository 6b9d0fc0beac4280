import "reflect-metadata";
import { describe, expect, test } from "@jest/globals";
import { fromHex } from "../../src/bytes/index.ts";
import { AID, certificate, key, listedApplets, pkiBuffers } from "../cac/cards.ts";
import { AppletCard, PIN } from "../cac/applet-card.ts";
import { fromUtf8 } from "../../src/bytes/index.ts";
import { defects, examined, notes, unchecked } from "./examined.ts";

const GIVEN = { at: new Date("2030-01-01T00:00:00Z"), pin: fromUtf8(PIN) };

describe("a CAC", () => {
  test("as its issuer made it has no defect, and its keys were used", async () => {
    const card = new AppletCard(listedApplets());
    const report = await examined(card, GIVEN);
    expect(report.profile).toBe("cac");
    expect(defects(report)).toEqual([]);
    expect(unchecked(report).filter((what) => what.startsWith("key"))).toEqual([]);
    expect(card.commands.filter((command) => command.startsWith("8042"))).not.toEqual([]);
    expect(card.tries).toBe(3);
  });

  test("without a PIN says that its keys were not used, and spends no try", async () => {
    const card = new AppletCard(listedApplets());
    const report = await examined(card, { at: GIVEN.at });
    expect(unchecked(report).filter((what) => what.startsWith("key"))).toHaveLength(3);
    expect(card.commands.filter((command) => command.startsWith("8042"))).toEqual([]);
    expect(card.tries).toBe(3);
  });

  test("with the certificate of another key has a key that does not fit, and the others fit", async () => {
    const applets = {
      ...listedApplets(),
      [AID.PKI[0]]: { objects: { "0100": pkiBuffers(certificate(2)) }, key: key(1) },
    };
    const found = defects(await examined(new AppletCard(applets), GIVEN));
    expect(found).toEqual([expect.stringMatching(/^key CAC ID Certificate: key-(mismatch|refused)$/u)]);
  });

  test("with a certificate that has expired, and one that is none", async () => {
    const late = await examined(new AppletCard(listedApplets()), { ...GIVEN, at: new Date("2040-01-01T00:00:00Z") });
    expect(defects(late)).toContain("certificate CAC ID Certificate: certificate-expired");
    const applets = {
      ...listedApplets(),
      [AID.PKI[1]]: { objects: { "0101": pkiBuffers(fromHex("3003020101")) }, key: key(2) },
    };
    const report = await examined(new AppletCard(applets), GIVEN);
    expect([...defects(report), ...notes(report)]).toContain(
      "certificate CAC Email Signature Certificate: certificate-unreadable",
    );
  });
});
