import { expect, test } from "@jest/globals";
import { CKA, CKO, CKS, CKU } from "../../src/cryptoki/index.ts";
import { fromHex, toHex, utf8 } from "../../src/bytes/index.ts";
import type { CardToken } from "../../src/card/index.ts";
import { createPkcs15, pkcs15 } from "../../src/pkcs15/index.ts";
import { VirtualFileCard } from "../../src/virtual/iso7816/card.ts";
import { decodeImage } from "../../src/virtual/iso7816/image.ts";
import { refusal, rig } from "../cryptoki/rig.ts";
import { testPkcs15Card } from "../virtual/keys.ts";
import { insert } from "./file-card.ts";

interface Image {
  readonly masterFile: { readonly files: Record<string, { readonly files: Record<string, { security: string }> }> };
}

/** The virtual card, its directory of data objects for those alone who know the first PIN. */
async function guardedCard(): Promise<VirtualFileCard> {
  const image = JSON.parse((await testPkcs15Card()).image()) as Image;
  const dodf = image.masterFile.files["5015"]?.files["4407"];
  if (!dodf) throw new Error("no DODF");
  dodf.security = `1${dodf.security.slice(1)}`;
  return new VirtualFileCard(decodeImage(JSON.stringify(image)));
}

const notes = async (token: CardToken | undefined): Promise<readonly string[]> =>
  ((await token?.objects(["data"])) ?? []).map(({ label }) => label);

test("a directory that the card keeps to itself is read once its PIN is there, and no copy of it is kept", async () => {
  const copies = new Map<string, Uint8Array>();
  const store = {
    get: (key: string): Promise<Uint8Array | undefined> => Promise.resolve(copies.get(key)),
    set: (key: string, bytes: Uint8Array): Promise<void> => {
      copies.set(key, bytes);
      return Promise.resolve();
    },
  };
  const [token] = (await createPkcs15({ store }).claim(await insert(await guardedCard()), "thorough"))?.tokens ?? [];
  expect(await notes(token)).toEqual([]);
  await token?.login("user", utf8("123456"));
  expect(await notes(token)).toEqual(["Public note", "Private note"]);
  for (const object of (await token?.objects(["certificate"])) ?? []) {
    if (object.class === "certificate") await object.value();
  }
  const kept = [...copies.values()].map((bytes) => Buffer.from(bytes).toString("latin1")).join("");
  expect(kept).toContain("Virtual eID CA");
  expect(kept).not.toContain("Private note");
});

test("a card that has forgotten the PIN before the directory was read ends the login: no object is missing in silence", async () => {
  const card = await guardedCard();
  await using made = await rig(card, [pkcs15]);
  const session = await made.loggedIn();
  const search = (): Promise<number[]> => made.find(session, { [CKA.CLASS]: CKO.DATA, [CKA.APPLICATION]: "Notes" });
  // As another program does that makes the card forget the PIN.
  await card.transmit(fromHex("00a4040c0ca000000063504b43532d3135"));
  expect(toHex(await card.transmit(fromHex("002e0001")))).toBe("9000");
  await expect(search()).rejects.toMatchObject(refusal("USER_NOT_LOGGED_IN"));
  expect((await made.cryptoki.C_GetSessionInfo(session)).state).toBe(CKS.RW_PUBLIC_SESSION);
  await made.cryptoki.C_Login(session, CKU.USER, "123456");
  expect(await search()).toHaveLength(2);
});
