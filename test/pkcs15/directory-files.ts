import { derOid, encodeDer, TAG } from "../../src/asn1/index.ts";
import { concat, fromHex, toHex, utf8 } from "../../src/bytes/index.ts";

/** A DER element out of hexadecimal digits and parts that are elements already. */
export function tlv(tag: string, ...parts: readonly string[]): string {
  const body = parts.join("").replaceAll(" ", "");
  const length = body.length / 2;
  const field = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
  return tag + toHex(Uint8Array.from(field)) + body;
}

export const text = (value: string): string => toHex(encodeDer(TAG.UTF8_STRING, utf8(value)));
export const path = (hex: string): string => tlv("30", tlv("04", hex));
const oid = (dotted: string): string => toHex(derOid(dotted));
const octets = (hex: string): string => tlv("04", hex);

/** An ODF, from the directories' identifiers by their tag: { a0: "4401" }. */
export const odf = (directories: Readonly<Record<string, string>>): string =>
  Object.entries(directories)
    .map(([tag, id]) => tlv(tag, path(id)))
    .join("");

export interface TestPin {
  readonly label: string;
  readonly authId: string;
  readonly reference: string;
  /** Bits of PasswordFlags, as a BIT STRING's contents. */
  readonly flags?: string;
  readonly type?: number;
  readonly puk?: string;
  readonly path?: string;
  readonly lengths?: readonly [number, number, number];
  readonly padding?: string;
}

export function pin(entry: TestPin): string {
  const { flags = "0308", type = 1, lengths = [4, 8, 8], padding } = entry;
  const number = (value: number): string => tlv("02", toHex(Uint8Array.of(value)));
  return tlv(
    "30",
    tlv("30", text(entry.label), "030206c0", entry.puk === undefined ? "" : octets(entry.puk)),
    tlv("30", octets(entry.authId)),
    tlv(
      "a1",
      tlv(
        "30",
        tlv("03", flags),
        tlv("0a", toHex(Uint8Array.of(type))),
        ...lengths.map(number),
        tlv("80", entry.reference),
        padding === undefined ? "" : octets(padding),
        entry.path === undefined ? "" : path(entry.path),
      ),
    ),
  );
}

export interface TestKey {
  readonly label: string;
  readonly id: string;
  readonly authId?: string;
  readonly reference?: string;
  readonly path?: string;
  /** Contents of the BIT STRING of usages; default: sign. */
  readonly usage?: string;
  readonly consent?: number;
  readonly type?: "rsa" | "ec";
  readonly bits?: number;
  readonly algorithms?: readonly number[];
}

export function privateKey(entry: TestKey): string {
  const { usage = "0520", type = "rsa", bits = type === "rsa" ? 2048 : 256, reference = "01", algorithms } = entry;
  const byte = (value: number): string => toHex(Uint8Array.of(value));
  return tlv(
    type === "rsa" ? "30" : "a0",
    tlv(
      "30",
      text(entry.label),
      "03020780",
      entry.authId === undefined ? "" : octets(entry.authId),
      entry.consent === undefined ? "" : tlv("02", byte(entry.consent)),
    ),
    tlv(
      "30",
      octets(entry.id),
      tlv("03", usage),
      tlv("02", reference),
      algorithms ? tlv("a1", ...algorithms.map((algorithm) => tlv("02", byte(algorithm)))) : "",
    ),
    tlv("a1", tlv("30", path(entry.path ?? "3f005015"), tlv("02", byte(bits >> 8) + byte(bits & 0xff)))),
  );
}

export const certificate = (label: string, id: string, file: string, authId?: string): string =>
  tlv(
    "30",
    tlv("30", text(label), "03020640", authId === undefined ? "" : octets(authId)),
    tlv("30", octets(id)),
    tlv("a1", tlv("30", path(file))),
  );

export const dataObject = (label: string, file: string, authId?: string): string =>
  tlv(
    "30",
    tlv("30", text(label), authId === undefined ? "03020640" : `030206c0${octets(authId)}`),
    tlv("30", text("test")),
    tlv("a1", path(file)),
  );

export const tokenInfo = (label: string, algorithms: readonly string[] = []): string =>
  tlv(
    "30",
    "020101",
    octets("cafe01"),
    text("Maker"),
    tlv("80", toHex(utf8(label))),
    "03020410",
    algorithms.length > 0 ? tlv("a2", ...algorithms) : "",
  );

/** AlgorithmInfo: reference, PKCS #11 mechanism, operations, the card's own number. */
export const algorithmInfo = (reference: number, mechanism: number, operations: string, own: number): string => {
  const number = (value: number): string =>
    tlv("02", toHex(value > 0xff ? Uint8Array.of(value >> 8, value & 0xff) : Uint8Array.of(value)));
  return tlv("30", number(reference), number(mechanism), "0500", tlv("03", operations), oid("1.2.3"), number(own));
};

/** `contents` in a file of `size` bytes, padded with zeros. */
export const padded = (contents: string, size: number): string =>
  toHex(concat(fromHex(contents), new Uint8Array(size - contents.length / 2)));
