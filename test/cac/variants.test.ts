import { createHash } from "node:crypto";
import { describe, expect, test } from "@jest/globals";
import { concat, fromHex, toHex, utf8 } from "../../src/bytes/index.ts";
import { cac, cacUnlisted } from "../../src/cac/index.ts";
import { PIN, type Applet, AppletCard } from "./applet-card.ts";
import {
  AID,
  buffers,
  certificate,
  connect,
  HOLDER,
  insert,
  key,
  pkiBuffers,
  privateKey,
  properties,
  valueOf,
} from "./cards.ts";

const sha1End = (bytes: Uint8Array): string =>
  createHash("sha1").update(bytes.subarray(0, 100)).digest("hex").slice(-16);
const BLOCK = new Uint8Array(256).fill(1);

const service = (...aids: readonly string[]): Uint8Array =>
  concat(fromHex(`0105100206020294010${aids.length}`), ...aids.map((aid, index) => fromHex(`930a6${index}9207${aid}`)));

describe("cards without a capability container", () => {
  test("with a table of applets: objects without a key only count", async () => {
    const pki = (object: string, number: number): Applet => ({
      objects: { [object]: pkiBuffers(certificate(number)) },
      properties: properties(0x51, object),
      key: key(number),
    });
    const rig = await insert(
      {
        a0000000791000: { serviceTable: service(AID.PERSON, AID.PKI[0], AID.PKI[1], AID.PKI[2], "a0000000790103") },
        [AID.PKI[0]]: pki("0100", 1),
        [AID.PKI[1]]: { ...pki("0101", 2), properties: properties(0x51, "0101", true, false) },
        [AID.PKI[2]]: pki("0102", 3),
      },
      { pinApplet: "a0000000791000", changeP1: 0x01 },
    );
    expect(await rig.token.info()).toMatchObject({ label: HOLDER, serialNumber: "00000000" });
    expect(rig.objects.map(({ class: kind, label, id }) => `${kind} ${label} ${toHex(id)}`)).toEqual(
      ["CAC ID Certificate 0001", "CAC Email Encryption Certificate 0003"].flatMap((name) =>
        ["certificate", "public-key", "private-key"].map((kind) => `${kind} ${name}`),
      ),
    );
    await rig.token.changePin?.("user", PIN, utf8("654321"));
    await rig.token.login("user", utf8("654321"));
    expect(await rig.token.use(privateKey(rig, "0003"), "rsa-raw", BLOCK)).toHaveLength(256);
  });

  test("with nothing but applets: the first certificate is the number", async () => {
    const rig = await insert({
      [AID.PKI[0]]: { objects: { "": pkiBuffers(certificate(1)) }, key: key(1) },
      [AID.PKI[2]]: { objects: { "": pkiBuffers(certificate(3), "gzip") }, key: key(3) },
      [AID.PERSON]: { objects: { "": buffers([0x01, utf8("M")]) } },
    });
    expect(await rig.token.info()).toMatchObject({ label: HOLDER, serialNumber: sha1End(certificate(1)) });
    expect(await valueOf(rig, "CAC Email Encryption Certificate", "certificate")).toBe(toHex(certificate(3)));
    expect(await valueOf(rig, "Person Instance")).toBe("01014d");
    await rig.token.login("user", PIN);
    expect(await rig.token.use(privateKey(rig, "0003"), "rsa-raw", BLOCK)).toHaveLength(256);
  });

  test("of the first generation: certificates come part by part", async () => {
    const stored = concat(Uint8Array.of(0x00), certificate(1));
    const rig = await insert({ [AID.PKI[0]]: { certificate: stored, key: key(1) } });
    expect(await rig.token.info()).toMatchObject({ label: HOLDER, serialNumber: sha1End(stored) });
    expect(await valueOf(rig, "CAC ID Certificate", "certificate")).toBe(toHex(certificate(1)));
    await rig.token.login("user", PIN);
    expect(await rig.token.use(privateKey(rig, "0001"), "rsa-raw", BLOCK)).toHaveLength(256);
  });
});

describe("a card of another kind", () => {
  test("is no CAC, and costs one exchange to see, or a few where it is asked last", async () => {
    const card = new AppletCard({ a000000308000010000100: {} });
    const { connected } = await connect(card);
    expect(await cac.claim(connected, "thorough")).toBeUndefined();
    expect(card.commands).toHaveLength(1);
    expect(await cacUnlisted.claim(connected, "thorough", { asked: new Set([cac]) })).toBeUndefined();
    expect(card.commands).toHaveLength(6);
  });
});
