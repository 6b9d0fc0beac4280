/** Labels, serial numbers and the manufacturer as OpenSC shows them for the same card; a YubiKey's number is the device's. */
import { expect, test } from "@jest/globals";
import { encodeTlv } from "../../src/apdu/index.ts";
import { fromHex, toHex } from "../../src/bytes/index.ts";
import type { CardTokenInfo } from "../../src/card/index.ts";
import { CKA } from "../../src/cryptoki/index.ts";
import type { InProcessCard } from "../../src/pcsc/index.ts";
import { VirtualPivCard, type PivCardOptions } from "../../src/virtual/index.ts";
import { rig as facadeRig } from "../cryptoki/rig.ts";
import { testKey } from "../virtual/keys.ts";
import { bench, claim } from "./rig.ts";

const GUID = fromHex("00112233445566778899aabbccddeeff");
const CHUID = 0x5fc102;

const makeCard = (options: PivCardOptions = {}): Promise<VirtualPivCard> =>
  VirtualPivCard.create({
    guid: GUID,
    keys: { "9a": { privateKey: testKey("p-256") }, "9c": null, "9d": null, "9e": null },
    ...options,
  });

const infoOf = async (card: InProcessCard): Promise<CardTokenInfo> => (await claim(bench(card))).token.info();

test("each object has OpenSC's label", async () => {
  const { token } = await claim(bench(await makeCard()));
  const labels = new Map((await token.objects()).map(({ reference, label }) => [reference, label]));
  const ofKey = (reference: string): unknown =>
    ["private-key", "public-key", "certificate"].map((half) => labels.get(`${reference}.${half}`));
  expect(["9A", "9C", "9D", "9E", "82", "95"].map(ofKey)).toEqual([
    ["PIV AUTH key", "PIV AUTH pubkey", "Certificate for PIV Authentication"],
    ["SIGN key", "SIGN pubkey", "Certificate for Digital Signature"],
    ["KEY MAN key", "KEY MAN pubkey", "Certificate for Key Management"],
    ["CARD AUTH key", "CARD AUTH pubkey", "Certificate for Card Authentication"],
    ["Retired KEY MAN 1", "Retired KEY MAN 1", "Retired Certificate for Key Management 1"],
    ["Retired KEY MAN 20", "Retired KEY MAN 20", "Retired Certificate for Key Management 20"],
  ]);
});

test("CK_TOKEN_INFO has the end of the serial number, and the TokenSerialNumber object has the whole", async () => {
  await using facade = await facadeRig(await makeCard());
  const { cryptoki } = facade;
  expect(await cryptoki.C_GetTokenInfo(await facade.slot())).toMatchObject({
    label: "PIV ccddeeff",
    manufacturerID: "piv_II",
    serialNumber: "8899aabbccddeeff",
  });
  const session = await facade.session();
  const [number = 0] = await facade.find(session, { [CKA.LABEL]: "TokenSerialNumber" });
  const { [CKA.VALUE]: value } = await cryptoki.C_GetAttributeValue(session, number, [CKA.VALUE]);
  expect(new TextDecoder().decode(value)).toBe(toHex(GUID));
});

test("a YubiKey's number and label stay when another program writes a new CHUID", async () => {
  const names = { label: "PIV 12345678", manufacturer: "piv_II", serialNumber: "12345678" };
  const card = await makeCard({ yubico: true, serial: 12_345_678 });
  expect(await infoOf(card)).toMatchObject(names);
  const objects = new Map([[CHUID, encodeTlv(0x34, Uint8Array.from(GUID).reverse())]]);
  expect(await infoOf(await makeCard({ yubico: true, serial: 12_345_678, objects }))).toMatchObject(names);
});

test("a YubiKey is known by OpenSC's number as well", async () => {
  const { token } = await claim(bench(await makeCard({ yubico: true })));
  expect(await token.otherSerialNumbers?.()).toEqual(["8899aabbccddeeff", "0011223344556677"]);
  const { token: bare } = await claim(bench(await makeCard({ yubico: true, objects: new Map([[CHUID, null]]) })));
  expect(await bare.otherSerialNumbers?.()).toEqual(["00000000"]);
});

test("without a CHUID the device's number stands in for it, also on another maker's card with Yubico's command", async () => {
  const objects = new Map([[CHUID, null]]);
  const one = await makeCard({ yubico: true, serial: 4_294_967_295, objects });
  expect(await infoOf(one)).toMatchObject({ label: "PIV 94967295", serialNumber: "4294967295" });
  const other: InProcessCard = {
    atr: fromHex("3b00"),
    reset: () => {
      one.reset();
    },
    transmit: (command) => one.transmit(command),
  };
  expect(await infoOf(other)).toMatchObject({ serialNumber: "4294967295" });
});

test.each(["6d00", "6f00", "9000", "000000009000", "01029000"])(
  "a YubiKey that answers GET SERIAL with %s has the number of its CHUID",
  async (answer) => {
    const card = await makeCard({ yubico: true });
    const old: InProcessCard = {
      atr: card.atr,
      reset: () => {
        card.reset();
      },
      transmit: (command) => (command[1] === 0xf8 ? Promise.resolve(fromHex(answer)) : card.transmit(command)),
    };
    expect(await infoOf(old)).toMatchObject({ label: "PIV ccddeeff", serialNumber: toHex(GUID) });
  },
);

test("a card without any number has OpenSC's zeros", async () => {
  const card = await makeCard({ objects: new Map([[CHUID, null]]) });
  expect(await infoOf(card)).toMatchObject({ label: "PIV", serialNumber: "00000000" });
});
