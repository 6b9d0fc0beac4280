import { ByteReader, concat, DataError } from "../bytes/index.ts";
import {
  BufferFile,
  findSimpleTlv,
  joinBuffers,
  readSimpleTlvs,
  readTagLengths,
  type SimpleTlv,
  type TagLength,
} from "./buffers.ts";
import { CCC, type AppletAddress, addressName } from "./commands.ts";
import type { CacSession } from "./session.ts";

/** A PKI applet, or one object of it: a private key and its certificate. */
export interface PkiEntry {
  readonly place: AppletAddress;
  readonly label: string;
  /** CKA_ID. */
  readonly id: Uint8Array;
}

/** A container of data. */
export interface ContainerEntry {
  readonly place: AppletAddress;
  readonly label: string;
  /** Whether any search shows it; otherwise only one that names it, because many cards have it and leave it empty. */
  readonly listed: boolean;
}

/** The contents of a card. */
export interface CardContents {
  readonly pki: readonly PkiEntry[];
  readonly containers: readonly ContainerEntry[];
  /** The card's number; undefined if it reports none. */
  readonly cardId: Uint8Array | undefined;
}

/** Most PKI objects of a card; other programs show no more either. */
const MAX_PKI = 16;

/** OpenSC's names of the three certificates of every CAC, in the order of its applets. */
const PKI_LABELS = ["CAC ID Certificate", "CAC Email Signature Certificate", "CAC Email Encryption Certificate"];

/**
 * The PKI object with this number on the card, from 0: label and CKA_ID as in OpenSC, so that a URI or a configuration
 * works with both. Undefined beyond the last possible one.
 */
export function pkiEntry(place: AppletAddress, index: number): PkiEntry | undefined {
  if (index >= MAX_PKI) return undefined;
  const number = index + 1;
  return { place, label: PKI_LABELS[index] ?? `CAC Cert ${number}`, id: Uint8Array.of(0x00, number) };
}

interface ContainerName {
  readonly label: string;
  readonly listed: boolean;
}

const listed = (label: string): ContainerName => ({ label, listed: true });
const unlisted = (label: string): ContainerName => ({ label, listed: false });

/** Containers by object identifier: CAC data model (GSC-IS 2.1 appendix D), and SP 800-73-1 section 1.8. */
const CONTAINERS: ReadonlyMap<number, ContainerName> = new Map([
  [0x0200, listed("Person Instance")],
  [0x0201, listed("Personnel")],
  [0x0202, listed("Benefits")],
  [0x0203, listed("Other Benefits")],
  [0x02fd, listed("PKI Credential")],
  [0x02fe, listed("PKI Certificate")],
  [0x3000, unlisted("Card Holder Unique Identifier")],
  [0x6010, unlisted("Cardholder Fingerprints")],
  [0x6030, unlisted("Cardholder Facial Image")],
  [0x9000, unlisted("Security Object")],
]);

/** The container with this object identifier, two bytes; undefined if it is unknown. */
export function containerEntry(place: AppletAddress, object: Uint8Array): ContainerEntry | undefined {
  const [high = 0, low = 0] = object;
  const name = CONTAINERS.get(high * 256 + low);
  return name && { place, ...name };
}

/**
 * The possible containers of cards without a list: each is an applet of its own, whose identifier ends in the object's.
 */
export const UNLISTED_APPLETS: readonly Uint8Array[] = [...CONTAINERS.keys()]
  .filter((object) => object < 0x3000)
  .map((object) => Uint8Array.of(object >> 8, object & 0xff));

/** The kind of applet that a CardURL names (GSC-IS 2.1 section 7.3, CardApplicationType). */
export const APPLICATION_TYPE = { GENERIC: 0x01, SYMMETRIC: 0x02, PKI: 0x04 } as const;

/** A line of the card's table of contents. */
export interface CardUrl {
  /** {@link APPLICATION_TYPE}, or another number. */
  readonly type: number;
  readonly place: Required<AppletAddress>;
}

/**
 * Parses a CardURL: RID, application type, object identifier, application identifier (GSC-IS 2.1 section 7.3). The
 * fields that follow (access profile, PIN, key) are ignored: applets report these themselves.
 * @throws {DataError} if it is cut off.
 */
export function readCardUrl(bytes: Uint8Array): CardUrl {
  const reader = new ByteReader(bytes, "CardURL");
  const rid = reader.take(5);
  const type = reader.u8();
  const object = reader.take(2);
  return { type, place: { aid: concat(rid, reader.take(2)), object } };
}

/** Tags of a card capability container (GSC-IS 2.1 table 7-1). */
const TAG = { CARD_IDENTIFIER: 0xf0, CARD_URL: 0xf3, NEXT_CCC: 0xfd } as const;
const WANTED: ReadonlySet<number> = new Set(Object.values(TAG));

/** Most containers in a chain, and most applets on a card. */
const MAX_CONTAINERS = 16;
const MAX_URLS = 256;

/** Offset of the card's own number, after GSC-RID, manufacturer and type of card (GSC-IS 2.1 section 7.2). */
const CARD_ID_OFFSET = 7;

/** The contents of the capability container. */
export interface Capabilities {
  /** The card's number; undefined if it reports none. */
  readonly cardId: Uint8Array | undefined;
  readonly urls: readonly CardUrl[];
}

/**
 * Reads the card capability container, and those that it refers to.
 * @throws {DataError} if the buffers do not match.
 */
export async function readCapabilities(session: CacSession): Promise<Capabilities> {
  const seen = new Set<string>();
  const urls: CardUrl[] = [];
  let cardId: Uint8Array | undefined;
  let next: AppletAddress | undefined = CCC;
  while (next && !seen.has(nameOf(next)) && seen.size < MAX_CONTAINERS) {
    seen.add(nameOf(next));
    const objects = await readContainer(session, next);
    next = undefined;
    for (const { tag, value } of objects) {
      if (tag === TAG.CARD_IDENTIFIER && value.length > CARD_ID_OFFSET) cardId ??= value.subarray(CARD_ID_OFFSET);
      if (tag === TAG.CARD_URL && urls.length < MAX_URLS) urls.push(...tolerantly(value));
      if (tag === TAG.NEXT_CCC) next = tolerantly(value)[0]?.place;
    }
  }
  return { cardId, urls };
}

/** The container's own object has the identifier of its applet; the first one is read without selecting an object. */
const nameOf = ({ aid, object = aid.subarray(-2) }: AppletAddress): string => addressName({ aid, object });

/** Only the values that are needed; the rest of the container, rules and tables, is ignored. */
async function readContainer(session: CacSession, place: AppletAddress): Promise<readonly SimpleTlv[]> {
  const tags = readTagLengths(await new BufferFile(session, place, "TAGS").read(), "CCC");
  const last = tags.findLastIndex(({ tag, length }) => WANTED.has(tag) && length > 0);
  const wanted = tags.slice(0, last + 1);
  const values = await new BufferFile(session, place, "VALUES").read(total(wanted));
  return joinBuffers(wanted, values, "CCC");
}

const total = (tags: readonly TagLength[]): number => tags.reduce((sum, { length }) => sum + length, 0);

/** Skips malformed lines. */
function tolerantly(value: Uint8Array): readonly CardUrl[] {
  try {
    return [readCardUrl(value)];
  } catch (error) {
    if (error instanceof DataError) return [];
    throw error;
  }
}

/** Tags of the answer to GET PROPERTIES (GSC-IS 2.1 table 5-13). */
const PROPERTY = { BUFFERS: 0x50, PKI: 0x51, OBJECT: 0x41, BUFFER_PROPERTIES: 0x42, PKI_PROPERTIES: 0x43 } as const;

/** More objects than any applet has. */
const MAX_OBJECTS = 64;

/** What an applet reports of one of its objects. */
export interface ObjectProperties {
  /** Two bytes. */
  readonly id: Uint8Array;
  /** Whether the tag buffer holds SIMPLE-TLV tags and lengths; otherwise the format of both buffers is unspecified. */
  readonly simpleTlv: boolean;
  /** Whether it has a private key. */
  readonly hasPrivateKey: boolean;
}

/**
 * Parses the answer to GET PROPERTIES. Skips objects with a malformed description.
 * @throws {DataError} if it is not SIMPLE-TLV.
 */
export function readProperties(answer: Uint8Array): readonly ObjectProperties[] {
  const found: ObjectProperties[] = [];
  for (const { tag, value } of readSimpleTlvs(answer, "GET PROPERTIES")) {
    if (tag !== PROPERTY.BUFFERS && tag !== PROPERTY.PKI) continue;
    const object = readObject(value);
    if (object && found.length < MAX_OBJECTS) found.push(object);
  }
  return found;
}

function readObject(value: Uint8Array): ObjectProperties | undefined {
  let properties;
  try {
    properties = readSimpleTlvs(value, "GET PROPERTIES");
  } catch (error) {
    if (error instanceof DataError) return undefined;
    throw error;
  }
  const id = findSimpleTlv(properties, PROPERTY.OBJECT);
  const buffers = findSimpleTlv(properties, PROPERTY.BUFFER_PROPERTIES);
  if (id?.length !== 2 || buffers?.length !== 5) return undefined;
  // Algorithm, length of the key in 8 bytes, private key initialised, public key initialised.
  const key = findSimpleTlv(properties, PROPERTY.PKI_PROPERTIES);
  return { id, simpleTlv: buffers[0] === 0x00, hasPrivateKey: key?.length === 4 && key[2] !== 0x00 };
}

/** Tags of the answer to GET ACR for the service applet table (GSC-IS 2.1 table 5-21). */
const ENTRY = 0x93;
const AID = 0x92;
/** The applet's short identifier comes before its full one. */
const SHORT_ID = 1;

/**
 * The identifiers of the applets of a card, in the card's order.
 * @throws {DataError} if the table, or a line of it, is not SIMPLE-TLV.
 */
export function readServiceTable(answer: Uint8Array): readonly Uint8Array[] {
  return readSimpleTlvs(answer, "service applet table").flatMap(({ tag, value }) => {
    const aid = tag === ENTRY ? findSimpleTlv(readSimpleTlvs(value.subarray(SHORT_ID), "applet"), AID) : undefined;
    return aid ? [aid] : [];
  });
}
