import { createPublicKey, type KeyObject, X509Certificate } from "node:crypto";
import { findTlv, readTlvs } from "../../../src/apdu/index.ts";
import { fromHex, toHex, utf8 } from "../../../src/bytes/index.ts";
import type { VirtualCard } from "../../../src/virtual/index.ts";
import { testCard, testKey, testPkcs15Card } from "../../virtual/keys.ts";
import { CAC_PIN, startLibcacard } from "../cac/libcacard.ts";
import type { KeyUse, KnownKey, KnownToken } from "./program.ts";
import { DROPPING_NEIGHBOUR, NEIGHBOUR } from "../../virtual/shared-card.ts";
import type { Act } from "./visitor.ts";

/** A card, what the test knows to be on it, and what visitors can do there. */
export interface Subject extends AsyncDisposable {
  readonly card: VirtualCard;
  readonly tokens: readonly KnownToken[];
  /** All certificates, hexadecimal, sorted. */
  readonly certificates: readonly string[];
  readonly acts: readonly Act[];
}

/** Exchanges, without a transaction's end: class, instruction and parameters, then the data. */
const command = (header: string, data = ""): string =>
  `${header}${data === "" ? "" : (data.length / 2).toString(16).padStart(2, "0")}${data}`;
const selectByName = (aid: Uint8Array | string): string =>
  command("00a40400", typeof aid === "string" ? aid : toHex(aid));
/** A PIN filled up to eight bytes. */
const padded = (pin: string): string => toHex(utf8(pin)).padEnd(16, "f");

const PUBLIC_ACTS: readonly Act[] = [
  { name: "connects", commands: [] },
  { name: "resets the card", commands: [], resets: true, dropsLogin: true },
  { name: "selects another application", commands: [selectByName(NEIGHBOUR.aid)] },
  { name: "reads in another application", commands: [selectByName(NEIGHBOUR.aid), "00b0000040"] },
  {
    name: "selects another application, which drops the login",
    commands: [selectByName(DROPPING_NEIGHBOUR.aid)],
    dropsLogin: true,
  },
];

const publicKeyOf = (privateKey: KeyObject): KeyObject => createPublicKey(privateKey);

const PIV_AID = "a00000030800001000";

/** SP 800-73-4 part 2: GET DATA of a data object. */
const getPivData = (tag: string): string =>
  command("00cb3fff", `5c${(tag.length / 2).toString(16).padStart(2, "0")}${tag}`);

export async function pivSubject(): Promise<Subject> {
  const keys = {
    "9a": testKey("rsa-2048", "9a"),
    "9c": testKey("p-256", "9c"),
    "9d": testKey("p-256", "9d"),
    "9e": testKey("p-256", "9e"),
    "82": testKey("rsa-2048", "82"),
  };
  const sources = Object.fromEntries(Object.entries(keys).map(([slot, privateKey]) => [slot, { privateKey }]));
  const card = await testCard({ keys: sources, name: "Ada Lovelace" });
  const { objects } = JSON.parse(card.image()) as { readonly objects: Readonly<Record<string, string>> };
  const object = (tag: string): Uint8Array => fromHex(objects[tag] ?? "");
  const certificates = ["5fc105", "5fc10a", "5fc10b", "5fc101", "5fc10d"].map((tag) =>
    toHex(findTlv(readTlvs(object(tag)), 0x70) ?? new Uint8Array()),
  );
  const key = (id: string, slot: keyof typeof keys, uses: readonly KeyUse[], consent = false): KnownKey => ({
    id,
    uses,
    publicKey: publicKeyOf(keys[slot]),
    consent,
  });
  return {
    card,
    tokens: [
      {
        index: 0,
        pin: "123456",
        keys: [
          key("01", "9a", ["sign", "decrypt"]),
          key("02", "9c", ["sign"], true),
          key("03", "9d", ["agree"]),
          key("04", "9e", ["sign"]),
          key("05", "82", ["decrypt"]),
        ],
        privateData: { label: "Printed Information", value: object("5fc109") },
      },
    ],
    certificates: certificates.sort(),
    acts: [
      ...PUBLIC_ACTS,
      { name: "selects PIV", commands: [selectByName(PIV_AID)] },
      { name: "reads the CHUID", commands: [selectByName(PIV_AID), `${getPivData("5fc102")}00`] },
      { name: "verifies the PIN", commands: [selectByName(PIV_AID), command("00200080", padded("123456"))] },
    ],
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

const PKCS15_AID = "a000000063504b43532d3135";

/** Selects the application and then a file by its path. */
const selectPath = (path: string): readonly string[] => [selectByName(PKCS15_AID), command("00a4080c", path)];

export async function pkcs15Subject(): Promise<Subject> {
  const card = await testPkcs15Card();
  const image = JSON.parse(card.image()) as {
    readonly masterFile: {
      readonly files: Readonly<
        Record<string, { readonly files?: Readonly<Record<string, { readonly contents?: string }>> }>
      >;
    };
  };
  const files = image.masterFile.files["5015"]?.files ?? {};
  const certificates = Object.entries(files).flatMap(([id, { contents }]) =>
    id.startsWith("43") ? [contents ?? ""] : [],
  );
  const environment = (template: string, algorithm: string, key: string): readonly string[] => [
    ...selectPath("5015"),
    command(`002241${template}`, `8001${algorithm}8102${key}`),
  ];
  return {
    card,
    tokens: [
      {
        index: 0,
        pin: "123456",
        keys: [
          { id: "01", uses: ["sign", "decrypt"], publicKey: publicKeyOf(testKey("rsa-2048", "authentication")) },
          { id: "02", uses: ["sign", "agree"], publicKey: publicKeyOf(testKey("p-256", "authentication")) },
        ],
        privateData: { label: "Private note", value: fromHex(files["4602"]?.contents ?? "") },
      },
      {
        index: 1,
        pin: "654321",
        keys: [
          { id: "03", uses: ["sign", "decrypt"], publicKey: publicKeyOf(testKey("rsa-3072", "signature")) },
          { id: "04", uses: ["sign"], publicKey: publicKeyOf(testKey("p-384", "signature")), consent: true },
        ],
        privateData: { label: "Signature note", value: fromHex(files["4603"]?.contents ?? "") },
      },
    ],
    certificates: certificates.sort(),
    acts: [
      ...PUBLIC_ACTS,
      { name: "selects the master file", commands: [selectByName(PKCS15_AID), command("00a4000c", "3f00")] },
      { name: "selects a certificate", commands: selectPath("50154302") },
      { name: "reads a certificate", commands: [...selectPath("50154301"), "00b0000040"] },
      { name: "sets the EC key for signatures", commands: environment("b6", "04", "4b02") },
      { name: "sets the RSA key for signatures", commands: environment("b6", "02", "4b01") },
      { name: "sets the other RSA key for deciphering", commands: environment("b8", "02", "4b03") },
      { name: "sets the other EC key for agreements", commands: environment("a4", "04", "4b04") },
      { name: "verifies the PIN", commands: [...selectPath("5015"), command("00200001", padded("123456"))] },
      { name: "verifies the signature PIN", commands: [...selectPath("5015"), command("00200002", padded("654321"))] },
    ],
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

export async function cacSubject(): Promise<Subject> {
  const card = await startLibcacard();
  const applet = (number: number): string => selectByName(`a000000079010${number}`);
  return {
    card,
    tokens: [
      {
        index: 0,
        pin: CAC_PIN,
        keys: card.certificates.map((der, index) => ({
          id: `000${index + 1}`,
          // The second certificate is for signatures only.
          uses: index === 1 ? ["sign"] : ["sign", "decrypt"],
          publicKey: new X509Certificate(der).publicKey,
        })),
      },
    ],
    certificates: card.certificates.map((der) => toHex(der)).sort(),
    acts: [
      ...PUBLIC_ACTS,
      ...[0, 1, 2].map((number) => ({ name: `selects the applet of key ${number + 1}`, commands: [applet(number)] })),
      { name: "selects the capability container", commands: [selectByName("a000000116db00")] },
      { name: "reads a certificate", commands: [applet(1), "80520000020240"] },
      { name: "verifies the PIN", commands: [applet(0), command("00200000", padded(CAC_PIN))] },
    ],
    [Symbol.asyncDispose]: () => card[Symbol.asyncDispose](),
  };
}
