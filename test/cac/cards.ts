import type { KeyObject } from "node:crypto";
import { gzipSync } from "node:zlib";
import { concat, fromHex, toHex } from "../../src/bytes/index.ts";
import { cac, cacUnlisted } from "../../src/cac/index.ts";
import { Card, type CardObject, type CardPrivateKey, CardRecognition, type CardToken } from "../../src/card/index.ts";
import { type InProcessCard, MemoryReaders, type Pcsc } from "../../src/pcsc/index.ts";
import { issueCertificate } from "../../src/virtual/piv/identity.ts";
import { testKey } from "../virtual/keys.ts";
import { type Applet, AppletCard, type Buffers, type Quirks } from "./applet-card.ts";

const READER = "Memory Reader";
export const HOLDER = "HOLDER.CARD.A.1234567890";
/** The card's number in {@link listed}. */
export const CARD_ID = "705072360e000058bd002c19b5";

export const key = (number: number): KeyObject => testKey("rsa-2048", `cac ${number}`);

const issue = (number: number): Promise<Uint8Array> =>
  issueCertificate({
    slot: 0x9a,
    privateKey: key(number),
    name: HOLDER,
    issuer: { privateKey: key(0), name: "An authority with a name that is not short at all" },
    notBefore: new Date("2026-01-01T00:00:00Z"),
    notAfter: new Date("2036-01-01T00:00:00Z"),
    fascn: new Uint8Array(25),
    guid: new Uint8Array(16),
  });
const CERTIFICATES: readonly Uint8Array[] = await Promise.all([1, 2, 3].map(issue));

/** A certificate of the key with this number, DER. */
export function certificate(number: number): Uint8Array {
  const made = CERTIFICATES[number - 1];
  if (!made) throw new Error(`no certificate of key ${number}`);
  return made;
}

const hex = (text: string): Uint8Array => fromHex(text);

/** Buffers of tags with values. */
export function buffers(...objects: readonly (readonly [tag: number, value: Uint8Array])[]): Buffers {
  const heads = objects.map(([tag, { length }]) =>
    length < 0xff ? Uint8Array.of(tag, length) : Uint8Array.of(tag, 0xff, length & 0xff, length >> 8),
  );
  return { tags: concat(...heads), values: concat(...objects.map(([, value]) => value)) };
}

/** A PKI object as cards hold it. */
export function pkiBuffers(der: Uint8Array, how: "plain" | "gzip" | "certificate first" = "plain"): Buffers {
  const info = Uint8Array.of(how === "gzip" ? 1 : 0);
  const stored = how === "gzip" ? new Uint8Array(gzipSync(der)) : der;
  if (how === "certificate first") return buffers([0x70, stored], [0x71, info], [0xfe, new Uint8Array()]);
  return buffers([0x71, info], [0x70, stored], [0x72, new Uint8Array()], [0xfe, new Uint8Array()]);
}

/** A CardURL: kind of applet, object, applet. */
export const url = (type: number, object: string, applet = object, rid = "a000000079"): Uint8Array =>
  fromHex(`${rid}${type.toString(16).padStart(2, "0")}${object}${applet}000000000000`);

/** A capability container with the card's number and these CardURLs. */
export function ccc(...urls: readonly Uint8Array[]): Applet {
  const objects = urls.map((line): readonly [number, Uint8Array] => [0xf3, line]);
  const container = buffers([0xf0, fromHex(`a0000000790302${CARD_ID}`)], [0xf1, hex("21")], ...objects, [
    0xf6,
    hex("07"),
  ]);
  return { objects: { "": container } };
}

export const AID = {
  CCC: "a000000116db00",
  PKI: ["a0000000790100", "a0000000790101", "a0000000790102"],
  PERSON: "a0000000790200",
} as const;

/** A card with three keys, a filled container and an empty one, as it left its issuer. */
export function listedApplets(): Record<string, Applet> {
  return {
    [AID.CCC]: ccc(
      url(0x01, "0200"),
      url(0x01, "0201"),
      url(0x01, "12ff"),
      ...["0100", "0101", "0102"].map((id) => url(0x04, id)),
    ),
    [AID.PERSON]: { objects: { "0200": PERSON }, properties: properties(0x50, "0200") },
    a0000000790201: { objects: { "0201": buffers() } },
    [AID.PKI[0]]: { objects: { "0100": pkiBuffers(certificate(1)) }, key: key(1) },
    [AID.PKI[1]]: { objects: { "0101": pkiBuffers(certificate(2), "gzip") }, key: key(2) },
    [AID.PKI[2]]: { objects: { "0102": pkiBuffers(certificate(3), "certificate first") }, key: key(3) },
  };
}

/** Person Instance of a real card, with the person's name changed (libcacard, cac.c). */
const PERSON = buffers(
  [0x01, hex("4d61726965")],
  [0x02, hex("")],
  [0x03, hex("5475726e6572")],
  [0x62, hex("3230303930343032")],
);

/** What GET PROPERTIES says of an applet with one object. */
export function properties(kind: 0x50 | 0x51, object: string, simpleTlv = true, privateKey = true): Uint8Array {
  const buffer = `4102${object}4205${simpleTlv ? "00" : "01"}1a00d207`;
  const pki = kind === 0x51 ? `43040610${privateKey ? "01" : "00"}01` : "";
  const inner = fromHex(buffer + pki);
  return concat(fromHex("01051002060203400101"), Uint8Array.of(kind, inner.length), inner);
}

/** A card in a reader of this process, and what is on it. */
export interface Inserted {
  readonly card: AppletCard;
  readonly readers: MemoryReaders;
  readonly pcsc: Pcsc;
  readonly token: CardToken;
  readonly objects: readonly CardObject[];
}

export async function insert(applets: Readonly<Record<string, Applet>>, quirks: Quirks = {}): Promise<Inserted> {
  const card = new AppletCard(applets, quirks);
  const { readers, pcsc, connected } = await connect(card);
  const application = await new CardRecognition([cac, cacUnlisted]).claim(connected);
  const token = application?.tokens[0];
  if (!token) throw new Error("no CAC");
  return { card, readers, pcsc, token, objects: await token.objects() };
}

/** A card in a reader of this process, not yet asked what it is. */
export async function connect(card: InProcessCard): Promise<{ readers: MemoryReaders; pcsc: Pcsc; connected: Card }> {
  const readers = new MemoryReaders();
  readers.plug(READER);
  readers.insert(READER, card);
  const pcsc = readers.client({ patience: 200 });
  return { readers, pcsc, connected: new Card(await pcsc.connect(READER)) };
}

/** A second program at the same card. */
export async function another({ readers }: Inserted): Promise<Awaited<ReturnType<Pcsc["connect"]>>> {
  return readers.client().connect(READER);
}

export function privateKey({ objects }: Inserted, id: string): CardPrivateKey {
  for (const object of objects) if (object.class === "private-key" && toHex(object.id) === id) return object;
  throw new Error(`no private key ${id}`);
}

/** Its value, if the object has one, in hexadecimal. */
export async function valueOf(
  { objects }: Inserted,
  label: string,
  kind: "certificate" | "data" = "data",
): Promise<string> {
  for (const object of objects) {
    if (object.class === kind && object.label === label && "value" in object) return toHex(await object.value());
  }
  throw new Error(`no ${kind} ${label}`);
}
