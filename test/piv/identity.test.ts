import { describe, expect, test } from "@jest/globals";
import { fromHex, toHex } from "../../src/bytes/index.ts";
import {
  encodeCapabilities,
  encodeChuid,
  encodeFascn,
  encodePrintedInformation,
  NON_FEDERAL_FASCN,
  verifyAttestation,
} from "../../src/piv/index.ts";
import { readFascn } from "../../src/doctor/fascn.ts";
import { VirtualPivCard } from "../../src/virtual/index.ts";
import { bench, claim, privateKey } from "./rig.ts";

const GUID = fromHex("000102030405460788090a0b0c0d0e0f");
const EXPIRES = new Date("2035-12-24T00:00:00Z");

describe("what an issuer writes", () => {
  test("a FASC-N is the one that ykman writes for issuers without an agency, and its parts are read again", () => {
    // yubikey-manager, ykman/piv.py, generate_chuid.
    const ykman = "d4e739da739ced39ce739d836858210842108421c84210c3eb";
    const parts = { ...NON_FEDERAL_FASCN, person: "0000000000", organisation: "0000" };
    expect(toHex(encodeFascn({ ...parts, series: "0", issue: "1", category: "3", association: "1" }))).toBe(ykman);
    const own = encodeFascn({ agency: "3201", system: "1234", credential: "567890" });
    expect(readFascn(own)).toMatchObject({ agency: "3201", system: "1234", credential: "567890", wellFormed: true });
    expect(() => encodeFascn({ ...NON_FEDERAL_FASCN, agency: "99" })).toThrow("FASC-N: agency has 4 digits");
  });

  test("a CHUID, a capability container and printed information have the fields of the standard", () => {
    const fascn = encodeFascn(NON_FEDERAL_FASCN);
    expect(toHex(encodeChuid({ fascn, guid: GUID, expires: EXPIRES }))).toBe(
      `3019${toHex(fascn)}3410${toHex(GUID)}350832303335313232343e00fe00`,
    );
    expect(toHex(encodeCapabilities(GUID.subarray(0, 14)))).toMatch(
      /^f015a000000116ff02.{28}f10121f20121f300f40100f50110/u,
    );
    expect(toHex(encodePrintedInformation({ name: "Ada", expires: EXPIRES, issuer: "X" }))).toBe(
      "010341646104093230333544454332340601" + "58fe00",
    );
    expect(() => encodePrintedInformation({ name: "Ada", issuer: "a".repeat(16) })).toThrow("the issuer has 15 bytes");
  });
});

describe("an attestation", () => {
  test("is verified to a root, and says whose device and which policies", async () => {
    const keys = { "9a": "p-256", "9c": "p-256", "9d": null, "9e": null } as const;
    const card = await VirtualPivCard.create({ yubico: true, serial: 7_654_321, keys });
    const { token } = await claim(bench(card));
    const key = await privateKey(token, 1);
    const attestation = await token.attestKey?.(key);
    if (!attestation) throw new Error("no attestation");
    const spki = await key.publicKey();
    const { attestationKey } = JSON.parse(card.image()) as { attestationKey: { root: string } };
    const root = Buffer.from(attestationKey.root.replaceAll(/-----.*-----|\s/gu, ""), "base64");
    expect(await verifyAttestation(attestation, spki, [new Uint8Array(root)])).toMatchObject({
      serial: "7654321",
      firmware: "5.7.1",
      pinPolicy: 2,
      touchPolicy: 1,
      root: expect.stringMatching(/^[0-9a-f]{64}$/u),
    });
    const [f9 = new Uint8Array()] = attestation.chain;
    expect(await verifyAttestation(attestation, spki, [f9])).toMatchObject({ serial: "7654321" });
    const other = await privateKey(token, 2);
    await expect(verifyAttestation(attestation, await other.publicKey())).rejects.toThrow("of another key");
    await expect(verifyAttestation(attestation, spki, [attestation.certificate])).rejects.toThrow(
      "does not end at a trusted certificate",
    );
    await expect(verifyAttestation({ ...attestation, chain: [] }, spki)).rejects.toThrow("shows no certificate");
    const forged = attestation.certificate.slice();
    forged[forged.length - 1] = (forged.at(-1) ?? 0) ^ 1;
    await expect(verifyAttestation({ ...attestation, certificate: forged }, spki)).rejects.toThrow("was not signed by");
  });
});
