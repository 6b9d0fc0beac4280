import { describe, expect, test } from "@jest/globals";
import { DataError, toHex } from "../../src/bytes/index.ts";
import { CardError, type CardFinding } from "../../src/card/index.ts";
import { pkcs15 } from "../../src/pkcs15/index.ts";
import { certificate, dataObject, odf, pin, privateKey, text, tlv, tokenInfo } from "./directory-files.ts";
import { type CardFile, FileCard, insert, RECORDING } from "./file-card.ts";

const CERTIFICATE = RECORDING.files["50153400"]?.contents ?? "";
const KEYS = [privateKey({ label: "k1", id: "01", authId: "01" }), privateKey({ label: "k2", id: "02", authId: "01" })];
const CERTIFICATES = [certificate("c1", "01", "3401"), certificate("c2", "02", "3402")];
const PIN = pin({ label: "PIN", authId: "01", reference: "81" });
const NOTE = dataObject("note", "4301");
const ODF = odf({ a8: "4401", a0: "4402", a4: "4404", a7: "4406" });
const ALL = ["k1", "k2", "c1", "c2", "note"];

/** FCP of a transparent file. */
const sized = (size: number): string => `62078002${size.toString(16).padStart(4, "0")}820101`;

/** A file whose FCP tells its size; `told` is what it tells instead. */
const file = (contents: string, told = contents.length / 2): CardFile => ({ control: sized(told), contents });

const good = (): Record<string, CardFile> => ({
  "50155031": file(ODF),
  "50155032": file(tokenInfo("T")),
  "50154401": file(PIN),
  "50154402": file(KEYS.join("")),
  "50154404": file(CERTIFICATES.join("")),
  "50154406": file(NOTE),
  "50153401": file(CERTIFICATE),
  "50153402": file(CERTIFICATE),
  "50154301": file("a0a1a2a3"),
});

interface Seen {
  readonly labels: readonly string[];
  /** Of the objects whose values can be had. */
  readonly whole: readonly string[];
  readonly findings: readonly CardFinding[];
  readonly exchanges: number;
}

/** All that can be asked of a card without a PIN. */
async function look(files: Readonly<Record<string, CardFile | undefined>>): Promise<Seen> {
  const present = Object.entries({ ...good(), ...files }).flatMap(([path, one]) => (one ? [[path, one] as const] : []));
  const card = new FileCard({ files: Object.fromEntries(present) });
  const application = await pkcs15.claim(await insert(card), "thorough");
  const labels: string[] = [];
  const whole: string[] = [];
  for (const token of application?.tokens ?? []) {
    await token.info();
    for (const object of await token.objects()) {
      labels.push(object.label);
      if (object.class === "private-key" || !(await object.isPresent({ explicitlyRequested: true }))) continue;
      try {
        await ("value" in object ? object.value() : object.publicKey());
        whole.push(object.label);
      } catch (error) {
        if (!(error instanceof CardError || error instanceof DataError)) throw error;
      }
    }
  }
  return { labels, whole, findings: application?.findings?.() ?? [], exchanges: card.commands.length };
}

/** What the whole card costs: three exchanges to find it, two for each of nine files, and more for each certificate. */
const EXCHANGES = 27;
/** What does not parse is read a second time, each file of it with its SELECT: it may have been broken on its way. */
const SECOND_LOOK = 5;

test("the card without a fault", async () => {
  const { labels, whole, findings, exchanges } = await look({});
  expect(labels).toEqual(ALL);
  expect(whole).toEqual(["c1", "c2", "note"]);
  expect(findings).toEqual([]);
  expect(exchanges).toBeLessThanOrEqual(EXCHANGES);
});

interface Fault {
  readonly files: Readonly<Record<string, CardFile | undefined>>;
  /** Objects that are shown. */
  readonly labels?: readonly string[];
  /** What {@link CardFinding.where} or `problem` has in it, each of a finding of its own; none for a card that BER allows. */
  readonly findings: readonly string[];
  /** Exchanges more than the good card's. */
  readonly more?: number;
}

const without = (...gone: readonly string[]): string[] => ALL.filter((label) => !gone.includes(label));
const ends = (contents: string, bytes: number): string => contents.slice(0, contents.length - 2 * bytes);
const nested = (levels: number, head = "30"): string => {
  let element = "";
  for (let level = 0; level < levels; level++) element = tlv(head, element);
  return element;
};
/** `tokenInfo` with fields behind its last. */
const infoWith = (...fields: readonly string[]): string => tlv("30", tokenInfo("T").slice(4), ...fields);
const longForm = (element: string): string =>
  `${element.slice(0, 2)}82${element.slice(2, 4).padStart(4, "0")}${element.slice(4)}`;
const indefinite = (element: string): string => `${element.slice(0, 2)}80${element.slice(4)}0000`;
const inFile = (id: string, index: number, length: number): string =>
  tlv(
    "30",
    tlv("04", id),
    tlv("02", toHex(Uint8Array.of(index >> 8, index & 0xff))),
    tlv("80", toHex(Uint8Array.of(length >> 8, length & 0xff))),
  );
const noteAt = (index: number, length: number): string =>
  tlv("30", tlv("30", text("note"), "03020640"), tlv("30", text("test")), tlv("a1", inFile("4301", index, length)));
const flagged = (label: string, authId: string, reference: string, flags: string): string =>
  pin({ label, authId, reference, flags });

const FAULTS: Readonly<Record<string, Readonly<Record<string, Fault>>>> = {
  truncated: {
    "a directory of keys, within its second": {
      files: { "50154402": file(ends(KEYS.join(""), 5)) },
      labels: without("k2"),
      findings: ["private-keys 3F00/5015/4402, at"],
    },
    "the ODF, within its last entry": {
      files: { "50155031": file(ends(ODF, 2)) },
      labels: without("note"),
      findings: ["ODF 3F00/5015/5031, at"],
    },
    TokenInfo: { files: { "50155032": file(ends(tokenInfo("T"), 3)) }, findings: ["TokenInfo 3F00/5015/5032, at"] },
    "a certificate": { files: { "50153402": file(ends(CERTIFICATE, 9)) }, findings: ["certificate c2"] },
    "to nothing": { files: { "50154404": file("") }, labels: without("c1", "c2"), findings: [] },
  },
  looped: {
    "the ODF names itself as a directory of keys": {
      files: { "50155031": file(ODF + tlv("a0", tlv("30", tlv("04", "5031")))) },
      findings: Array<string>(5).fill("private-keys 3F00/5015/5031, at"),
    },
    "the ODF names a directory a hundred times": {
      files: { "50155031": file(ODF + odf({ a0: "4402" }).repeat(100)) },
      findings: ["104 directories"],
      more: 3,
    },
    "the ODF names one file for directories of two kinds": {
      files: { "50155031": file(odf({ a8: "4401", a0: "4402", a4: "4402", a7: "4406" })) },
      labels: without("c1", "c2"),
      findings: ["ODF, certificates: the directory is that of private-keys"],
    },
    "a certificate is said to be in the directory that lists it": {
      files: { "50154404": file([CERTIFICATES[0], certificate("c2", "02", "4404")].join("")) },
      findings: ["certificate c2"],
    },
    "a certificate is said to be a DF": {
      files: { "50154404": file([CERTIFICATES[0], certificate("c2", "02", "3f005015")].join("")) },
      findings: ["certificate c2"],
    },
    "the directory of certificates is said to be a DF": {
      files: { "50155031": file(odf({ a8: "4401", a0: "4402", a4: "3f005015", a7: "4406" })) },
      labels: without("c1", "c2"),
      findings: ["certificates 3f005015: command not allowed, no current file (6986)"],
    },
    "a path goes round through the master file": {
      files: { "50154404": file([CERTIFICATES[0], certificate("c2", "02", "3f003f0050153f0050153402")].join("")) },
      findings: ["certificate c2"],
    },
    "EF.DIR tells of one application a thousand times": {
      files: {
        "2f00": { contents: tlv("61", tlv("4f", "a000000063504b43532d3135"), tlv("51", "3f005015")).repeat(1000) },
      },
      findings: ["EF.DIR: an application is listed twice"],
      more: 90,
    },
    "EF.DIR tells of itself as an application": {
      files: {
        "2f00": { contents: tlv("61", tlv("4f", "a000000063504b43532d3135"), tlv("51", "3f002f00")) },
      },
      findings: [],
      more: 4,
    },
    "EF.DIR tells of a thousand applications that are nowhere": {
      files: {
        "2f00": {
          contents: Array.from({ length: 1000 }, (_, number) =>
            tlv("61", tlv("4f", "a000000063504b43532d3135"), tlv("51", `3f00${(0x6000 + number).toString(16)}`)),
          ).join(""),
        },
      },
      findings: ["EF.DIR"],
      more: 180,
    },
  },
  "leads nowhere": {
    "a directory": {
      files: { "50154404": undefined },
      labels: without("c1", "c2"),
      findings: ["certificates 4404"],
    },
    "a certificate": { files: { "50153402": undefined }, findings: ["certificate c2"] },
    TokenInfo: { files: { "50155032": undefined }, findings: ["TokenInfo"] },
    "a key's PIN": {
      files: { "50154402": file([KEYS[0], privateKey({ label: "k2", id: "02", authId: "77" })].join("")) },
      findings: ["k2"],
    },
    "a path of an odd length": {
      files: { "50154404": file([CERTIFICATES[0], certificate("c2", "02", "340200")].join("")) },
      labels: without("c2"),
      findings: ["certificates 3F00/5015/4404, at"],
    },
  },
  "lies about a length": {
    "of an object, beyond the end of the file": {
      files: { "50154402": file(`${KEYS[0] ?? ""}3082ffff${(KEYS[1] ?? "").slice(4)}`) },
      labels: without("k2"),
      findings: ["private-keys 3F00/5015/4402, at"],
    },
    "of an object, with 2 GB": {
      files: { "50154402": file(`${KEYS[0] ?? ""}30847fffffff${(KEYS[1] ?? "").slice(4)}`) },
      labels: without("k2"),
      findings: ["private-keys 3F00/5015/4402, at"],
    },
    "within an object, beyond its end": {
      files: { "50154402": file([tlv("30", "307f0c0158"), ...KEYS].join("")) },
      findings: ["private-keys 3F00/5015/4402, at 0"],
    },
    "of a file, told too long": { files: { "50154404": file(CERTIFICATES.join(""), 0x7fff) }, findings: [], more: 1 },
    "of a file, told too short": {
      files: { "50154404": file(CERTIFICATES.join(""), CERTIFICATES.join("").length / 2 - 4) },
      labels: without("c2"),
      findings: ["certificates 3F00/5015/4404, at"],
    },
    "of a certificate's file, told too short": {
      files: { "50153402": file(CERTIFICATE, 100) },
      findings: ["certificate c2"],
    },
    "of a part of a file, which goes beyond its end": {
      files: { "50154406": file(noteAt(2, 200)) },
      findings: ["data object note"],
    },
    "with an offset behind the end of the file": {
      files: { "50154406": file(noteAt(200, 4)) },
      findings: ["data object note"],
    },
    "with an offset that no command reaches": {
      files: { "50154406": file(noteAt(0x7ff0, 4)) },
      findings: ["data object note"],
    },
  },
  "has more than is reasonable": {
    "sequences in sequences": {
      files: { "50154402": file([KEYS[0], nested(200), KEYS[1]].join("")) },
      more: 2,
      findings: ["private-keys 3F00/5015/4402, at"],
    },
    "sequences without an end in sequences without an end": {
      files: { "50154402": file(KEYS.join("") + "3080".repeat(8000)) },
      findings: ["private-keys 3F00/5015/4402, at"],
      more: 64,
    },
    "sixteen thousand empty objects": {
      files: { "50154406": file(NOTE + "3000".repeat(16_000)) },
      findings: Array<string>(200).fill("data 3F00/5015/4406, at"),
      more: 128,
    },
    "sixteen thousand objects in the ODF itself": {
      files: { "50155031": file(ODF + tlv("a7", tlv("a0", "3000".repeat(16_000)))) },
      findings: Array<string>(200).fill("ODF, data, at"),
      more: 128,
    },
    "sixteen thousand algorithms": {
      files: { "50155032": file(infoWith(tlv("a2", "3003020101".repeat(6000)))) },
      findings: [],
      more: 128,
    },
  },
  "is BER": {
    "lengths longer than they need be": {
      files: {
        "50154402": file(KEYS.map(longForm).join("")),
        "50155031": file(longForm(ODF.slice(0, 20)) + ODF.slice(20)),
      },
      findings: [],
    },
    "lengths without a number": { files: { "50154402": file(KEYS.map(indefinite).join("")) }, findings: [] },
    "padding of 00 and FF behind the last object, and between objects": {
      files: {
        "50154402": file(`${KEYS[0] ?? ""}0000ffff00${KEYS[1] ?? ""}${"ff".repeat(40)}${"00".repeat(40)}`),
        "50154404": file(`ffff${CERTIFICATES.join("")}${"00".repeat(200)}`),
        "50154406": file(NOTE + "ff".repeat(300)),
        "50155031": file(ODF + "00".repeat(100)),
        "50153401": file(CERTIFICATE + "00".repeat(100)),
      },
      findings: [],
      more: 3,
    },
  },
  "contradicts itself": {
    "a PIN that is the officer's and a PUK": {
      files: { "50154401": file(PIN + flagged("both", "02", "82", "000b")) },
      findings: ["both"],
    },
    "two PINs of one number": {
      files: { "50154401": file(PIN + pin({ label: "twin", authId: "02", reference: "81" })) },
      findings: ["twin"],
    },
    "two PINs of one identifier": {
      files: { "50154401": file(PIN + flagged("PUK", "01", "82", "010a")) },
      findings: ["PUK"],
    },
    "a PIN that is longer at least than at most": {
      files: { "50154401": file(pin({ label: "PIN", authId: "01", reference: "81", lengths: [9, 8, 6] })) },
      findings: ["PIN"],
    },
    "a PIN of a type that there is not": {
      files: { "50154401": file(PIN + pin({ label: "odd", authId: "02", reference: "82", type: 9 })) },
      findings: ["authentication 3F00/5015/4401, at"],
    },
    "a PIN that goes into more bytes than the card keeps": {
      files: { "50154401": file(pin({ label: "PIN", authId: "01", reference: "81", lengths: [4, 6, 12] })) },
      findings: ["PIN"],
    },
    "a TokenInfo that breaks off in its algorithms": {
      files: { "50155032": file(infoWith("a2043002020a")) },
      findings: ["TokenInfo"],
    },
  },
};

describe.each(Object.entries(FAULTS))("a card that %s", (_, faults) => {
  test.each(Object.entries(faults))("%s", async (__, { files, labels = ALL, findings, more = 0 }) => {
    const seen = await look(files);
    expect(seen.labels).toEqual(labels);
    const told = seen.findings.map(({ where, problem }) => `${where}: ${problem}`);
    expect(told).toEqual(findings.map((part) => expect.stringContaining(part) as unknown));
    expect(seen.exchanges).toBeLessThanOrEqual(EXCHANGES + 2 * more + SECOND_LOOK);
  });
});

test("what is left of a value that is said to go on behind its file is given, and nothing is where nothing is left", async () => {
  expect((await look({ "50154406": file(noteAt(2, 200)) })).whole).toContain("note");
  expect((await look({ "50154406": file(noteAt(200, 4)) })).whole).not.toContain("note");
});
